"""How somebody outside follows a training and ends it: all that a learner needs to know of pruning."""

from typing import Protocol


class StopTraining(Exception):
    """Raised by a callback that wants no more of a training; its message says why.

    The run ends as stopped, not as failed: what it was good for is known.
    """


class RunCallback(Protocol):
    """Told of one experiment as it goes."""

    def on_start(self, run_id: str) -> None:
        """The experiment has begun and is logged in this MLflow run."""
        ...

    def on_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """An epoch, counted from 0, is over.

        Raises:
            StopTraining: to end the training here.
        """
        ...
