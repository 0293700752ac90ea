"""Ctrl-C, SIGTERM and SIGHUP as an exception."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: SIGHUP, the end of the terminal or the ssh session, does not exist on every system.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


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
    is_default = signal.getsignal(signal_number) == signal.SIG_DFL
    os.kill(os.getpid(), signal_number if is_default else signal.SIGTERM)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise ``Interrupted`` at the first SIGINT, SIGTERM or SIGHUP in the block; a second one ends the process.

    A second SIGHUP is ignored, because a closing terminal sends several. A SIGHUP that was ignored before, as with
    nohup, stays ignored. If what is raised does not arrive within `PATIENCE`, the process is ended.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    caught = [
        number for number in _SIGNALS if number in (signal.SIGINT, signal.SIGTERM) or before[number] != signal.SIG_IGN
    ]

    def handler(number: int, frame: FrameType | None) -> None:
        for each in caught:
            is_of_terminal = each not in (signal.SIGINT, signal.SIGTERM)
            signal.signal(each, signal.SIG_IGN if is_of_terminal else signal.SIG_DFL)
        interrupted = Interrupted(number)
        interrupted.end_unless_handled(PATIENCE)
        _pending.append(interrupted)
        raise interrupted

    for number in caught:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for interrupted in list(_pending):
            interrupted.handled()
        for number in caught:
            signal.signal(number, before[number])
