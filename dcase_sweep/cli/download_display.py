"""Progress of a download: a bar for each active archive and one for all, or plain lines without a terminal."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from dcase_sweep.utils.machine import format_bytes

if TYPE_CHECKING:
    from rich.progress import Progress as Rows
    from rich.progress import TaskID

    from dcase_sweep.data.download.catalogue import DataSet
    from dcase_sweep.data.download.job import Progress
    from dcase_sweep.data.download.state import State

#: Seconds between two lines without a terminal.
_QUIET_SECONDS = 15.0
#: Characters of the name of an archive.
_WIDTH = 22


class Display(Protocol):
    """Shows the progress of a download."""

    def update(self, progress: "Progress") -> None:
        """Show the progress of one archive; called from several threads."""


@contextmanager
def show_download(data_set: "DataSet", state: "State") -> Iterator[Display]:
    """Show a download until the block ends, on standard error.

    Args:
        data_set: the data set, with the sizes of its archives.
        state: the state of the root.
    """
    held = {archive.name: archive.size or 0 for archive in data_set.archives if state.is_unpacked(archive)}
    held |= {archive.name: state.held(archive) for archive in data_set.archives if archive.name not in held}
    names = short_names(data_set)
    total = sum(archive.size or 0 for archive in data_set.archives)
    if not sys.stderr.isatty():
        yield _Lines(names, held, total)
        return
    with _make_rows() as rows:
        yield _Table(rows, names, held, total)


def short_names(data_set: "DataSet") -> dict[str, str]:
    """Return the names of the archives without their common beginning."""
    names = [archive.name for archive in data_set.archives]
    stems = {name.partition(".")[0] for name in names}
    return {name: name.partition(".")[2] if len(stems) < len(names) else name for name in names}


class _Sum:
    """The downloaded bytes of all archives."""

    def __init__(self, held: dict[str, int]) -> None:
        self._held = dict(held)
        self._lock = threading.Lock()

    def add(self, progress: "Progress") -> int:
        """Add the progress of one archive; return the bytes of all."""
        with self._lock:
            if progress.stage in ("download", "wait"):
                self._held[progress.archive.name] = progress.done
            elif progress.stage != "failed":
                self._held[progress.archive.name] = progress.archive.size or 0
            return sum(self._held.values())


class _Lines:
    def __init__(self, names: dict[str, str], held: dict[str, int], total: int) -> None:
        self._names, self._total, self._sum = names, total, _Sum(held)
        self._shown = time.monotonic()
        self._finished = 0
        self._lock = threading.Lock()

    def update(self, progress: "Progress") -> None:
        here = self._sum.add(progress)
        with self._lock:
            if progress.stage in ("done", "failed"):
                self._finished += 1
                name = self._names[progress.archive.name]
                print(f"{progress.stage:<9} {name} ({self._finished} of {len(self._names)})", file=sys.stderr)
            elif time.monotonic() - self._shown >= _QUIET_SECONDS:
                self._shown = time.monotonic()
                print(f"download  {format_bytes(here)} of {format_bytes(self._total)}", file=sys.stderr)


class _Table:
    def __init__(self, rows: "Rows", names: dict[str, str], held: dict[str, int], total: int) -> None:
        self.rows, self._names, self._sum = rows, names, _Sum(held)
        self._tasks: dict[str, tuple[str, TaskID]] = {}
        self._all = rows.add_task("all", stage="", total=total or None, completed=sum(held.values()))
        self._lock = threading.Lock()

    def update(self, progress: "Progress") -> None:
        here = self._sum.add(progress)
        with self._lock:
            name, stage = progress.archive.name, progress.stage
            shown, task = self._tasks.get(name, ("", None))
            if task is not None and shown != stage:  # the speeds of stages differ
                self.rows.remove_task(task)
                del self._tasks[name]
            if stage in ("done", "failed"):
                self.rows.update(self._all, completed=here)
                return
            if shown != stage:
                task = self.rows.add_task(
                    _cut(self._names[name]), stage=stage, total=progress.total or None, completed=progress.done
                )
                self._tasks[name] = (stage, task)
            elif task is not None:
                self.rows.update(task, completed=progress.done)
            if stage == "download":
                self.rows.update(self._all, completed=here)


def _make_rows() -> "Rows":
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Rows
    from rich.text import Text

    class Speed(ProgressColumn):
        """The speed in the units of the sizes, which differ from those of rich."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{format_bytes(speed)}/s")

    return Rows(
        TextColumn(f"{{task.description:<{_WIDTH}}}", markup=False),
        TextColumn("{task.fields[stage]:<8}"),
        BarColumn(bar_width=10),
        DownloadColumn(binary_units=True),
        Speed(),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
    )


def _cut(name: str) -> str:
    return name if len(name) <= _WIDTH else f"{name[: _WIDTH - 1]}…"
