"""Functions in threads of one process that take turns: one of them runs at a time.

The state of the process, such as its log handlers, belongs to the thread whose turn it is.
"""

import ctypes
import logging
import os
import queue
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from dcase_sweep.utils.signals import Interrupted


@dataclass(frozen=True, slots=True)
class GlobalState:
    """A part of the state of the process that each thread has for itself.

    Attributes:
        read: returns the state.
        write: sets it.
    """

    read: Callable[[], Any]
    write: Callable[[Any], None]


def _write_handlers(handlers: list[logging.Handler]) -> None:
    logging.getLogger().handlers[:] = handlers


def _write_environment(variables: dict[str, str]) -> None:
    if variables != os.environ:
        os.environ.clear()
        os.environ.update(variables)


def _write_filters(filters: Any) -> None:
    warnings.filters = filters


#: What every thread has for itself. ``warnings.catch_warnings`` replaces the filters of the whole process.
STATES = (
    GlobalState(lambda: list(logging.getLogger().handlers), _write_handlers),
    GlobalState(lambda: dict(os.environ), _write_environment),
    GlobalState(os.getcwd, os.chdir),
    GlobalState(lambda: warnings.filters, _write_filters),
)


class Turn(threading.Thread):
    """A function in a thread that runs while another thread waits in `resume`.

    Args:
        function: the function.
        states: what the thread has for itself.
        name: the name of the thread.

    Attributes:
        request: what the function waits for; None while it runs and after its end.
        result: the value of the function; None until its end.
        error: the exception that has ended the function.
        has_ended: whether the function has ended.
    """

    def __init__(
        self, function: Callable[[], Any], states: Sequence[GlobalState] = STATES, name: str | None = None
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.request: Any = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.has_ended = False
        self._function = function
        self._states = states
        self._own: list[Any] = []
        self._runs = False
        self._given: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._returned: queue.SimpleQueue[None] = queue.SimpleQueue()

    @classmethod
    def current(cls) -> Self | None:
        """Return the turn whose function calls this; None outside such a function."""
        thread = threading.current_thread()
        return thread if isinstance(thread, cls) else None

    def run(self) -> None:
        """Run the function; called by the thread."""
        try:
            self.result = self._function()
        except BaseException as error:
            self.error = error
        self.has_ended = True
        self._give_back(None)

    def wait_for(self, request: Any) -> Any:
        """Give the turn back from within the function until `resume` is called, and return the reply.

        Raises:
            BaseException: the error that is passed to `resume`.
        """
        self._give_back(request)
        reply, error = self._given.get()
        self.request = None
        if error is not None:
            raise error
        return reply

    def resume(self, reply: Any = None, error: BaseException | None = None) -> None:
        """Let the function run until it waits again or ends.

        Args:
            reply: the value of the function's call of `wait_for`.
            error: an exception to raise there instead.

        Raises:
            BaseException: what a signal handler raises meanwhile. It is raised in the function, too.
        """
        if self.has_ended:
            return
        before = [state.read() for state in self._states]
        for state, own in zip(self._states, self._own, strict=False):
            state.write(own)
        self._runs = True
        try:
            if self.ident is None:
                self.start()
            else:
                self._given.put((reply, error))
            self._await()
        finally:
            self._own = [state.read() for state in self._states]
            for state, value in zip(self._states, before, strict=True):
                state.write(value)

    def end(self, error: BaseException) -> None:
        """Raise an exception where the function waits, and let it come to its end."""
        if self.ident is None:
            self.error, self.has_ended = error, True
        while not self.has_ended:
            self.resume(error=error)

    def _give_back(self, request: Any) -> None:
        self.request = request
        self._runs = False
        self._returned.put(None)

    def _await(self) -> None:
        try:
            self._wait()
        except BaseException as error:  # of a signal
            if self.ident is not None:
                kind = _make_kind(error)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(kind))
            self._wait()
            raise

    def _wait(self) -> None:
        while self._runs:
            with suppress(queue.Empty):
                self._returned.get(timeout=1.0)


def copy_interruption(error: BaseException) -> BaseException:
    """Return another exception of the same interruption, for another thread."""
    return Interrupted(error.signal_number) if isinstance(error, Interrupted) else type(error)(*error.args)


def _make_kind(error: BaseException) -> type[BaseException]:
    """Return a class of exceptions without arguments, as Python raises them in another thread."""
    if not isinstance(error, Interrupted):
        return type(error)
    number = error.signal_number

    class InterruptedThread(Interrupted):
        def __init__(self) -> None:
            super().__init__(number)

    InterruptedThread.__name__ = Interrupted.__name__  # it is shown as the reason
    return InterruptedThread
