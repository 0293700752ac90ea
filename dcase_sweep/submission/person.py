"""The file of a submission that the user fills in. The command writes it with the open values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dcase_sweep.submission.metadata import OPEN, find_open, merge
from dcase_sweep.submission.yaml_files import read_yaml, write_yaml
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.text import printable

#: The parts of the metadata of a system.
SECTIONS = ("submission", "system", "results")
#: The section of values that all systems of a submission share.
COMMON = "all_systems"
#: The part of the metadata that the new file contains.
_AUTHORS = ("submission", "authors")
_HEAD = f"""\
# What a run does not know of its submission. Replace every {OPEN} and repeat the command.
# Any other key of the metadata may be given too, and is taken instead of what the run says:
# under {COMMON}, or under the label of one system. null = does not apply.
# The abbreviation has at most 10 characters. One author is marked as corresponding.
"""


def template(filled: Mapping[str, Mapping[str, Any]]) -> str:
    """Write a file with all open values of the metadata of some systems, by their labels."""
    first = next(iter(filled.values()))
    section, key = _AUTHORS
    values: dict[str, Any] = {COMMON: {section: {key: first[section][key]}}}
    for label, metadata in filled.items():
        values[label] = _open_part({**metadata, section: {k: v for k, v in metadata[section].items() if k != key}})
    return _HEAD + write_yaml(values)


def _open_part(values: Mapping[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            if found := _open_part(value):
                part[key] = found
        elif find_open(value, key):
            part[key] = value
    return part


def complete(filled: Mapping[str, Mapping[str, Any]], path: Path) -> dict[str, dict[str, Any]]:
    """Return the metadata of some systems by their labels, completed with the values in the file.

    Raises:
        UserError: for a file with other keys or other systems.
    """
    given = read_yaml(path)
    expected = f"expected {COMMON} and {', '.join(filled)}"
    for name, section in given.items():
        if name != COMMON and name not in filled:
            raise UserError(f"{path}: {printable(name, 80)}: no system of this submission; {expected}")
        if not isinstance(section, Mapping):
            raise UserError(f"{path}: {name}: no keys; expected {', '.join(SECTIONS)}")
        for key in section:
            if key not in SECTIONS:
                raise UserError(f"{path}: {name}.{printable(key, 80)}: no such key; expected {', '.join(SECTIONS)}")
    common = given.get(COMMON, {})
    return {label: merge(metadata, common, given.get(label, {})) for label, metadata in filled.items()}


def begin(filled: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Write the file to be filled in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, template(filled))
