"""The optimizer and the schedule: one ``configure_optimizers`` for the modules of all tasks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from dcase_sweep.config import Experiment, Monitor, get_monitor, get_watched
from dcase_sweep.config.components import component_values, make_optimizer
from dcase_sweep.config.schedulers import check_length, make_scheduler
from dcase_sweep.config.signatures import TARGET
from dcase_sweep.utils.errors import UserError


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
            UserError: if a constructor rejects its arguments, the optimizer has no parameter of the network, or the
                scheduler is shorter than the training.
        """
        given = list(parameters)  # a function that divides them goes through them several times
        optimizer = make_optimizer(self.optimizer, given)
        _check_parameters(optimizer, given, self.optimizer)
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


def _check_parameters(optimizer: Any, given: Sequence[nn.Parameter], node: Any) -> None:
    """Refuse an optimizer that would not change the network."""
    own = {id(each) for group in optimizer.param_groups for each in group["params"]}
    if own.isdisjoint(map(id, given)):
        raise UserError(
            f"optimizer._target_={component_values(node)[TARGET]}: made an optimizer of other parameters than those of "
            "the network; expected it to use the ones that it is given"
        )
