"""Ctrl-C, SIGTERM and the warnings of a batch system as an exception."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

#: SIGHUP is the end of the terminal or the ssh session. Slurm (``--signal``) and submitit send SIGUSR1 or SIGUSR2
#: before a time limit or a preemption. Not every system has these three.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
#: These end the process when they come for the second time; the others are ignored then.
_TWICE = (signal.SIGINT, signal.SIGTERM)

#: Seconds within which the exception must reach the code that ends a run.
PATIENCE = 60.0


class Interrupted(BaseException):
    """A signal asked the process to stop.

    It is not a KeyboardInterrupt, because Lightning handles that itself and exits before the path of the checkpoint can
    be printed.

    Python raises it wherever the main thread is. In a callback of the garbage collector it is ignored, which PyTorch's
    compiler has many of: `check_interrupted` raises it again. In a long call it waits: the process is ended without it
    after some time.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number
        self._timer: threading.Timer | None = None

    def end_unless_handled(self, seconds: float) -> None:
        """End the process after so many seconds, unless `handled` is called before."""
        self._timer = threading.Timer(seconds, _end_process, (self.signal_number, seconds))
        self._timer.daemon = True
        self._timer.start()

    def handled(self) -> None:
        """The exception has arrived where a run is ended, which may take its time."""
        if self in _pending:
            _pending.remove(self)
        if self._timer is not None:
            self._timer.cancel()

    @property
    def exit_code(self) -> int:
        """The exit code of a process that a signal ended, as shells expect it."""
        return 128 + self.signal_number


#: The handlers of the blocks of `interruptible` that are being run, one within the other.
_handlers: set[Callable[[int, FrameType | None], None]] = set()
#: Whether signals that are repeated do not end this process.
_is_supervised = False
#: What has interrupted them.
_received: list[int] = []
#: Raised, and not known to have arrived.
_pending: list[Interrupted] = []


def check_interrupted() -> None:
    """Raise the exception of a signal again if it was ignored where it was raised; for loops, once an iteration.

    Raises:
        Interrupted: likewise.
    """
    if _pending and threading.current_thread() is threading.main_thread():
        raise _pending[-1]


def _end_process(signal_number: int, seconds: float) -> None:
    """End this process by a signal that it no longer handles."""
    name = signal.Signals(signal_number).name
    print(
        f"error: {name} has not ended this process within {seconds:.0f} s; it is ended now", file=sys.stderr, flush=True
    )
    possible = (each for each in (signal_number, signal.SIGTERM) if signal.getsignal(each) == signal.SIG_DFL)
    os.kill(os.getpid(), next(possible, getattr(signal, "SIGKILL", signal.SIGTERM)))


def ignore_repeats() -> None:
    """Do not end this process at a second signal: its parent does so when it has waited long enough.

    A batch system sends a signal to all processes of a job, and the parent asks its workers to stop, too.
    """
    global _is_supervised
    _is_supervised = True


def _expect_repeats(first: int, caught: Iterable[int]) -> None:
    """Set what the signals do that follow the first one."""

    def ignore_once(number: int, frame: FrameType | None) -> None:
        for each in _TWICE:
            signal.signal(each, signal.SIG_DFL)

    for number in caught:
        if number not in _TWICE or _is_supervised:
            signal.signal(number, signal.SIG_IGN)
        else:  # after the warning of a batch system comes SIGTERM, and only a third signal is somebody's impatience
            signal.signal(number, signal.SIG_DFL if first in _TWICE else ignore_once)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise ``Interrupted`` at the first signal that asks for an end in the block.

    These are SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2. A second SIGINT or SIGTERM ends the process; after one of
    the others, a third. The others are ignored from then on: a closing terminal sends several, and a batch system
    repeats its warning. One that was ignored before, as SIGHUP with nohup, stays ignored. If what is raised does not
    arrive within `PATIENCE`, the process is ended.

    A handler of another library gets its signal at the end of the block: submitit then submits the job again. What it
    raises there takes the place of ``Interrupted``.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    caught = [number for number in _SIGNALS if number in _TWICE or before[number] != signal.SIG_IGN]

    def handler(number: int, frame: FrameType | None) -> None:
        _expect_repeats(number, caught)
        _received.append(number)
        interrupted = Interrupted(number)
        interrupted.end_unless_handled(PATIENCE)
        _pending.append(interrupted)
        raise interrupted

    _handlers.add(handler)
    for number in caught:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for interrupted in list(_pending):
            interrupted.handled()
        for number in caught:
            signal.signal(number, before[number])
        _handlers.discard(handler)
        if not _handlers:  # the outermost block
            _pass_on(before)


def report_time_limit() -> None:
    """Let a handler of submitit's act as if the batch system had warned of the time limit: it requeues the job.

    It gets the signal at the end of the outermost block of `interruptible`. Outside submitit's jobs nothing happens.
    """
    if not os.environ.get("SUBMITIT_EXECUTOR"):
        return
    name = f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"
    number = getattr(signal, name, None)
    if number is not None and _handlers and number in _SIGNALS and number not in _TWICE:
        _received.append(number)


def _pass_on(handlers: Mapping[int, Any]) -> None:
    """Raise the signals that were received once more for the handlers of other libraries."""
    received = [*_received]
    _received.clear()
    for number in received:
        if number not in _TWICE and callable(handlers[number]):
            signal.raise_signal(number)
