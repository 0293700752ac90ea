"""Parsing of the options of verbs, and their help at the width of the terminal."""

import argparse
import re
import shutil
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

#: Help text of the option with this name.
CONFIG_DIR = "your own configuration files; a class that one of them names may be one of a checkpoint too"
#: Lines of a help are no longer on a wider terminal.
_WIDEST = 100
_GAP = re.compile(r"\S {2,}(?=\S)")
_COMMAND = re.compile(r" +(?:\w.* \| )?python -m ")


@dataclass(slots=True)
class _Part:
    """Lines of a help text that belong together: a paragraph, an item of a list or a command.

    Attributes:
        text: the lines, joined.
        indent: of the first line.
        hanging: of the others.
    """

    text: str
    indent: int
    hanging: int

    @property
    def is_command(self) -> bool:
        return _COMMAND.match(self.text) is not None


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Breaks the lines of descriptions and epilogs at the width of the terminal, with their lists and examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return fill_help(text, width)


class OneLineParser(argparse.ArgumentParser):
    """A parser that reports errors in one line, like all other commands, instead of with its usage.

    Texts are broken at the width of the terminal, and options cannot be abbreviated.
    """

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, **{"formatter_class": HelpFormatter, "allow_abbrev": False, **settings})

    def error(self, message: str) -> NoReturn:
        """Report an error.

        Raises:
            UserError: always.
        """
        raise UserError(f"{printable(message)}; see {self.prog} --help")


def split_settings(words: Sequence[str], keys: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Separate keys with values, also those that name classes, from other words. The name of a file may contain an
    equals sign.

    Raises:
        UserError: for a key without a value.
    """
    from dcase_sweep.config.classes import names_code

    settings, others = {}, []
    for word in words:
        key, _, value = word.partition("=")
        is_setting = key in keys or names_code(key)
        if is_setting and not value:
            raise UserError(f"{word}: no value; expected KEY=VALUE")
        if is_setting:
            settings[key] = value
        else:
            others.append(word)
    return settings, others


def fill_help(text: str, width: int | None = None) -> str:
    """Break the lines of a help text where they are too long: items of a list go on under their text.

    Args:
        text: paragraphs, indented items and examples.
        width: in letters; None = that of the terminal.
    """
    width = min(width or shutil.get_terminal_size().columns, _WIDEST)
    blocks = text.split("\n\n")
    return "\n\n".join(_fill_block(block, width) if _is_wide(block, width) else block for block in blocks)


def _is_wide(block: str, width: int) -> bool:
    return max(map(len, block.split("\n"))) > width


def _fill_block(block: str, width: int) -> str:
    parts: list[_Part] = []
    for line in block.split("\n"):
        indent = len(line) - len(line.lstrip())
        last = parts[-1] if parts else None
        if last is not None and _belongs(line, indent, last):
            if len(last.text.split("\n")) == 1 and indent > last.indent and not last.is_command:
                last.hanging = indent
            last.text = f"{last.text.rstrip(chr(92)).rstrip()} {line.strip()}"
        else:
            parts.append(_Part(line, indent, _hanging(line, indent, width)))
    return "\n".join(_fill(part, width) for part in parts)


def _belongs(line: str, indent: int, last: _Part) -> bool:
    """Whether a line continues a part."""
    if last.is_command:
        return last.text.endswith("\\")
    if _COMMAND.match(line) or line.lstrip().startswith("- "):
        return False
    if last.indent == 0:
        return not last.text.endswith(":") and (indent == 0 or last.text.startswith("usage: "))
    return indent > last.indent


def _hanging(line: str, indent: int, width: int) -> int:
    """The indentation of what follows the first line of a part: that of its text."""
    if line.startswith("usage: "):
        return len("usage: ")
    if line.lstrip().startswith("- "):
        return indent + 2
    gap = _GAP.search(line, indent)
    if gap is not None and gap.end() < width // 2:
        return gap.end()
    return indent + 4 if indent else 0


def _fill(part: _Part, width: int) -> str:
    if len(part.text) <= width:
        return part.text
    lines = textwrap.wrap(
        part.text,
        width - 2 if part.is_command else width,
        subsequent_indent=" " * part.hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return (" \\\n" if part.is_command else "\n").join(lines)
