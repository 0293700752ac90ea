"""Errors of a checkpoint that cannot be resumed, reported in one line before the first step."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch.optim.lr_scheduler import LambdaLR

from dcase_sweep.utils.errors import UserError

#: Former names of callbacks whose state is in checkpoints.
_RENAMED = {"Keeper": "BestCheckpoint"}


@contextmanager
def restoring(resume: Path | None, has_begun: Callable[[], bool]) -> Iterator[None]:
    """Attribute errors before the first step of a resumed training to the checkpoint.

    Args:
        resume: the checkpoint; None if nothing is resumed.
        has_begun: whether the state is restored and training has started.

    Raises:
        UserError: if the state of the checkpoint is unusable.
    """
    try:
        yield
    except (UserError, OSError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if resume is None or has_begun():
            raise
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"resume={resume}: its state does not fit this training ({type(error).__name__}: {reason}); expected "
            "an unchanged last.ckpt of an interrupted run"
        ) from error


def rename_states(states: Mapping[str, Any]) -> dict[str, Any]:
    """Return the states of callbacks in a checkpoint by the present names of the callbacks."""
    return {_RENAMED.get(name, name): state for name, state in states.items()}


class RestoredState(Callback):
    """Checks the restored state before the first step.

    PyTorch does not compare the state of an optimizer with its parameters. Earlier versions saved no state of the mean
    teacher's ramp, which is a function of the step only, and had other names for some callbacks.
    """

    def __init__(self) -> None:
        self.has_begun = False
        self._has_schedule = True

    def on_load_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._has_schedule = bool(checkpoint.get("lr_schedulers"))
        checkpoint["callbacks"] = rename_states(checkpoint["callbacks"])

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        if not self._has_schedule:
            for each in trainer.lr_scheduler_configs:
                if isinstance(each.scheduler, LambdaLR):
                    _move_to(each.scheduler, trainer.global_step)
        for optimizer in trainer.optimizers:
            for parameter, state in optimizer.state.items():
                for name, value in state.items():
                    if torch.is_tensor(value) and value.ndim and value.shape != parameter.shape:
                        raise ValueError(f"{name} {list(value.shape)} of a parameter {list(parameter.shape)}")
        self.has_begun = True


def _move_to(scheduler: LambdaLR, step: int) -> None:
    """Advance a schedule by this number of steps."""
    scheduler.last_epoch = step
    for group, base, factor in zip(
        scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True
    ):
        group["lr"] = base * factor(step)
