"""Stochastic weight averaging whose averaged weights are validated, saved and resumed like other weights."""

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging


class StochasticWeightAveraging(WeightAveraging):
    """The mean of the weights at the ends of the last epochs (Izmailov et al., 2018), used for validation.

    Buffers such as the statistics of batch normalisation are averaged too. Lightning's callback of this name averages
    after the last validation, so that no validated epoch has its weights. This class builds on Lightning's
    `WeightAveraging`.

    Args:
        start_fraction: averaging starts after this fraction of the epochs.

    Raises:
        ValueError: for a fraction outside 0 to below 1.
    """

    def __init__(self, start_fraction: float = 0.75) -> None:
        if not 0 <= start_fraction < 1:
            raise ValueError(f"start_fraction={start_fraction}: expected 0 to below 1")
        super().__init__()
        self.start_fraction = start_fraction

    @property
    def _has_begun(self) -> bool:
        return self._average_model is not None and int(self._average_model.n_averaged) > 0

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._first = int(self.start_fraction * (trainer.max_epochs or 1))

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Not a function of the number of steps, of which an epoch has fewer where gradients are accumulated.
        is_last = batch_idx + 1 == trainer.num_training_batches
        self._is_due = is_last and trainer.current_epoch >= self._first
        super().on_train_batch_end(trainer, module, outputs, batch, batch_idx)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Update the average after the last step of an epoch, so that it contains these weights at validation."""
        return step_idx is not None and self._is_due

    def on_validation_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self._has_begun:
            super().on_validation_epoch_start(trainer, module)

    def on_validation_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        if self._has_begun:
            super().on_validation_epoch_end(trainer, module)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        if self._has_begun:
            super().on_train_end(trainer, module)

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._has_begun:
            super().on_save_checkpoint(trainer, module, checkpoint)
