"""Output to the terminal and to log files, and errors while writing."""

import logging
from pathlib import Path

import pytest

from dcase_sweep.utils.console import LogFile

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
def test_a_log_file_that_cannot_be_written_is_one_warning_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    handler = LogFile(FULL)
    for _ in range(3):
        handler.handle(logging.makeLogRecord({"msg": "a line"}))
    shown = capsys.readouterr().err
    assert shown == "warning: /dev/full: lines are missing: No space left on device\n"


def test_an_error_in_a_log_call_is_reported_as_usual(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler = LogFile(tmp_path / "a.log")
    handler.handle(logging.makeLogRecord({"msg": "%d lines", "args": ("three",)}))
    assert "Logging error" in capsys.readouterr().err
    handler.close()
