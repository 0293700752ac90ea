"""Detection of diverged trainings, which end immediately with one line."""

import math
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from dcase_sweep.utils.errors import UserError

#: On a GPU, reading the loss waits for the device. A diverged network stays diverged, so later checks are sufficient.
BATCHES_A_LOOK_ON_GPU = 50


def refuse_divergence(epoch: int, name: str, value: float) -> None:
    """Check that a value is finite.

    Args:
        epoch: counted from 0.
        name: name of the value, for the message.

    Raises:
        UserError: if the value is NaN or infinite.
    """
    if not math.isfinite(value):
        raise UserError(f"training diverged in epoch {epoch + 1}: {name} is {value}; lower optimizer.lr")


def refuse_divergent_losses(epoch: int, metrics: dict[str, float]) -> None:
    """Check each loss among the metrics of an epoch in the same way."""
    for name, value in metrics.items():
        if "loss" in name:
            refuse_divergence(epoch, name, value)


class Divergence(Callback):
    """Checks the loss of batches, and the losses of each epoch.

    Lightning's ``EarlyStopping(check_finite=True)`` ends the training as if it had finished, but a diverged run has
    failed.
    """

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"]
        if not loss.is_cuda or batch_idx % BATCHES_A_LOOK_ON_GPU == 0:
            refuse_divergence(trainer.current_epoch, "loss", float(loss))

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        refuse_divergent_losses(
            trainer.current_epoch, {name: float(value) for name, value in trainer.callback_metrics.items()}
        )
