"""Processes that a sweep has started: their end with the process that started them, and how they ended."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Protocol

#: The exit code of a launcher's process whose job was lost: a temporary failure, in the numbers of BSD's sysexits.h.
LOST = 75


class Pipe(Protocol):
    """A parent's end of a pipe to its child; its class is another one on Windows."""

    def close(self) -> None:
        """Close this end, which the child notices."""

    def send_bytes(self, buf: bytes) -> None:
        """Send a message."""

    def recv_bytes(self) -> bytes:
        """Wait for a message and return it."""


def describe_exit(code: int) -> str:
    """Describe an exit code in words."""
    if code == LOST:
        return "its job was lost with the process or the machine that ran it"
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = " (out of memory?)" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"


def end_with(parent: Connection) -> None:
    """Wait until the parent's end of the pipe is closed for any reason, then stop as after a request."""
    try:
        parent.recv_bytes()
    except (EOFError, OSError):
        if sys.platform == "win32":  # os.kill would end the process at once there
            signal.raise_signal(signal.SIGTERM)
        else:
            os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Delay Ctrl-C for the block; a process that is started in it calls `leave_terminal` first.

    Python prints a traceback in a new process that is interrupted while it starts.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_terminal() -> None:
    """Leave Ctrl-C to the parent of this process, which asks it to stop."""
    if hasattr(os, "setsid"):
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
