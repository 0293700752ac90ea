"""The uses of a store, which ``cache`` lists and selects by."""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dcase_sweep.data.store.folder import USE
from dcase_sweep.data.store.index import read_bounded, remove
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.small_files import parse_object

#: Stored data sets and projects of a store, the latest last.
_KEPT = 20


@dataclass(frozen=True, slots=True)
class StoreUse:
    """The uses of one store.

    Attributes:
        data: names and folders of data sets.
        projects: working directories of the commands.
    """

    data: tuple[tuple[str, str], ...] = ()
    projects: tuple[str, ...] = ()


def read_use(folder: Path) -> StoreUse:
    """Read the uses; return none if the file is missing or damaged."""
    found = parse_object(read_bounded(folder / USE, 0) or "") or {}
    data, projects = found.get("data"), found.get("projects")
    pairs = data if isinstance(data, list) else []
    return StoreUse(
        tuple((pair[0], pair[1]) for pair in pairs if _are_texts(pair, 2))[-_KEPT:],
        tuple(name for name in projects if isinstance(name, str))[-_KEPT:] if isinstance(projects, list) else (),
    )


def note_use(folder: Path, name: str, root: Path) -> None:
    """Record a use by a command of this working directory; nothing is written on a read-only disk."""
    with suppress(OSError):
        pair, project, known = (name, os.path.abspath(root)), os.getcwd(), read_use(folder)
        if pair in known.data and project in known.projects:
            os.utime(folder / USE)
            return
        data = [*(other for other in known.data if other != pair), pair][-_KEPT:]
        projects = [*(other for other in known.projects if other != project), project][-_KEPT:]
        if not (folder / USE).is_file():
            remove(folder / USE)  # a pipe in its place must not be written to
        write_text(folder / USE, json.dumps({"data": data, "projects": projects}))


def last_used(folder: Path, fallback: str) -> float:
    """Return the time of the last use, in seconds since 1970, from the record of uses or another file."""
    for path in (folder / USE, folder / fallback, folder):
        with suppress(OSError):
            return path.stat().st_mtime
    return time.time()


def _are_texts(value: object, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(isinstance(item, str) for item in value)
