"""Listing and removal of the contents of the cache: feature stores, demo recordings, tables of hashes.

Only folders are listed or removed that are recognised by their names, their markers and the names of all their files.
"""

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dcase_sweep.data.store.contents import FOLDER
from dcase_sweep.data.store.folder import CHECKSUMS, CONTENTS, FEATURES, FILES, INDEX, Folder
from dcase_sweep.data.store.hash_table import MAGIC
from dcase_sweep.data.store.index import read_bounded
from dcase_sweep.data.store.use import last_used, read_use
from dcase_sweep.utils.leases import claim
from dcase_sweep.utils.small_files import parse_object

Kind = Literal["features", "demo", "earlier", "hashes", "rest"]

_HASH = re.compile(r"[0-9a-f]{16}")
_STORE_FILES = re.compile("|".join([*map(re.escape, FILES), r"store\.json\.\d+", r"\.(store|use)\.\d+\.json"]))
_TABLE = re.compile(r"[0-9a-f]{16}\.bin")
#: Name of the remains of an interrupted removal.
_REST = re.compile(r"\.removed-([0-9a-f]{16}|(scenes|soundscapes)[-\d]+)-\d+")
#: Limit on the clips of an index that is read for its front end.
_MANY_CLIPS = 10**6


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One entry of the cache.

    Attributes:
        kind: ``features``, ``demo`` recordings, features of an ``earlier`` version, a table of ``hashes``, or the
            ``rest`` of an interrupted removal.
        path: its folder or file.
        size: size in bytes.
        used: time of the last use, in seconds since 1970.
        clips: number of recordings.
        data: names of the data sets.
        projects: working directories of the commands that used it.
        front_end: configuration of the front end, from the index.
        is_complete: whether its computation or generation has finished.
    """

    kind: Kind
    path: Path
    size: int
    used: float
    clips: int = 0
    data: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    front_end: dict[str, Any] | None = None
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class Removal:
    """The result of a removal; ``reason`` is why the entry was not removed, or None."""

    entry: CacheEntry
    reason: str | None = None


def list_features(store_root: Path) -> tuple[list[CacheEntry], list[Path]]:
    """List the entries under a root of stores, and the folders that are not recognised."""
    entries, foreign = [], []
    for parent in _folders(store_root):
        if parent.name == FOLDER:
            entries += list(_tables(parent))
        elif not _HASH.fullmatch(parent.name):
            foreign.append(parent)
        else:
            recognised, others = recognise(parent, _store)
            entries += recognised
            foreign += others
    return entries, foreign


def recognise(parent: Path, read: Callable[[Path], CacheEntry | None]) -> tuple[list[CacheEntry], list[Path]]:
    """List the entries directly under a folder, and the folders there that are not recognised."""
    entries, foreign = [], []
    for path in _folders(parent):
        entry = _rest(path) or read(path)
        if entry is None:
            foreign.append(path)
        else:
            entries.append(entry)
    return entries, foreign


def remove(entry: CacheEntry, *, dry_run: bool = False) -> Removal:
    """Remove an entry that no process uses. It is renamed first, so that no process finds a part of it.

    Args:
        entry: an entry of this cache.
        dry_run: only check whether it is in use.
    """
    try:
        if entry.kind in ("features", "demo", "earlier"):
            marker = "generator.json" if entry.kind == "demo" else FEATURES
            return Removal(entry, _remove_folder(entry.path, marker, dry_run))
        if not dry_run and entry.kind == "hashes":
            entry.path.unlink()
        elif not dry_run:
            shutil.rmtree(entry.path)
    except FileNotFoundError:
        pass  # another process removed it
    except OSError as error:
        return Removal(entry, error.strerror or str(error))
    return Removal(entry)


def _remove_folder(path: Path, marker: str, dry_run: bool) -> str | None:
    from filelock import FileLock, Timeout

    aside = path.with_name(f".removed-{path.name}-{os.getpid()}")
    try:
        # The lock file is kept, because another process may wait for it.
        with FileLock(f"{path}.lock", timeout=0), claim(path / marker) as is_free:
            if not is_free:
                return "in use"
            if not dry_run:
                path.rename(aside)
    except Timeout:
        return "in use"
    if not dry_run:
        shutil.rmtree(aside)
    return None


def _folders(folder: Path) -> list[Path]:
    """List the folders in a folder, without links; empty if it does not exist."""
    try:
        with os.scandir(folder) as found:
            return sorted(Path(each.path) for each in found if each.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield every file and link under a folder, by its relative path."""
    for parent, folders, names in os.walk(folder):
        for name in [*names, *(each for each in folders if os.path.islink(os.path.join(parent, each)))]:
            path = Path(parent, name)
            with suppress(FileNotFoundError):
                yield path.relative_to(folder), path.lstat()


def folder_size(folder: Path, is_known: Callable[[Path], bool]) -> int | None:
    """Return the size of a folder in bytes; None if it has a file that is not known."""
    total = 0
    for path, status in _files(folder):
        if not stat.S_ISREG(status.st_mode) or not is_known(path):
            return None
        total += status.st_size
    return total


def _store(path: Path) -> CacheEntry | None:
    size = folder_size(path, lambda file: len(file.parts) == 1 and _STORE_FILES.fullmatch(file.name) is not None)
    names = set(os.listdir(path)) if size is not None else set()
    if size is None or not _HASH.fullmatch(path.name) or not names & {FEATURES, CHECKSUMS, CONTENTS, INDEX}:
        return None
    if CONTENTS not in names:
        return CacheEntry("earlier", path, size, last_used(path, INDEX), is_complete=INDEX in names)
    use, clips = read_use(path), len(Folder(path, ()).contents() or ())
    index = parse_object(read_bounded(path / INDEX, _MANY_CLIPS) or "") or {}
    front_end = index.get("front_end")
    return CacheEntry(
        "features",
        path,
        size,
        last_used(path, CONTENTS),
        clips,
        tuple(dict.fromkeys(name for name, _ in use.data if name)),
        use.projects,
        front_end if isinstance(front_end, dict) else None,
        INDEX in names,
    )


def _tables(folder: Path) -> Iterator[CacheEntry]:
    for path, status in _files(folder):
        if len(path.parts) == 1 and _TABLE.fullmatch(path.name) and stat.S_ISREG(status.st_mode):
            with suppress(OSError), (folder / path).open("rb") as handle:
                if handle.read(len(MAGIC)) == MAGIC:
                    yield CacheEntry("hashes", folder / path, status.st_size, status.st_mtime)


def _rest(path: Path) -> CacheEntry | None:
    if not _REST.fullmatch(path.name):
        return None
    return CacheEntry("rest", path, folder_size(path, lambda file: True) or 0, path.stat().st_mtime, is_complete=False)
