"""Exceptions of the configured components during a training, reported in one line with the key of the component."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from traceback import walk_tb
from types import FrameType
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from dcase_sweep.config import Experiment
from dcase_sweep.config.classes import locate
from dcase_sweep.config.components import CalledLater
from dcase_sweep.training.callbacks import StopTraining
from dcase_sweep.utils.errors import UserError, is_disk_full, is_out_of_memory
from dcase_sweep.utils.failures import describe_failure

#: Packages whose frames call components: a later exception is not of the component that is further out.
_CALLERS = ("dcase_sweep", "pytorch_lightning", "lightning")
#: Part of PyTorch's message about a loss that depends on no parameter.
_NO_GRADIENT = "does not require grad and does not have a grad_fn"


@dataclass(frozen=True, slots=True)
class _Component:
    """A component, and the objects by which its calls are recognized."""

    key: str
    target: str
    objects: tuple[Any, ...]

    def is_called_in(self, frame: FrameType) -> bool:
        """Whether the frame is of a method of this component, or of its function."""
        owner = frame.f_locals.get("self")
        called = owner.target if isinstance(owner, CalledLater) else owner
        for each in self.objects:
            is_of_class = isinstance(each, type) and isinstance(owner, each)
            if is_of_class or called is each or frame.f_code is getattr(each, "__code__", None):
                return True
        return False


@contextmanager
def naming_components(experiment: Experiment, trainer: Trainer, has_begun: Callable[[], bool]) -> Iterator[None]:
    """Turn an exception that a component outside this package has raised into a line with its key.

    Other exceptions pass unchanged, and so do those of a checkpoint that is loaded.

    Args:
        experiment: the experiment with the keys of its components.
        trainer: the trainer of the training.
        has_begun: whether a state to resume, if there is one, has been loaded.

    Raises:
        UserError: for an exception of the network, the optimizer, the scheduler, the loss, an augmentation or a
            callback.
    """
    try:
        yield
    except (UserError, StopTraining, MisconfigurationException):
        raise
    except Exception as error:
        if not has_begun() or is_out_of_memory(error) or is_disk_full(error):
            raise
        found = _find_component(error, _list_components(experiment, trainer))
        target = getattr(experiment.model, "_target_", "")
        if found is None and target and _NO_GRADIENT in str(error) and not target.startswith("dcase_sweep."):
            raise UserError(
                f"model._target_={target}: the loss does not depend on its parameters (no gradient); expected outputs "
                "that do, without detach() or torch.no_grad()"
            ) from error
        if found is None:
            raise
        raise UserError(f"{found.key}: {describe_failure(error, found.target)}") from error


def _list_components(experiment: Experiment, trainer: Trainer) -> list[_Component]:
    """Return the components of a training that are not of this package."""
    schedulers = [each.scheduler for each in trainer.lr_scheduler_configs]
    several = {"augmentation": experiment.augmentation, "callbacks": experiment.callbacks}
    nodes: dict[str, tuple[Any, Sequence[Any]]] = {
        "model": (experiment.model, ()),
        "optimizer": (experiment.optimizer, trainer.optimizers),
        "scheduler": (experiment.scheduler, schedulers),
        "task.loss": (experiment.task.loss, ()),
        **{f"{group}.{name}": (node, ()) for group, named in several.items() for name, node in named.items()},
    }
    return [
        _Component(key, node._target_, (*made, locate(f"{key}._target_", node._target_)))
        for key, (node, made) in nodes.items()
        if hasattr(node, "_target_") and not node._target_.startswith("dcase_sweep.")
    ]


def _find_component(error: Exception, components: list[_Component]) -> _Component | None:
    """Return the component in whose code an exception was raised; None if it was raised elsewhere."""
    found: _Component | None = None
    for frame, _ in walk_tb(error.__traceback__):
        called = next((each for each in components if each.is_called_in(frame)), None)
        if called is not None:
            found = called
        elif str(frame.f_globals.get("__name__")).partition(".")[0] in _CALLERS:
            found = None
    return found
