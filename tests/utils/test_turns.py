"""Functions that take turns."""

import logging
import os
import signal
import threading
import time

import pytest

from dcase_sweep.utils.signals import Interrupted, interruptible
from dcase_sweep.utils.turns import GlobalState, Turn, copy_interruption


def test_turns_alternate_and_pass_values() -> None:
    seen = []

    def count(name: str) -> str:
        turn = Turn.current()
        assert turn is not None
        for number in range(2):
            seen.append(turn.wait_for(f"{name}{number}"))
        return name

    turns = [Turn(lambda name=name: count(name)) for name in "ab"]  # type: ignore[misc]
    for turn in turns:
        turn.resume()
    requests = [turn.request for turn in turns]
    for reply in (1, 2):
        for turn in turns:
            turn.resume(reply)

    assert requests == ["a0", "b0"]
    assert seen == [1, 1, 2, 2]
    assert [turn.result for turn in turns] == ["a", "b"]
    assert all(turn.has_ended and turn.error is None for turn in turns)
    assert Turn.current() is None


def test_each_has_its_own_state_of_the_process() -> None:
    value = ["outside"]

    def write(new: str) -> None:
        value[0] = new

    def change(name: str) -> str:
        turn = Turn.current()
        assert turn is not None
        write(name)
        handler = logging.NullHandler()
        logging.getLogger().addHandler(handler)
        os.environ["TURN"] = name
        turn.wait_for("more")
        assert handler in logging.getLogger().handlers
        return f"{value[0]} {os.environ['TURN']}"

    from dcase_sweep.utils.turns import STATES

    handlers = list(logging.getLogger().handlers)
    states = (*STATES, GlobalState(lambda: value[0], write))
    turns = [Turn(lambda name=name: change(name), states) for name in "ab"]  # type: ignore[misc]
    for _ in range(2):
        for turn in turns:
            turn.resume()
        assert value == ["outside"]
        assert "TURN" not in os.environ
        assert logging.getLogger().handlers == handlers

    assert [turn.result for turn in turns] == ["a a", "b b"]


def test_an_error_is_raised_where_the_function_waits() -> None:
    def wait() -> str:
        turn = Turn.current()
        assert turn is not None
        try:
            turn.wait_for("anything")
        except ValueError as error:
            return f"caught {error}"
        return "nothing"

    turn = Turn(wait)
    turn.resume()
    turn.resume(error=ValueError("this"))

    assert turn.result == "caught this"


def test_a_signal_is_raised_in_the_running_function_too() -> None:
    ended = []

    def work() -> None:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            while True:
                time.sleep(0.01)
        finally:
            ended.append(True)

    turn = Turn(work)
    with pytest.raises(Interrupted), interruptible():
        turn.resume()

    assert turn.has_ended
    assert ended == [True]
    assert isinstance(turn.error, Interrupted)
    assert turn.error.signal_number == signal.SIGINT
    assert type(turn.error).__name__ == "Interrupted"


def test_waiting_functions_are_ended() -> None:
    turn = Turn(lambda: Turn.current().wait_for("x"))  # type: ignore[union-attr]
    turn.resume()
    never = Turn(lambda: None)

    for each in (turn, never):
        each.end(copy_interruption(Interrupted(signal.SIGTERM)))

    assert isinstance(turn.error, Interrupted)
    assert never.has_ended
    assert never.ident is None
