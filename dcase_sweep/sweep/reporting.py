"""Functions for jobs to report intermediate values and constraint violations to a search."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol


class TrialPruned(Exception):
    """Raised by `report` when the pruner stops the trial. The job then ends as pruned, not as failed."""


class ConstraintViolation(Exception):
    """Raised if the configuration of a job is not allowed. The job does not count as a trial.

    Args:
        reason: the reason in words.
        violations: amount by which each constraint is exceeded; positive values are violations. Samplers use it.
        figures: measured values, which are stored with the trial.
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
    """Receives the reports of a job."""

    def report(self, value: float, step: int) -> None:
        """Report the value of the objective after a step.

        Raises:
            TrialPruned: if the job should stop now.
        """
        ...


_current: Reporter | None = None


def report(value: float, step: int) -> None:
    """Report an intermediate value of the objective. Does nothing outside a search.

    Args:
        value: the value, in the same direction as the final one.
        step: the number of the epoch or iteration, counted from 0.

    Raises:
        TrialPruned: if the search's pruner stops this trial. Do not catch it.
    """
    if _current is not None:
        _current.report(value, step)


def get_reporter() -> Reporter | None:
    """Return the reporter that `report` passes its values to; None outside a search."""
    return _current


def set_reporter(reporter: Reporter | None) -> None:
    """Set the reporter that `report` passes its values to."""
    global _current
    _current = reporter


@contextmanager
def reporting_to(reporter: Reporter) -> Iterator[None]:
    """Context in which `report` passes its values to this reporter."""
    global _current
    before, _current = _current, reporter
    try:
        yield
    finally:
        _current = before
