"""Ctrl-C, SIGTERM and SIGHUP as an exception."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: SIGHUP, the end of the terminal or the ssh session, does not exist on every system.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(BaseException):
    """A signal asked the process to stop.

    It is not a KeyboardInterrupt, because Lightning handles that itself and exits before the path of the checkpoint can
    be printed.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number

    @property
    def exit_code(self) -> int:
        """The exit code of a process that a signal ended, as shells expect it."""
        return 128 + self.signal_number


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise ``Interrupted`` at the first SIGINT, SIGTERM or SIGHUP in the block; a second one ends the process.

    A second SIGHUP is ignored, because a closing terminal sends several. A SIGHUP that was ignored before, as with
    nohup, stays ignored.
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
        raise Interrupted(number)

    for number in caught:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, before[number])
