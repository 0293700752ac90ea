"""Output to the terminal and to log files, and errors while writing."""

import io
import logging
import re
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from dcase_sweep.utils import console
from dcase_sweep.utils.console import LogFile, announced, describe_remaining, pluralize

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


def test_the_remaining_time() -> None:
    assert describe_remaining(3, 12, 60.0) == "0:03:00 left"
    assert describe_remaining(0, 12, 60.0) == ""
    assert describe_remaining(12, 12, 60.0) == ""


def test_only_what_takes_long_is_announced(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_quiet", False)
    shown = threading.Event()
    with announced("compare", "3 systems", after=60.0):
        pass
    assert capsys.readouterr().err == ""

    monkeypatch.setattr(sys.stderr, "flush", shown.set)
    with announced("compare", "3 systems", after=0.0):
        assert shown.wait(30)
    assert capsys.readouterr().err == "compare   3 systems ...\n"


def test_lines_of_progress_show_the_remaining_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 100.0
    monkeypatch.setattr(console, "_quiet", False)  # an earlier search in this process has set it
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    with caplog.at_level(logging.INFO, "dcase_sweep"), console.progress("training", 20) as bar:
        bar.update(5.0)  # of a training that is continued
        now += 30.0
        bar.update(10.0, text="loss 1.234")

    assert caplog.messages == ["training  10/20 loss 1.234, 0:01:00 left"]


def test_nouns() -> None:
    assert [pluralize(1, "clip"), pluralize(1168, "clip"), pluralize(10, "class")] == [
        "1 clip",
        "1,168 clips",
        "10 classes",
    ]


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_a_bar_shows_the_remaining_time_at_any_width(width: int) -> None:
    screen = Console(file=io.StringIO(), width=width, force_terminal=True)
    bar = console._Bar("training", 200, screen)
    bar.update(5, text="loss 1.397, validation: weak F1 40.0 %, intersection F1 53.3 %")
    bar.stop()

    with screen.capture() as captured:
        screen.print(bar.bar.get_renderable())

    (line,) = Text.from_ansi(captured.get()).plain.splitlines()
    assert "5/200 loss 1.3" in line
    assert re.search(r" left [\d:-]+ *$", line)
    assert len(line) <= width
