"""States of clips: ``store.json`` of a finished store, ``states.jsonl`` during the computation.

These files are not trusted: sizes are limited, types and ranges are checked.
"""

import json
import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from dcase_sweep.data.compute import ClipState
from dcase_sweep.utils.small_files import parse_object

#: Largest size of an index or journal in bytes: a constant, and an amount for each clip.
_BYTES, _BYTES_A_CLIP = 2**20, 4096
#: Stored characters of a problem.
_LONGEST = 1000
_FLAGS = ("padded", "cut", "resampled")


def read_bounded(path: Path, clips: int) -> str | None:
    """Read a regular file of at most 1 MiB and 4 KiB for each clip; return None for anything else."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _BYTES + _BYTES_A_CLIP * clips:
            return None
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def remove(path: Path) -> None:
    """Remove a file, a link or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def index_text(states: Sequence[ClipState], *, version: int, front_end: dict[str, Any]) -> str:
    """Write an index of all clips as JSON; clips without flags or problems are not listed."""
    index: dict[str, Any] = {"version": version, "front_end": front_end, "clips": len(states)}
    for flag in _FLAGS:
        index[flag] = [row for row, state in enumerate(states) if getattr(state, flag)]
    index["seconds"] = [state.seconds for state in states]
    problems = enumerate(_to_json(state.problem) for state in states)
    index["problems"] = {str(row): problem for row, problem in problems if problem is not None}
    return json.dumps(index)


def parse_index(text: str, *, version: int, clips: int) -> list[ClipState] | None:
    """Return the state of each clip, or None if the text is not a valid index of this version and number of clips."""
    index = parse_object(text)
    if index is None or index.get("version") != version or not _is_count(index.get("clips"), clips + 1):
        return None
    if index["clips"] != clips:
        return None
    flags: dict[str, list[bool]] = {}
    for flag in _FLAGS:
        rows = index.get(flag)
        if not isinstance(rows, list) or not all(_is_count(row, clips) for row in rows):
            return None
        flags[flag] = [False] * clips
        for row in rows:
            flags[flag][row] = True
    seconds = index.get("seconds")
    if not isinstance(seconds, list) or len(seconds) != clips or not all(map(_is_length, seconds)):
        return None
    problems: list[str | None] = [None] * clips
    found = index.get("problems")
    if not isinstance(found, dict):
        return None
    for row, problem in found.items():
        if not (row.isascii() and row.isdigit() and len(row) < 10 and int(row) < clips and _is_problem(problem)):
            return None
        problems[int(row)] = problem
    padded, cut, resampled = (flags[flag] for flag in _FLAGS)
    rows = zip(padded, cut, resampled, problems, seconds, strict=True)
    return [ClipState(*row) for row in rows]


def _is_count(value: object, end: int) -> bool:
    return type(value) is int and 0 <= value < end


def _is_length(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e12  # type: ignore[operator]


def _to_json(problem: str | None) -> str | None:
    return None if problem is None else problem[:_LONGEST] or "not readable"


def _is_problem(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST


@dataclass(frozen=True, slots=True)
class Journal:
    """A file with a line for each computed clip, in order of computation."""

    path: Path
    clips: int

    def read(self) -> dict[int, ClipState]:
        """Return the state of each clip with a complete line."""
        text = read_bounded(self.path, self.clips)
        found = {}
        for line in (text or "").splitlines():
            entry = _parse_line(line, self.clips)
            if entry is not None:
                found[entry[0]] = entry[1]
        return found

    def open(self) -> TextIO:
        """Open the journal to add lines, after a line that may be incomplete; anything but a file is removed."""
        if self.path.is_symlink() or not self.path.is_file():
            remove(self.path)
        handle = self.path.open("a", encoding="utf-8")
        if handle.tell():
            handle.write("\n")
        return handle

    @staticmethod
    def write(handle: TextIO, row: int, state: ClipState) -> None:
        """Add a line. It is written before the checksum of the clip, so that every intact clip has a line."""
        values = [bool(getattr(state, flag)) for flag in _FLAGS]
        handle.write(json.dumps([row, *values, state.seconds, _to_json(state.problem)]) + "\n")
        handle.flush()


def _parse_line(line: str, clips: int) -> tuple[int, ClipState] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list) or len(value) != 6:
        return None
    row, padded, cut, resampled, seconds, problem = value
    if not _is_count(row, clips) or not all(type(flag) is bool for flag in (padded, cut, resampled)):
        return None
    if not _is_length(seconds) or (problem is not None and not _is_problem(problem)):
        return None
    return row, ClipState(padded, cut, resampled, problem=problem, seconds=seconds)
