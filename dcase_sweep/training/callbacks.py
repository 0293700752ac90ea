"""The interface by which callers follow and stop a training."""

from collections.abc import Mapping
from typing import Protocol


class StopTraining(Exception):
    """Raised by a callback to stop the training; its message is the reason.

    The run ends as stopped, not as failed, and its results so far are valid.
    """


class RunCallback(Protocol):
    """A callback on the progress of an experiment."""

    def on_start(self, run_id: str) -> None:
        """The experiment has started and is logged in this MLflow run."""
        ...

    def on_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """An epoch, counted from 0, has finished.

        Raises:
            StopTraining: to stop the training here.
        """
        ...

    def draws_figures(self, metrics: Mapping[str, float]) -> bool:
        """Whether an experiment with these metrics draws its figures, if the configuration leaves it to the caller."""
        ...
