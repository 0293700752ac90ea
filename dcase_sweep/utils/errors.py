"""Errors that the user can correct. They are printed without a traceback."""

import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path

#: A disk with fewer free bytes counts as full.
_FULL_BELOW = 64 * 1024


class UserError(Exception):
    """A message in one line: the file, row or key; what was found; what was expected; what to do."""


class DataError(UserError):
    """All problems of a data set, one line for each."""

    #: At most this many problems are printed, because the same problem often affects thousands of files.
    SHOWN = 25

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        shown = self.problems[: self.SHOWN]
        if len(self.problems) > len(shown):
            shown.append(f"... and {len(self.problems) - len(shown)} more")
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''} in the data"
        super().__init__("\n  ".join([f"{count}:", *shown]))


def first_line(text: str) -> str:
    """Return the first line of a message; where it announces a list, with the first entry."""
    lines = text.splitlines() or [""]
    return " ".join(each.strip() for each in lines[: 2 if lines[0].endswith(":") else 1])


def get_reason(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class if it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def describe_failure(error: BaseException) -> str:
    """Describe any error that has ended a run in one line."""
    if isinstance(error, UserError):
        return first_line(str(error))
    found = describe_os_error(error) if isinstance(error, Exception) else None
    return first_line(found or f"{type(error).__name__}: {error}")


def describe_os_error(error: Exception) -> str | None:
    """Describe an error of a file, a disk, memory or a database in one line; return None for any other error.

    Other errors are errors in the program and keep their traceback.
    """
    if isinstance(error, BrokenPipeError):
        return None
    if is_out_of_memory(error):
        words = get_reason(error)[:200]
        return f"out of memory ({words}); use a smaller batch, network or clip, or end other programs"
    if is_disk_full(error):
        return f"{_full_folder(error)}; free some, or choose folders on another one"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror or error}; expected a file or folder that can be used"
    if isinstance(error, sqlite3.Error):
        return f"the database of runs cannot be used: {error}; see tracking.folder and tracking.uri"
    return None


#: Messages of libraries that report a lack of memory with an unspecific error type.
_OUT_OF_MEMORY = (
    "defaultcpuallocator",
    "can't allocate memory",
    "cannot allocate memory",
    "out of memory",
    "bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, PyTorch or TensorFlow reports that the machine or its GPU is out of memory."""
    if isinstance(error, MemoryError) or type(error).__name__ in ("OutOfMemoryError", "ResourceExhaustedError"):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError | OSError) and any(words in text for words in _OUT_OF_MEMORY)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error reports that a disk or the user's quota is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _full_folder(error: Exception) -> str:
    """Name the folder that could not be written to, and the file if it is known.

    The error of a copy names its source first, which may be a temporary file on another disk. The error of a write
    names no file; then the working folder or the temporary folder is named, whichever is full.
    """
    named = getattr(error, "filename2", None) or getattr(error, "filename", None)
    if isinstance(named, (str, bytes, os.PathLike)):
        path = Path(os.path.abspath(os.fsdecode(named)))
        if path.is_dir():
            return f"{path}: no space left on the disk"
        return f"{path.parent}: no space left on the disk for {path.name}"
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        if free_bytes(folder) < _FULL_BELOW:
            return f"{folder}: no space left on the disk"
    return "no space left on the disk"


def free_bytes(folder: Path) -> int:
    """Return the free bytes on the disk of a folder, or of its nearest parent that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 2**63
