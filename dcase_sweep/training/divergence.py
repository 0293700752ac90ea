"""Detection of diverged trainings, which end immediately with one line."""

import math
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from dcase_sweep.utils.errors import UserError

#: On a GPU, reading the loss waits for the device, so it is copied to memory and read this many batches later. A
#: diverged network stays diverged, so later checks are sufficient.
CHECK_INTERVAL_ON_GPU = 50


def check_finite(epoch: int, name: str, value: float) -> None:
    """Check that a value is finite.

    Args:
        epoch: counted from 0.
        name: name of the value, for the message.

    Raises:
        UserError: if the value is NaN or infinite.
    """
    if not math.isfinite(value):
        raise UserError(f"training diverged in epoch {epoch + 1}: {name} is {value}; lower optimizer.lr")


def check_finite_losses(epoch: int, metrics: dict[str, float]) -> None:
    """Check each loss among the metrics of an epoch in the same way."""
    for name, value in metrics.items():
        if "loss" in name:
            check_finite(epoch, name, value)


class Divergence(Callback):
    """Checks the loss of batches, and the losses of each epoch.

    Lightning's ``EarlyStopping(check_finite=True)`` ends the training as if it had finished, but a diverged run has
    failed.
    """

    def __init__(self) -> None:
        self._sent: tuple[Tensor, torch.cuda.Event] | None = None

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"]
        if not loss.is_cuda:
            check_finite(trainer.current_epoch, "loss", float(loss))
        elif batch_idx % CHECK_INTERVAL_ON_GPU == 0:
            self._check_later(trainer.current_epoch, loss)

    def _check_later(self, epoch: int, loss: Tensor) -> None:
        """Check the loss whose copy was started at the last call, and start to copy this one."""
        if self._sent is not None and self._sent[1].query():
            check_finite(epoch, "loss", float(self._sent[0]))
        sent, arrived = loss.to("cpu", non_blocking=True), torch.cuda.Event()
        arrived.record()
        self._sent = sent, arrived

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        check_finite_losses(
            trainer.current_epoch, {name: float(value) for name, value in trainer.callback_metrics.items()}
        )
