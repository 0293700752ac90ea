"""What a job says to the search that runs it: how well it does so far, and that it breaks a constraint."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol


class TrialPruned(Exception):
    """Raised by `report` where the search wants no more of a trial; it ends the job as pruned, not as failed."""


class ConstraintViolation(Exception):
    """Raised by a job, or while one is prepared, whose configuration is not allowed; it does not count as a trial.

    Args:
        reason: in words.
        violations: by how much each constraint is exceeded; more than 0 is not allowed. Samplers learn from it.
        figures: what was measured; it is kept with the trial.
    """

    def __init__(
        self,
        reason: str,
        violations: Mapping[str, float] | None = None,
        figures: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(reason)
        self.violations: dict[str, float] = {"configuration": 1.0} if violations is None else dict(violations)
        self.figures: dict[str, float] = dict(figures or {})


class Reporter(Protocol):
    """Takes the reports of one job."""

    def report(self, value: float, step: int) -> None:
        """Take a value of the objective after a step.

        Raises:
            TrialPruned: to end the job here.
        """
        ...


_current: Reporter | None = None


def report(value: float, step: int) -> None:
    """Report an intermediate value of the objective; does nothing outside a search.

    Args:
        value: of the objective, in the same direction as the final one.
        step: the number of the epoch or iteration, counted from 0.

    Raises:
        TrialPruned: if the search's pruner ends this trial. Let it pass.
    """
    if _current is not None:
        _current.report(value, step)


@contextmanager
def reporting_to(reporter: Reporter) -> Iterator[None]:
    """Within, `report` hands its values to this reporter."""
    global _current
    before, _current = _current, reporter
    try:
        yield
    finally:
        _current = before
