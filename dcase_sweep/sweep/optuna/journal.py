"""Optuna's journal file, with checks, a lock, and recovery from incomplete records."""

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

#: The configuration key of the storage.
KEY = "hydra.sweeper.storage"
#: Operations after which a journal is flushed to disk.
_LASTING = {JournalOperation.CREATE_STUDY, JournalOperation.SET_TRIAL_STATE_VALUES}
#: Beginning of every record of a journal.
_BEGIN = b'{"op_code":'
#: Longest record that is read, in bytes, so that a file of zeros does not fill the memory.
_LONGEST = 2**24


class Journal(JournalFileBackend):
    """Optuna's journal file with a lock that the kernel releases when the process ends.

    A killed process leaves no storage locked. An incomplete last record is removed before the next one is written,
    because it would make the file unreadable. To survive a power failure the file is flushed to disk when a trial ends,
    but not for each of the twenty records before.

    Raises:
        UserError: for a path that cannot be a journal, or an unreadable record.
    """

    def __init__(self, path: Path) -> None:
        _check_journal(path)
        super().__init__(str(path))
        self.path = path
        self._file_lock = FileLock(path.with_name(path.name + ".lock"))
        #: The number of the last line that was read, from 1.
        self.line = 0
        self._offsets = {0: 0}

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Return the records from this number on, without a last line that has no line end yet."""
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
        # Another program may write after an incomplete record. The line then contains a partial and a complete record.
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

    def describe_error(self, error: Exception) -> UserError:
        """Return the error to raise if Optuna cannot apply the last record."""
        return UserError(self._describe(f"a record that does not match the previous ones ({type(error).__name__})"))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write all records, or none if an error occurs."""
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
    """Check that a file is a journal, before anything is written to it."""
    check_regular(path, "a journal file")
    if not path.exists():
        return
    with path.open("rb") as handle:
        head = handle.read(len(_BEGIN))
    # Depending on its version, Optuna uses ":" or ": " as a separator.
    if head and not _BEGIN.startswith(head):
        raise UserError(
            f"{KEY}={path}: not a journal of Optuna's (it begins with {_shown(head)}); expected a journal file, a new "
            "path, or a database's URL such as sqlite:///FILE"
        )


def check_regular(path: Path, expected: str) -> None:
    """Check that a path is a regular file. Pipes would block, and devices must not be written to."""
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
    """Remove an incomplete last line, which is at most one record long."""
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
