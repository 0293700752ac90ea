"""Errors of the system become one line; errors in the program keep their traceback."""

import errno
import sqlite3

import pytest

from dcase_sweep.utils.errors import DataError, describe_os_error, first_line, get_reason


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "outputs/x"), "outputs/x: Not a directory; expected"),
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on the disk; free some"),
        (OSError(errno.ENOSPC, "No space", "/runs/a.ckpt"), "/runs: no space left on the disk for a.ckpt; free some"),
        (OSError(errno.EDQUOT, "Quota", "/"), "/: no space left on the disk; free some"),
        # A copy names its source first.
        (OSError(errno.ENOSPC, "No space", "/tmp/x.png", None, "/full/x.png"), "/full: no space left on the disk for"),
        (sqlite3.DatabaseError("file is not a database"), "the database of runs cannot be used: file is not a"),
    ],
)
def test_one_line(error: Exception, says: str) -> None:
    line = describe_os_error(error)

    assert line is not None
    assert line.startswith(says)
    assert "\n" not in line


@pytest.mark.parametrize("error", [KeyError("x"), OSError("a library's own"), BrokenPipeError(errno.EPIPE, "pipe")])
def test_other_errors_keep_their_traceback(error: Exception) -> None:
    assert describe_os_error(error) is None


def test_a_summary_names_the_first_problem_of_a_data_set() -> None:
    assert first_line(str(DataError(["a.wav: 0 bytes", "b.wav: 0 bytes"]))) == "2 problems in the data: a.wav: 0 bytes"
    assert first_line("model: no such choice\n  more") == "model: no such choice"
    assert first_line("") == ""


@pytest.mark.parametrize(
    ("error", "reason"),
    [(ValueError("first\nsecond"), "first"), (ValueError("\nfirst\n"), "first"), (KeyError(), "KeyError")],
)
def test_a_reason_is_one_line_of_the_message_or_the_name_of_the_class(error: Exception, reason: str) -> None:
    assert get_reason(error) == reason
