"""Generates two pages for MkDocs: the reference of all configuration keys, and the results of ``experiments/``."""

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from dcase_sweep.config import schemas
from dcase_sweep.config.bounds import BOUNDS
from dcase_sweep.config.descriptions import field_comments, read_arguments, section_classes, summarize

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    files.append(File.generated(config, "reference/configuration.md", content=write_reference()))
    files.append(File.generated(config, "results.md", content=(ROOT / "experiments/README.md").read_text()))
    return files


def write_reference() -> str:
    """Write the reference in Markdown: every group with its keys, its choices and the classes that they name."""
    parts = [
        _INTRODUCTION,
        "## The main file\n",
        _show("conf/config.yaml"),
        _describe_section("Experiment", ("seed", "resume")),
    ]
    names = [folder.name for folder in sorted(CONF.iterdir()) if folder.is_dir() and folder.name != "hydra"]
    for name in names:
        parts += _describe_group(name)
    parts.append("## Settings of a task\n\nA file of the group `task` sets these sections.\n")
    for section, cls in section_classes().items():
        if section not in names:
            parts += [f"### `{section}`\n", _summarize(cls), _table(section, cls)]
    parts.append("## Hydra's groups\n\nThese groups choose how a sweep runs (`hydra/sweeper=optuna`).\n")
    for path in sorted((CONF / "hydra").rglob("*.yaml")):
        if "sweeper" in path.parts:
            parts += [f"### `{path.relative_to(CONF).parent}={path.stem}`\n", _show(str(path.relative_to(ROOT)))]
    return "\n".join(parts)


_INTRODUCTION = """\
# Configuration

This page is generated from the configuration files and the classes that they name. Set any key on the command line:
`python -m dcase_sweep optimizer.lr=5e-4`. A range is checked before any recording is read. `null` means that there is
no value.
"""


def _describe_group(name: str) -> Iterator[str]:
    yield f"## `{name}`\n"
    section = section_classes().get(name)
    if section is not None:
        yield _summarize(section)
        yield _table(name, section)
    for path in sorted((CONF / name).glob("*.yaml")):
        yield f"### `{name}={path.stem}`\n"
        yield _show(str(path.relative_to(ROOT)))
    for target in sorted(_find_targets(name)):
        yield from _describe_target(name, target)


def _describe_section(name: str, keys: tuple[str, ...]) -> str:
    cls = getattr(schemas, name)
    return _rows(
        (key, _default(each), BOUNDS.get(key), field_comments(cls)[key]) for key, each in _fields(cls) if key in keys
    )


def _summarize(found: Any) -> str:
    return summarize(inspect.getdoc(found) or "") + "\n"


def _fields(cls: type) -> list[tuple[str, dataclasses.Field[Any]]]:
    return [(each.name, each) for each in dataclasses.fields(cls)]


def _default(member: dataclasses.Field[Any]) -> str:
    if member.default_factory is not dataclasses.MISSING:
        made = member.default_factory()
        return "see below" if dataclasses.is_dataclass(made) else _plain(made)
    return _plain(member.default)


def _plain(value: Any) -> str:
    if value in (inspect.Parameter.empty, dataclasses.MISSING, "???"):
        return ""
    return f"`{yaml.safe_dump(value, default_flow_style=True).strip().removesuffix('...').strip()}`"


def _table(prefix: str, cls: type) -> str:
    comments = field_comments(cls)
    rows: list[tuple[str, str, Any, str]] = []
    for name, member in _fields(cls):
        key = f"{prefix}.{name}"
        factory = member.default_factory
        if factory is not dataclasses.MISSING and dataclasses.is_dataclass(factory):
            nested = field_comments(factory)
            rows += [
                (f"{key}.{inner}", _default(each), BOUNDS.get(f"{key}.{inner}"), nested.get(inner, ""))
                for inner, each in _fields(factory)
            ]
        else:
            rows.append((key, _default(member), BOUNDS.get(key), comments.get(name, "")))
    return _rows(rows)


def _rows(rows: Any) -> str:
    lines = ["| key | default | range | meaning |", "| --- | --- | --- | --- |"]
    for key, default, bounds, meaning in rows:
        low, high = bounds or (None, None)
        limits = " to ".join(filter(None, ["" if low is None else f"{low:,}", "" if high is None else f"{high:,}"]))
        if low is None and high is not None:
            limits = f"at most {high:,}"
        meaning = meaning.replace("``", "`").replace("|", "\\|")
        lines.append(f"| `{key}` | {default} | {limits} | {meaning} |")
    return "\n".join(lines) + "\n"


def _show(path: str) -> str:
    return f'```yaml title="{path}"\n{(ROOT / path).read_text().rstrip()}\n```\n'


def _find_targets(group: str) -> set[str]:
    """The classes that the files of a group name."""
    text = "\n".join(path.read_text() for path in (CONF / group).glob("*.yaml"))
    return set(re.findall(r"(?:_target_|demo): (dcase_sweep\.[\w.]+)", text))


def _describe_target(group: str, target: str) -> Iterator[str]:
    module, _, name = target.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    described = read_arguments(inspect.getdoc(found) or "")
    parameters = [
        each
        for each in inspect.signature(found).parameters.values()
        if each.kind in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD) and each.name != "self"
    ]
    yield f"### `{target}`\n"
    yield _summarize(found).replace("``", "`")
    yield _rows(
        (
            f"{group}.{each.name}",
            _plain(list(each.default) if isinstance(each.default, tuple) else each.default),
            BOUNDS.get(f"{group}.{each.name}"),
            described.get(each.name, ""),
        )
        for each in parameters
    )
