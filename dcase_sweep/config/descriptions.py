"""What each key of a configuration means, from where it is written down: without importing the classes.

A key of a dataclass in `schemas` is described by the comment above its field, a key of a class of a group by ``Args:``
in its docstring, and any other by the comment next to it in a file. Sources are parsed, not imported: a network imports
PyTorch, which takes seconds.
"""

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, get_type_hints

from dcase_sweep.config import schemas

_KEY_LINE = re.compile(r"(?P<indent> *)(?P<key>[\w.\-]+):(?: (?P<rest>.*))?$")
#: Keys of all data sets and front ends, which their classes do not describe again.
_OF_ANY_CLASS = {
    "data.name": "Name of the data set.",
    "data.root": "Folder of the recordings.",
    "data.seconds": "Length of a clip, s; longer recordings are cut, shorter ones extended.",
    "front_end.store": "Whether the training reads stored features; false computes them from waveforms in each step.",
}
_COMMENT = re.compile(r"(?:^|\s{1,})#\s?(?P<text>.*)$")


@dataclasses.dataclass(frozen=True, slots=True)
class Described:
    """What a class or a function is, and its arguments.

    Attributes:
        summary: the first paragraph of its docstring.
        arguments: name → description.
    """

    summary: str = ""
    arguments: Mapping[str, str] = dataclasses.field(default_factory=dict)


def section_classes() -> dict[str, type]:
    """The dataclass of each section of an experiment that has one."""
    found: dict[str, type] = {}
    for name, hint in get_type_hints(schemas.Experiment).items():
        parts = (hint, *getattr(hint, "__args__", ()))
        classes = [each for each in parts if isinstance(each, type) and dataclasses.is_dataclass(each)]
        if classes:
            found[name] = classes[0]
    return found


@cache
def field_comments(cls: type) -> dict[str, str]:
    """The comment (``#:``) above each field; a comment also belongs to the fields after it that have none."""
    found: dict[str, str] = {}
    lines: list[str] = []
    fresh = False
    for line in inspect.getsource(cls).splitlines():
        text = line.strip()
        if text.startswith("#:"):
            lines = [*lines, text[2:].strip()] if fresh else [text[2:].strip()]
            fresh = True
        elif match := re.match(r"(\w+): ", text):
            found[match[1]] = " ".join(lines) if fresh else ""
            fresh = False
    return found


def summarize(docstring: str) -> str:
    """The first paragraph of a docstring, in one line."""
    return inspect.cleandoc(docstring).split("\n\n")[0].replace("\n", " ")


def read_arguments(docstring: str) -> dict[str, str]:
    """The descriptions under ``Args:`` in a docstring."""
    found: dict[str, str] = {}
    name, inside = "", False
    for line in inspect.cleandoc(docstring).splitlines():
        if line.strip() == "Args:":
            inside = True
        elif inside and line and not line.startswith(" "):
            break
        elif inside and (match := re.match(r"    (\w+): (.*)", line)):
            name = match[1]
            found[name] = match[2]
        elif inside and name:
            found[name] += " " + line.strip()
    return {name: text.strip() for name, text in found.items()}


@cache
def describe_target(target: str) -> Described:
    """Describe the class or function that a configuration names; nothing is known where it has no docstring."""
    module, _, name = target.rpartition(".")
    path = _find_source(module)
    try:
        tree = ast.parse(path.read_text(encoding="utf-8")) if path is not None else None
    except (OSError, ValueError, SyntaxError, RecursionError):
        tree = None
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            docstring = ast.get_docstring(node) or ""
            return Described(summarize(docstring), read_arguments(docstring))
    return Described()


def _find_source(module: str) -> Path | None:
    """The file of a module, found without importing a package above it."""
    first, *rest = module.split(".")
    try:
        spec = PathFinder.find_spec(first)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        return None if spec.origin is None else Path(spec.origin)
    for folder in spec.submodule_search_locations or ():
        path = Path(folder, *rest)
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


@cache
def yaml_comments(path: Path) -> dict[str, str]:
    """The comment next to each key of a file: dotted key → text. A file of the whole configuration has full keys."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in lines:
        comment = _COMMENT.search(line)
        match = _KEY_LINE.match(line[: comment.start()].rstrip() if comment else line.rstrip())
        if match is None:
            continue
        indent = len(match["indent"])
        above = [(depth, key) for depth, key in above if depth < indent]
        key = ".".join([*(name for _, name in above), match["key"]])
        above.append((indent, match["key"]))
        if comment:
            found[key] = comment["text"].strip()
    return found


def yaml_summary(path: Path) -> str:
    """The comment at the beginning of a file, in one line."""
    words = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            words.append(line.lstrip("# ").strip())
    return " ".join(words)


def group_comments(group: str, path: Path) -> dict[str, str]:
    """The comments of a choice's file, by the full names of its keys."""
    comments = yaml_comments(path)
    try:
        is_global = path.read_text(encoding="utf-8").startswith("# @package _global_")
    except (OSError, ValueError):
        return {}
    return comments if is_global else {f"{group}.{key}": text for key, text in comments.items()}


def describe_key(key: str, composed: Mapping[str, Any], comments: Mapping[str, str]) -> str:
    """What a key means; empty if nobody has written it down.

    Args:
        key: dotted, of a composed configuration.
        composed: the configuration as plain values.
        comments: full name of a key → its comment in the files of the group.
    """
    return _of_schema(key) or _of_target(key, composed) or _OF_ANY_CLASS.get(key) or comments.get(key, "")


def _of_schema(key: str) -> str:
    """The comment above the field of a dataclass."""
    section, *path = key.split(".")
    if not path:
        return field_comments(schemas.Experiment).get(section, "")
    classes = section_classes()
    candidates = [classes[section]] if section in classes else []
    if section == "evaluation":
        candidates = [schemas.SceneEvaluation, schemas.Evaluation]
    for cls in candidates:
        if text := _of_field(cls, path):
            return text
    return ""


def _of_field(cls: type, path: Sequence[str]) -> str:
    name, *rest = path
    if not rest:
        return field_comments(cls).get(name, "")
    hint = get_type_hints(cls).get(name)
    return _of_field(hint, rest) if isinstance(hint, type) and dataclasses.is_dataclass(hint) else ""


def _of_target(key: str, composed: Mapping[str, Any]) -> str:
    """The description of an argument of the nearest class above a key."""
    *path, name = key.split(".")
    for depth in range(len(path), 0, -1):
        node: Any = composed
        for part in path[:depth]:
            node = node.get(part) if isinstance(node, Mapping) else None
        target = node.get("_target_") if isinstance(node, Mapping) else None
        if isinstance(target, str):
            argument = path[depth] if depth < len(path) else name
            found = describe_target(target).arguments.get(name, "") if argument == name else ""
            return re.sub(r"\bNone\b", "null", found[:1].upper() + found[1:])
    return ""


def leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of a configuration that have a value; lists are values."""
    if not isinstance(value, Mapping) or not value:
        yield prefix, value
        return
    for key, item in value.items():
        yield from leaves(item, f"{prefix}.{key}" if prefix else str(key))
