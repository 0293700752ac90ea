"""Errors that the user can mend; they are shown as their text alone, without a traceback."""

import errno
import sqlite3
from collections.abc import Sequence


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


def told_by_the_system(error: Exception) -> str | None:
    """One line for what the machine refuses: a file, a disk, a database; None for anything else.

    An error of the program is not among them and keeps its traceback.
    """
    if isinstance(error, BrokenPipeError):
        return None
    if is_out_of_memory(error):
        words = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        return f"out of memory ({words}); use a smaller batch, network or clip, or end other programs"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}no space left on the disk; free some, or choose folders on another one"
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
