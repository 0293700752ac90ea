"""A training whose loss is no number any more ends at once, in one line."""

import math
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from dcase_sweep.utils.errors import UserError

#: On a GPU the loss of every so many batches is sent to memory, and looked at when the next one is: nothing waits for
#: the device. A network that diverged stays so, and shows it a little later.
BATCHES_A_LOOK_ON_GPU = 50


def refuse_divergence(epoch: int, name: str, value: float) -> None:
    """Refuse to go on with a value that is no number.

    Args:
        epoch: counted from 0.
        name: of the value, for the message.

    Raises:
        UserError: if it is NaN or infinite.
    """
    if not math.isfinite(value):
        raise UserError(f"training diverged in epoch {epoch + 1}: {name} is {value}; lower optimizer.lr")


def refuse_divergent_losses(epoch: int, metrics: dict[str, float]) -> None:
    """The same for each loss among the metrics of an epoch."""
    for name, value in metrics.items():
        if "loss" in name:
            refuse_divergence(epoch, name, value)


class Divergence(Callback):
    """Looks at the loss of the batches, and at the losses of each epoch.

    Lightning's ``EarlyStopping(check_finite=True)`` ends the training as if it had finished; a run that diverged has
    failed.
    """

    def __init__(self) -> None:
        self._sent: tuple[Tensor, torch.cuda.Event] | None = None

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"]
        if not loss.is_cuda:
            refuse_divergence(trainer.current_epoch, "loss", float(loss))
        elif batch_idx % BATCHES_A_LOOK_ON_GPU == 0:
            self._look(trainer.current_epoch, loss)

    def _look(self, epoch: int, loss: Tensor) -> None:
        """Look at the loss that was sent before, which has arrived by now, and send this one."""
        if self._sent is not None and self._sent[1].query():
            refuse_divergence(epoch, "loss", float(self._sent[0]))
        sent, arrived = loss.to("cpu", non_blocking=True), torch.cuda.Event()
        arrived.record()
        self._sent = sent, arrived

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        refuse_divergent_losses(
            trainer.current_epoch, {name: float(value) for name, value in trainer.callback_metrics.items()}
        )
