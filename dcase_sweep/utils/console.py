"""Output of a running experiment: plain lines, and a progress bar on a terminal."""

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from dcase_sweep.utils.durations import format_duration
from dcase_sweep.utils.secrets import mask_secrets

if TYPE_CHECKING:
    from rich.console import Console

log = logging.getLogger("dcase_sweep")

#: On a terminal with fewer columns a bar is short.
_NARROW = 100
#: Without a terminal, a line of progress is written at this interval, in seconds.
_QUIET_SECONDS = 15.0


class Terminal(logging.StreamHandler[TextIO]):
    """Log handler for standard output. A closed pipe does not stop the training."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)


class LogFile(logging.FileHandler):
    """Log handler for a file. If the file cannot be written, a warning is printed once."""

    _has_warned = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._has_warned:
            self._has_warned = True
            print(f"warning: {self.baseFilename}: lines are missing: {error.strerror}", file=sys.stderr)


class MaskingFormatter(logging.Formatter):
    """Formatter that masks the passwords and tokens in URLs, also in tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_secrets(super().format(record))


def pluralize(number: int, noun: str) -> str:
    """Format a count with its noun: ``1 clip``, ``1,168 clips``, ``10 classes``."""
    return f"{number:,} {noun}{'' if number == 1 else 'es' if noun.endswith('s') else 's'}"


def describe_remaining(done: float, total: float, seconds: float) -> str:
    """Describe the remaining time at the speed so far: ``0:12:30 left``; empty before anything is done.

    Args:
        done: what has been done.
        total: what there is to do.
        seconds: the time that it took.
    """
    if done <= 0 or done >= total:
        return ""
    return f"{format_duration(seconds / done * (total - done))} left"


class Progress:
    """Reports progress. This base class reports nothing."""

    def update(self, done: float, *, total: float | None = None, text: str | None = None) -> None:
        """Set the progress to ``done`` of ``total``, and the text that is shown next to it."""


class _Bar(Progress):
    """A bar. On a narrow terminal its text is cut, so that the remaining time stays."""

    def __init__(self, name: str, total: float, console: "Console | None" = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress
        from rich.table import Column

        console = console or Console(stderr=True)
        is_narrow = console.width < _NARROW
        bar_width = 8 if is_narrow else 30
        times = 15 if is_narrow else 23  # with blanks around them: 0:00:00 left 0:00:00
        rest = console.width - len(f"{name:<9}") - bar_width - 2 * len(f"{total:.0f}") - times - 6
        self.bar = RichProgress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=bar_width),
            MofNCompleteColumn(),
            # A name may have brackets.
            TextColumn(
                "{task.fields[text]}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis", max_width=max(rest, 1)),
            ),
            *([] if is_narrow else [TimeElapsedColumn()]),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
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
        self.began = self.last = time.monotonic()
        self.first: float | None = None

    def update(self, done: float, *, total: float | None = None, text: str | None = None) -> None:
        self.total = total or self.total
        self.text = text if text is not None else self.text
        now = time.monotonic()
        self.first = done if self.first is None else self.first  # a training that is continued has begun before
        if now - self.last >= _QUIET_SECONDS and done < self.total:
            self.last = now
            left = describe_remaining(done - self.first, self.total - self.first, now - self.began)
            shown = ", ".join(filter(None, [self.text, left]))
            log.info(f"{self.name:<9} {int(done)}/{int(self.total)} {shown}".rstrip())

    def stop(self) -> None:
        pass


_quiet = False


def be_quiet() -> None:
    """Show no progress from here on, because several experiments run at the same time."""
    global _quiet
    _quiet = True


#: Names of progress bars that are not shown.
_hidden: set[str] = set()


@contextmanager
def hidden(name: str) -> Iterator[None]:
    """Context in which progress of this name is not shown, because another bar shows it."""
    _hidden.add(name)
    try:
        yield
    finally:
        _hidden.discard(name)


@contextmanager
def progress(name: str, total: float) -> Iterator[Progress]:
    """Show a progress bar, or a line every few seconds if standard error is not a terminal."""
    if _quiet or name in _hidden:
        yield Progress()
        return
    bar = _Bar(name, total) if sys.stderr.isatty() else _Lines(name, total)
    try:
        yield bar
    finally:
        with suppress(OSError):  # a closed terminal must not hide the error that ends the experiment
            bar.stop()


@contextmanager
def announced(name: str, text: str, *, after: float = 3.0) -> Iterator[None]:
    """Print one line on standard error if what is done in this context takes longer than some seconds.

    Args:
        name: the first word of the line.
        text: what is being done.
        after: seconds until the line is printed.
    """

    def announce() -> None:
        with suppress(OSError, ValueError):  # a closed terminal
            print(f"{name:<9} {text} ...", file=sys.stderr, flush=True)

    timer = threading.Timer(after, announce)
    timer.daemon = True
    if not _quiet:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def field(name: str, text: str) -> None:
    """Log one line of an experiment's summary: ``name   text``."""
    log.info(f"{name:<9} {text}")
