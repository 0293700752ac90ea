"""Parsing of simple overrides without Hydra's grammar, which takes milliseconds for a list of blocks.

The values of a continuous space never occur again, so that parsed overrides cannot be kept.
"""

import re
from typing import Any

from hydra.core.override_parser.types import Override, OverrideType, Quote, QuotedString, ValueType

_KEY = re.compile(r"(\+{0,2})([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)=", re.ASCII)
#: A whole number, another number, a reference, a word without a quotation mark or with two, or a sign.
_TOKEN = re.compile(
    r"""
    (?P<whole>[+-]?(?:0|[1-9][0-9]*)(?![\w.+*/$%@?|\\-]))
    |(?P<number>[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.+*/$%@?|\\-]))
    |(?P<reference>\$\{[A-Za-z_]\w*(?:\.\w+)*\}(?=[],}]|$))
    |(?P<word>[A-Za-z_]\w*(?=[],:}]|$))
    |(?P<quoted>'[^'\\$]*'(?=[],}]|$))
    |(?P<sign>[][{}:,])
    """,
    re.ASCII | re.VERBOSE,
)
_WORDS: dict[str, Any] = {"null": None, "true": True, "false": False}
_TYPES = {"": OverrideType.CHANGE, "+": OverrideType.ADD, "++": OverrideType.FORCE_ADD}


class _NotSimple(ValueError):
    """Raised for what Hydra's grammar has to parse."""


def parse_simple(line: str) -> Override | None:
    """Parse an override as Hydra does, if it is simple; None if it is not, whether or not it is valid.

    Simple values are numbers, words, quoted texts, references to keys, and lists and dictionaries of these without
    blanks.
    """
    key = _KEY.match(line)
    if key is None:
        return None
    try:
        tokens = _split(line[key.end() :])
        value, end = _read(tokens, 0)
    except _NotSimple:
        return None
    if end != len(tokens):
        return None
    kind, name = _TYPES[key[1]], key[2]
    return Override(type=kind, key_or_group=name, value_type=ValueType.ELEMENT, _value=value, input_line=line)


def _split(text: str) -> list[tuple[str, str]]:
    """Return the tokens of a text, each with its kind."""
    found = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _NotSimple
        found.append((str(match.lastgroup), match[0]))
        position = match.end()
    return found


def _read(tokens: list[tuple[str, str]], start: int) -> tuple[Any, int]:
    """Read a value, and return it with the position after it."""
    if start >= len(tokens):
        raise _NotSimple
    kind, text = tokens[start]
    if text == "[":
        return _read_list(tokens, start + 1)
    if text == "{":
        return _read_dictionary(tokens, start + 1)
    return _read_scalar(kind, text), start + 1


def _read_scalar(kind: str, text: str) -> Any:
    if kind == "whole":
        return int(text)
    if kind == "number":
        return float(text)
    if kind == "word":
        lower = text.lower()
        if lower in ("inf", "nan"):
            raise _NotSimple
        return _WORDS.get(lower, text)
    if kind == "quoted":
        return QuotedString(text[1:-1], Quote.single)
    if kind == "reference":
        return text
    raise _NotSimple


def _read_list(tokens: list[tuple[str, str]], start: int) -> tuple[list[Any], int]:
    made: list[Any] = []
    if tokens[start : start + 1] == [("sign", "]")]:
        return made, start + 1
    while True:
        value, start = _read(tokens, start)
        made.append(value)
        sign, start = _read_sign(tokens, start), start + 1
        if sign == "]":
            return made, start
        if sign != ",":
            raise _NotSimple


def _read_dictionary(tokens: list[tuple[str, str]], start: int) -> tuple[dict[Any, Any], int]:
    made: dict[Any, Any] = {}
    if tokens[start : start + 1] == [("sign", "}")]:
        return made, start + 1
    while True:
        if start + 1 >= len(tokens) or tokens[start][0] != "word" or tokens[start + 1][1] != ":":
            raise _NotSimple
        key = _read_scalar(*tokens[start])
        if not isinstance(key, str) or key in made:
            raise _NotSimple
        made[key], start = _read(tokens, start + 2)
        sign, start = _read_sign(tokens, start), start + 1
        if sign == "}":
            return made, start
        if sign != ",":
            raise _NotSimple


def _read_sign(tokens: list[tuple[str, str]], position: int) -> str:
    if position >= len(tokens) or tokens[position][0] != "sign":
        raise _NotSimple
    return tokens[position][1]
