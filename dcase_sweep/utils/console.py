"""What the terminal shows while an experiment runs: plain lines, and a progress bar where there is a terminal."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from dcase_sweep.utils.secrets import mask_secrets

log = logging.getLogger("dcase_sweep")

#: Without a terminal a line is written this often, in seconds.
_QUIET_SECONDS = 15.0


class Terminal(logging.StreamHandler[TextIO]):
    """Lines on standard output; a training goes on when nobody reads them any more."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)


class LogFile(logging.FileHandler):
    """Lines in a file; where its disk is full, the terminal says so once, and the experiment tells its own failures."""

    _told = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._told:
            self._told = True
            print(f"warning: {self.baseFilename}: lines are missing: {error.strerror}", file=sys.stderr)


class MaskingFormatter(logging.Formatter):
    """Lines without the passwords and tokens of the URLs in them, those of a traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_secrets(super().format(record))


def pluralize(number: int, noun: str) -> str:
    """``1 clip``, ``1,168 clips``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class Progress:
    """Says how far something is and, if there is something to tell, what."""

    def update(self, done: float, *, total: float | None = None, text: str | None = None) -> None:
        """Move to ``done`` of the total, which may be known only now."""


class _Bar(Progress):
    def __init__(self, name: str, total: float) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self.bar = RichProgress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self.task = self.bar.add_task(name, total=total, text="")
        self.bar.start()

    def update(self, done: float, *, total: float | None = None, text: str | None = None) -> None:
        self.bar.update(self.task, completed=done, total=total)
        if text is not None:
            self.bar.update(self.task, text=text)

    def stop(self) -> None:
        self.bar.stop()


class _Lines(Progress):
    def __init__(self, name: str, total: float) -> None:
        self.name = name
        self.total = total
        self.text = ""
        self.last = time.monotonic()

    def update(self, done: float, *, total: float | None = None, text: str | None = None) -> None:
        self.total = total or self.total
        self.text = text if text is not None else self.text
        if time.monotonic() - self.last >= _QUIET_SECONDS and done < self.total:
            self.last = time.monotonic()
            log.info(f"{self.name:<9} {int(done)}/{int(self.total)} {self.text}".rstrip())

    def stop(self) -> None:
        pass


_quiet = False


def be_quiet() -> None:
    """Show no progress from here on: several experiments would speak at once."""
    global _quiet
    _quiet = True


@contextmanager
def progress(name: str, total: float) -> Iterator[Progress]:
    """A bar on the terminal; where standard error is none, a line every now and then."""
    if _quiet:
        yield Progress()
        return
    bar = _Bar(name, total) if sys.stderr.isatty() else _Lines(name, total)
    try:
        yield bar
    finally:
        with suppress(OSError):  # a terminal that is gone must not hide why the experiment ends
            bar.stop()


def field(name: str, text: str) -> None:
    """One line of what is known of an experiment: ``name   text``."""
    log.info(f"{name:<9} {text}")
