"""Who used a store and when: what ``cache`` lists and removes by."""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dcase_sweep.data.store.folder import USE
from dcase_sweep.data.store.index import parse_object, read_bounded, remove
from dcase_sweep.utils.files import write_text

#: Data sets and projects that are kept of a store, the latest last.
_KEPT = 20


@dataclass(frozen=True, slots=True)
class StoreUse:
    """The uses of one store.

    Attributes:
        data: names of data sets and where they lay.
        projects: working directories of the commands.
    """

    data: tuple[tuple[str, str], ...] = ()
    projects: tuple[str, ...] = ()


def read_use(folder: Path) -> StoreUse:
    """What was noted; nothing where that is not as it was written."""
    found = parse_object(read_bounded(folder / USE, 0) or "") or {}
    data, projects = found.get("data"), found.get("projects")
    pairs = data if isinstance(data, list) else []
    return StoreUse(
        tuple((pair[0], pair[1]) for pair in pairs if _are_texts(pair, 2))[-_KEPT:],
        tuple(name for name in projects if isinstance(name, str))[-_KEPT:] if isinstance(projects, list) else (),
    )


def note_use(folder: Path, name: str, root: Path) -> None:
    """Note that a command of this working directory uses the store now; on a read-only disk nothing is noted."""
    with suppress(OSError):
        pair, project, known = (name, os.path.abspath(root)), os.getcwd(), read_use(folder)
        if pair in known.data and project in known.projects:
            os.utime(folder / USE)
            return
        data = [*(other for other in known.data if other != pair), pair][-_KEPT:]
        projects = [*(other for other in known.projects if other != project), project][-_KEPT:]
        if not (folder / USE).is_file():
            remove(folder / USE)  # a pipe in its place would be written to
        write_text(folder / USE, json.dumps({"data": data, "projects": projects}))


def last_used(folder: Path, fallback: str) -> float:
    """When a folder was used last, in seconds since 1970: by the time of its note, or of another file in it."""
    for path in (folder / USE, folder / fallback, folder):
        with suppress(OSError):
            return path.stat().st_mtime
    return time.time()


def _are_texts(value: object, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(isinstance(item, str) for item in value)
