"""An application whose jobs run together, step by step."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from dcase_sweep.application.together import make_turns
from dcase_sweep.sweep import report
from dcase_sweep.sweep.application import Application, Returned
from dcase_sweep.sweep.job import PreparedJob
from dcase_sweep.utils.turns import Turn, copy_interruption


class Together(Application):
    """Runs jobs in turns: each gives its turn to the next one when it reports a step.

    Args:
        free: keys in which the jobs of a group may differ, also if they are no numbers with a fraction.

    Attributes:
        groups: the names of the jobs of each group.
    """

    def __init__(self, *free: str) -> None:
        self.free = free
        self.groups: list[list[str]] = []

    @property
    def sizes(self) -> list[int]:
        return [len(names) for names in self.groups]

    def find_obstacle(self, job: PreparedJob) -> str | None:
        return None

    def must_be_shared(self, key: str, value: Any) -> bool:
        return key not in self.free and super().must_be_shared(key, value)

    def run_together(self, runs: Mapping[str, Callable[[], Returned]]) -> list[Returned]:
        self.groups.append(list(runs))
        turns = make_turns(runs)
        try:
            left = deque(turns)
            while left:
                turn = left.popleft()
                turn.resume()
                if turn.error is not None:
                    raise turn.error
                if not turn.has_ended:
                    left.append(turn)
        except BaseException as error:
            for turn in turns:
                if turn.ident is not None:
                    turn.end(error if isinstance(error, Exception) else copy_interruption(error))
            raise
        return [turn.result for turn in turns]


def take_step(value: float, number: int) -> None:
    """Report a step, and let the other jobs report it."""
    report(value, number)
    turn = Turn.current()
    if turn is not None:
        turn.wait_for("the next step")
