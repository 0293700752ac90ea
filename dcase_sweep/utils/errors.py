"""Errors that the user can mend; they are shown as their text alone, without a traceback."""

import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path

#: A disk with less than this is full, in bytes.
_ALMOST_NOTHING = 64 * 1024


class UserError(Exception):
    """One clear line: the file, row or key; what was found; what was expected; what to do."""


class DataError(UserError):
    """Everything that is wrong with a data set, one line a problem, found before time is spent on it."""

    #: A data set that is broken in one way is often broken in it a thousand times.
    SHOWN = 25

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        shown = self.problems[: self.SHOWN]
        if len(self.problems) > len(shown):
            shown.append(f"... and {len(self.problems) - len(shown)} more")
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''} in the data"
        super().__init__("\n  ".join([f"{count}:", *shown]))


def describe_os_error(error: Exception) -> str | None:
    """One line for what the machine refuses: a file, a disk, a database; None for anything else.

    An error of the program is not among them and keeps its traceback.
    """
    if isinstance(error, BrokenPipeError):
        return None
    if is_out_of_memory(error):
        words = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        return f"out of memory ({words}); use a smaller batch, network or clip, or end other programs"
    if is_disk_full(error):
        return f"{_full_folder(error)}; free some, or choose folders on another one"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror or error}; expected a file or folder that can be used"
    if isinstance(error, sqlite3.Error):
        return f"the database of runs cannot be used: {error}; see tracking.folder and tracking.uri"
    return None


#: How libraries begin to say that there is no memory, where the type of their error does not.
_OUT_OF_MEMORY = (
    "defaultcpuallocator",
    "can't allocate memory",
    "cannot allocate memory",
    "out of memory",
    "bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, PyTorch or TensorFlow says that there is no memory left, on the machine or its GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ in ("OutOfMemoryError", "ResourceExhaustedError"):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError | OSError) and any(words in text for words in _OUT_OF_MEMORY)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that a disk, or the user's share of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _full_folder(error: Exception) -> str:
    """What is full: the folder that could not be written to, and the file where it is known.

    A copy names its source first, which may be a temporary file on another disk. A write names no file: then it is
    the working folder or the temporary one, whichever is full.
    """
    named = getattr(error, "filename2", None) or getattr(error, "filename", None)
    if isinstance(named, (str, bytes, os.PathLike)):
        path = Path(os.path.abspath(os.fsdecode(named)))
        if path.is_dir():
            return f"{path}: no space left on the disk"
        return f"{path.parent}: no space left on the disk for {path.name}"
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        if free_bytes(folder) < _ALMOST_NOTHING:
            return f"{folder}: no space left on the disk"
    return "no space left on the disk"


def free_bytes(folder: Path) -> int:
    """The space left on the disk of a folder, or of the nearest one above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 2**63
