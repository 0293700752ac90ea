"""What a run has logged and its server does not have yet, in the run's folder."""

import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from dcase_sweep.utils import leases
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.small_files import parse_object

log = logging.getLogger(__name__)

#: The folder of a run's unsent records, and its files.
UNSENT = "mlflow_unsent"
_ENTRIES, _FILES, _VERSION = "entries.jsonl", "files", 1
#: Longest line that is read, in characters.
_LONGEST = 10_000_000
_RUN = re.compile(r"[0-9a-f]{32}")
BATCH, DATA, ARTIFACT, END = "batch", "data", "artifact", "end"


@dataclass(frozen=True, slots=True)
class Entry:
    """One record for a server. To send it twice changes nothing.

    Attributes:
        kind: ``batch`` (metrics, parameters and tags), ``data`` (a data set), ``artifact`` (a file or folder), or
            ``end`` (the status).
        run: ID of the run.
        content: what is sent. An artifact has its ``path`` under the folder of the spool, and its target ``folder``.
    """

    kind: str
    run: str
    content: dict[str, Any]


class Spool:
    """The unsent records of one run, as a file with one record a line, and copies of files.

    Records are written before they are sent, so that a killed process loses none. The folder is removed when all are
    sent. It is created with the first record.

    Args:
        folder: the run's folder.
        store: address of the server without a password.
    """

    def __init__(self, folder: Path, store: str) -> None:
        self.folder = folder.absolute() / UNSENT
        self._store = store
        self._handle: TextIO | None = None
        self._files = 0
        self._has_warned = False

    def append(self, entry: Entry) -> None:
        """Write a record. If the disk is full, a line says so once, and the record is kept in memory only."""
        try:
            if self._handle is None:
                self._open()
            assert self._handle is not None
            self._handle.write(json.dumps({"kind": entry.kind, "run": entry.run, **entry.content}) + "\n")
            self._handle.flush()
        except OSError as error:
            self._warn(error)

    def _open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / _ENTRIES
        is_new = not path.exists() or path.stat().st_size == 0
        self._handle = path.open("a", encoding="utf-8", newline="\n")
        if is_new:
            self._handle.write(json.dumps({"version": _VERSION, "store": self._store}) + "\n")
            self._handle.flush()
        leases.hold(path)  # so that no other command sends them

    def keep(self, name: str, write: Callable[[Path], None]) -> str:
        """Keep a file or a folder until it is sent; returns its path under the folder of the spool.

        Args:
            name: name of the file.
            write: writes it to the given path.

        Raises:
            OSError: if it cannot be written.
        """
        while True:
            self._files += 1
            place = self.folder / _FILES / str(self._files)
            if not place.exists():
                break
        place.mkdir(parents=True)
        write(place / name)
        return f"{_FILES}/{place.name}/{name}"

    def clear(self) -> None:
        """Remove the records, because all are sent."""
        if self._handle is None:
            return
        with suppress(OSError):
            self._handle.close()
        self._handle = None
        leases.release(self.folder / _ENTRIES)
        _remove(self.folder)

    def _warn(self, error: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning(f"tracking  {self.folder}: {error.strerror or error}; unsent records are kept in memory only")


def _remove(folder: Path) -> None:
    # The list of records goes first: files without it mean nothing.
    with suppress(OSError):
        (folder / _ENTRIES).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def find_unsent(folder: Path) -> list[Path]:
    """List the runs' folders at or under a folder that have unsent records, sorted by path."""
    if (folder / UNSENT / _ENTRIES).is_file():
        return [folder]
    return sorted(path.parent.parent for path in folder.rglob(f"{UNSENT}/{_ENTRIES}"))


@dataclass(frozen=True, slots=True)
class Unsent:
    """The unsent records of a process that has ended.

    Attributes:
        folder: the folder of the spool.
        store: address of their server, without a password.
        entries: the records.
    """

    folder: Path
    store: str
    entries: list[Entry]


@contextmanager
def claim_unsent(folder: Path) -> Iterator[Unsent | None]:
    """Read the unsent records of a run's folder, which no other process may send meanwhile; None if one does.

    A last line that a killed process has not completed is left out.

    Raises:
        UserError: for a file that holds something else.
    """
    path = folder / UNSENT / _ENTRIES
    with leases.claim(path) as is_free:
        yield _read(path) if is_free else None


def remove_unsent(unsent: Unsent) -> None:
    """Remove records that are sent."""
    _remove(unsent.folder)


def _read(path: Path) -> Unsent:
    """Read the records. The file may come from another person: all of it is checked."""
    entries: list[Entry] = []
    store = ""
    try:
        with path.open(encoding="utf-8") as lines:
            number = 0
            while line := lines.readline(_LONGEST):
                number += 1
                if not line.endswith("\n"):
                    if len(line) == _LONGEST:
                        raise _invalid(path, number)
                    break
                found = parse_object(line)
                if number == 1:
                    if found is None or found.get("version") != _VERSION or not isinstance(found.get("store"), str):
                        raise _invalid(path, number)
                    store = found["store"]
                    continue
                entry = None if found is None else _make_entry(found, path.parent)
                if entry is None:
                    raise _invalid(path, number)
                entries.append(entry)
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text in UTF-8; expected the unsent records of a run") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; expected the unsent records of a run") from None
    return Unsent(path.parent, store, entries)


def _invalid(path: Path, number: int) -> UserError:
    return UserError(f"{path}, line {number}: not a record of a run; expected the file as a run has written it")


def _make_entry(found: dict[str, Any], folder: Path) -> Entry | None:
    kind, run = found.pop("kind", None), found.pop("run", None)
    if not isinstance(run, str) or not _RUN.fullmatch(run) or kind not in _CHECKS:
        return None
    return Entry(kind, run, found) if _CHECKS[kind](found, folder) else None


def _is_batch(found: dict[str, Any], folder: Path) -> bool:
    parts = [found.get(name) for name in ("metrics", "params", "tags")]
    if set(found) != {"metrics", "params", "tags"} or not all(isinstance(part, list) for part in parts):
        return False
    metrics, *pairs = parts
    return all(map(_is_metric, metrics or [])) and all(_are_texts(pair, 2) for part in pairs for pair in part or [])


def _is_metric(found: Any) -> bool:
    return isinstance(found, list) and [type(each) for each in found] == [str, float, int, int]


def _are_texts(found: Any, count: int) -> bool:
    return isinstance(found, list) and len(found) == count and all(isinstance(each, str) for each in found)


def _is_data(found: dict[str, Any], folder: Path) -> bool:
    return set(found) == {"name", "digest", "source"} and all(isinstance(each, str) for each in found.values())


def _is_artifact(found: dict[str, Any], folder: Path) -> bool:
    """Whether an artifact is a file or folder of the spool itself, without links that lead elsewhere."""
    if set(found) != {"path", "folder"} or not all(isinstance(each, str) for each in found.values()):
        return False
    parts = [*Path(found["path"]).parts, *Path(found["folder"]).parts]
    if not found["path"].startswith(f"{_FILES}/") or ".." in parts or Path(found["folder"]).is_absolute():
        return False
    path = folder / found["path"]
    return not any(each.is_symlink() for each in (path, *path.rglob("*"))) and path.resolve() == (
        folder.resolve() / found["path"]
    )


def _is_end(found: dict[str, Any], folder: Path) -> bool:
    return set(found) == {"status", "time"} and isinstance(found["status"], str) and type(found["time"]) is int


_CHECKS: dict[str, Callable[[dict[str, Any], Path], bool]] = {
    BATCH: _is_batch,
    DATA: _is_data,
    ARTIFACT: _is_artifact,
    END: _is_end,
}
