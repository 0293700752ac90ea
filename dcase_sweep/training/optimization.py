"""The optimizer and the schedule: one ``configure_optimizers`` for the modules of all tasks."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn

from dcase_sweep.config import Experiment, Monitor, get_monitor, get_watched
from dcase_sweep.config.components import make_optimizer
from dcase_sweep.config.schedulers import check_length, make_scheduler


@dataclass(frozen=True, slots=True)
class Optimization:
    """The optimizer and the scheduler of a training.

    Attributes:
        optimizer: the typed group ``optimizer``.
        scheduler: the typed group ``scheduler``.
        epochs: number of epochs of the whole training.
        steps_per_epoch: number of optimizer steps in an epoch.
        monitor: the metric for a scheduler that needs one: its own, or the one that selects the best epoch; None = its
            own.
    """

    optimizer: Any
    scheduler: Any
    epochs: int
    steps_per_epoch: int
    monitor: Monitor | None = None

    @classmethod
    def of(cls, experiment: Experiment, steps_per_epoch: int) -> "Optimization":
        """Create the optimization of an experiment."""
        epochs = experiment.training.epochs
        monitor = get_watched(experiment, getattr(experiment.scheduler, "monitor", None), get_monitor(experiment))
        return cls(experiment.optimizer, experiment.scheduler, epochs, steps_per_epoch, monitor)

    def configure(self, parameters: Iterable[nn.Parameter]) -> Any:
        """Return the result of Lightning's ``configure_optimizers`` for these parameters.

        Raises:
            UserError: if a constructor rejects its arguments, or the scheduler is shorter than the training.
        """
        optimizer = make_optimizer(self.optimizer, parameters)
        scheduler = make_scheduler(
            self.scheduler,
            optimizer,
            epochs=self.epochs,
            steps_per_epoch=self.steps_per_epoch,
            monitor=self.monitor.metric if self.monitor else None,
            mode=self.monitor.mode if self.monitor else None,
        )
        if scheduler is None:
            return optimizer
        check_length(
            scheduler["scheduler"],
            interval=scheduler["interval"],
            epochs=self.epochs,
            steps_per_epoch=self.steps_per_epoch,
        )
        return {"optimizer": optimizer, "lr_scheduler": scheduler}
