"""Optuna's journal file: checked, written under a lock, read past what a kill has left."""

import json
import os
import stat
from collections.abc import Generator
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._storage import JournalOperation

from dcase_sweep.utils.errors import UserError

#: The key that names where studies are kept.
KEY = "hydra.sweeper.storage"
#: Operations after which a journal is flushed to the disk.
_LASTING = {JournalOperation.CREATE_STUDY, JournalOperation.SET_TRIAL_STATE_VALUES}
#: How every record of a journal begins.
_BEGIN = b'{"op_code":'
#: The longest record that is read, in bytes: a file of zeros must not be taken into memory.
_LONGEST = 2**24


class Journal(JournalFileBackend):
    """Optuna's journal file under a lock that the kernel drops with the process that held it.

    A kill leaves no storage locked. A record that a kill has cut short is dropped before the next one is written, since
    nobody could read past it. The file is flushed to the disk, as a power cut demands, when a trial ends, not at each
    of the twenty records before.

    Raises:
        UserError: for a path that cannot be a journal, and for a record that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        _check_journal(path)
        super().__init__(str(path))
        self.path = path
        self._file_lock = FileLock(path.with_name(path.name + ".lock"))
        #: The number of the line that was read last, counted from 1.
        self.line = 0
        self._offsets = {0: 0}

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The records from this number on; a last line without an end is being written, or was cut short."""
        with self.path.open("rb") as handle:
            number = log_number_from if log_number_from in self._offsets else 0
            handle.seek(self._offsets[number])
            while (line := handle.readline(_LONGEST)).endswith(b"\n"):
                number += 1
                self._offsets[number] = self._offsets[number - 1] + len(line)
                if number > log_number_from:
                    self.line = number
                    yield self._parse(line)
            if len(line) == _LONGEST:
                self.line = number + 1
                raise UserError(self._describe(f"longer than {_LONGEST // 2**20} MiB"))

    def _parse(self, line: bytes) -> dict[str, Any]:
        # Another program's write may follow one that was cut short: the line then holds a part and a whole record.
        for text in (line, line[max(0, line.rfind(_BEGIN)) :]):
            try:
                found = json.loads(text)
            except ValueError:
                continue
            if isinstance(found, dict) and "op_code" in found:
                return found
        raise UserError(self._describe(f"not a record: {_shown(line)}"))

    def _describe(self, problem: str) -> str:
        return (
            f"{KEY}={self.path}, line {self.line}: {problem}; expected a record of Optuna's journal: remove the line, "
            "restore the file from a copy, or name another file"
        )

    def refuse(self, error: Exception) -> UserError:
        """What to raise where Optuna cannot apply the record that was read last."""
        return UserError(self._describe(f"a record that does not fit the ones before ({type(error).__name__})"))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write records, all or none."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self._file_lock:
            _drop_cut_line(self.path)
            with self.path.open("ab") as handle:
                handle.write(text.encode())
                handle.flush()
                if any(log["op_code"] in _LASTING for log in logs):
                    os.fsync(handle.fileno())


def _shown(line: bytes) -> str:
    text = line[:60].decode(errors="replace").rstrip("\n")
    return repr(text) + (" …" if len(line) > 60 else "")


def _check_journal(path: Path) -> None:
    """Refuse what is no journal before anything is written to it."""
    check_regular(path, "a journal file")
    if not path.exists():
        return
    with path.open("rb") as handle:
        head = handle.read(len(_BEGIN))
    # Optuna itself separates by ":" or ": ", depending on its version.
    if head and not _BEGIN.startswith(head):
        raise UserError(
            f"{KEY}={path}: not a journal of Optuna's (it begins with {_shown(head)}); expected a journal file, a new "
            "path, or a database's URL such as sqlite:///FILE"
        )


def check_regular(path: Path, expected: str) -> None:
    """Refuse folders, pipes and devices, which would be waited for or written to."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{KEY}={str(path)[:200]!r}: {reason}; expected {expected}") from None
    if not stat.S_ISREG(mode):
        kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
        found = next((name for is_kind, name in kinds if is_kind(mode)), "a device")
        raise UserError(f"{KEY}={path}: {found}; expected {expected}")


def _drop_cut_line(path: Path) -> None:
    """Remove a last line without an end, which is at most one record long."""
    with path.open("rb+") as handle:
        end = handle.seek(0, os.SEEK_END)
        if end == 0:
            return
        handle.seek(end - 1)
        if handle.read(1) == b"\n":
            return
        begin = max(0, end - _LONGEST)
        handle.seek(begin)
        kept = handle.read(end - begin).rfind(b"\n") + 1
        if kept or begin == 0:
            handle.truncate(begin + kept)
