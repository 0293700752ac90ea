"""Ctrl-C, SIGTERM and a lost terminal as an exception that every clean-up sees."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: Ctrl-C, a request to stop, and the end of the terminal or of the ssh session; not every system has the last.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(BaseException):
    """The user, or the machine, asked the process to stop.

    Not a KeyboardInterrupt: Lightning turns that into an exit of its own, before anybody could say where the
    checkpoint is.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal ended."""
        return 128 + self.signal_number


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, the first SIGINT, SIGTERM or SIGHUP raises ``Interrupted``; a second one ends the process as usual.

    A second SIGHUP is ignored, because a terminal that goes away sends several. One that was ignored before, as nohup
    has it, stays ignored.
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
