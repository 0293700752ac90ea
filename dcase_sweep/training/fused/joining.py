"""The point at which a training joins the group that computes its steps."""

import inspect
import logging
from collections.abc import Iterable
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from dcase_sweep.config import Experiment
from dcase_sweep.config.classes import locate
from dcase_sweep.training import step_module
from dcase_sweep.training.batches import EpochBatches
from dcase_sweep.training.divergence import Divergence
from dcase_sweep.training.fused.member import Member, WholeEpochs
from dcase_sweep.training.fused.random_state import find_generators
from dcase_sweep.training.fused.stack import take_out
from dcase_sweep.training.interruption import Interruption
from dcase_sweep.training.step_module import StepModule
from dcase_sweep.utils.turns import Turn

log = logging.getLogger(__name__)

#: Hooks of a batch, which Lightning calls once an epoch for a member of a group.
_HOOKS = ("on_train_batch_start", "on_train_batch_end")


class Candidate:
    """A training that is ready to join a group.

    Args:
        member: the training.
        experiment: its experiment.
    """

    def __init__(self, member: Member, experiment: Experiment) -> None:
        self.member = member
        self.experiment = experiment


def join(trainer: Trainer, module: LightningModule, train: Iterable[Any], experiment: Experiment) -> Iterable[Any]:
    """Return what Lightning iterates over: one item an epoch if the training joins a group, else the batches.

    Waits until the group is complete. Without a group, nothing happens.
    """
    turn = Turn.current()
    if turn is None:
        return train
    obstacle = find_obstacle(trainer, module, train, experiment)
    if obstacle is None:
        assert isinstance(module, StepModule)
        assert isinstance(train, EpochBatches)
        member = Member(trainer, module, train, turn, find_generators(experiment))
        obstacle = turn.wait_for(Candidate(member, experiment))
    if obstacle is not None:
        log.info(f"alone     {obstacle}")
        return train
    assert isinstance(module, StepModule)
    module.member = member
    return WholeEpochs(member.batches)


def leave(module: LightningModule) -> None:
    """End the membership of a training."""
    if isinstance(module, StepModule) and module.member is not None:
        if module.member.is_stacked:
            take_out(module.networks[0])
        module.member = None


def find_obstacle(
    trainer: Trainer, module: LightningModule, train: Iterable[Any], experiment: Experiment
) -> str | None:
    """Return the reason why a training cannot be computed with others; None if it can."""
    if not isinstance(module, StepModule) or not vars(type(module)).get("can_join", False):
        return f"{type(module).__name__} does not say that it can be computed together with others (can_join)"
    if not isinstance(train, EpochBatches) or type(train).__iter__ is not EpochBatches.__iter__:
        return f"its batches are no EpochBatches ({type(train).__name__})"
    if module.has_own_calls():
        return "its network is compiled or quantized"
    if trainer.strategy.root_device.type == "mps":
        return "on a GPU of a Mac, networks are trained one by one"
    if experiment.tracking.energy:
        return "tracking.energy measures one training at a time"
    target = getattr(experiment.optimizer, "_target_", None)
    step = None if target is None else getattr(locate("optimizer._target_", target), "step", None)
    closure = None if step is None else inspect.signature(step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        return f"{target} computes the loss more than once a step"
    return step_module.find_obstacle(trainer) or _find_hook(trainer)


def _find_hook(trainer: Trainer) -> str | None:
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        kind = type(callback)
        if kind in (Interruption, Divergence):
            continue
        hook = next((each for each in _HOOKS if getattr(kind, each) is not getattr(Callback, each)), None)
        if hook is not None:
            return f"the callback {kind.__name__} is called for each batch ({hook})"
    return None
