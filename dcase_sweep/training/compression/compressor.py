"""The interface of a compression to a training: what happens at each step and epoch, and what is saved."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from dcase_sweep.complexity.layers import list_layers
from dcase_sweep.config import Compression
from dcase_sweep.training.compression.pruning import Pruner, PruningPlan, plan_pruning, prunable_weights
from dcase_sweep.training.compression.quantization import FakeQuantization
from dcase_sweep.training.compression.schedule import Schedule

#: Key of the ranges of activations in a checkpoint. The weights are stored as those of the plain network.
RANGES = "activation_ranges"


class Compressor(Callback):
    """Prunes and quantises a network during training.

    Args:
        network: ``[batch, mel, frame]`` → logits; its weights are changed in place.
        input_shape: ``(mel, frame)``.
        epochs: number of epochs of the whole training.
        steps_per_epoch: number of optimizer steps in an epoch.

    Raises:
        UserError: if the parameters that cannot be pruned take more than ``nonzero_kib``.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: Compression,
        *,
        input_shape: tuple[int, int],
        epochs: int,
        steps_per_epoch: int,
    ) -> None:
        self.settings = settings
        self.schedule = Schedule.of(settings, epochs=epochs, steps_per_epoch=steps_per_epoch)
        layers = list_layers(network, input_shape)
        weights = prunable_weights(network, layers)
        self.plan: PruningPlan = plan_pruning(
            layers,
            sum(weight.numel() for weight in weights),
            kib=settings.nonzero_kib,
            bits=settings.bits,  # type: ignore[arg-type]
        )
        self.pruner = Pruner(weights, self.plan)
        self.quantized = FakeQuantization(network, input_shape) if settings.quantize else None

    @property
    def first_epoch(self) -> int:
        """The first epoch, counted from 0, that can be the best. Earlier ones are larger or not yet quantised."""
        return self.schedule.complete

    @property
    def headline(self) -> str:
        """The planned compression, in one line."""
        parts = []
        if self.settings.nonzero_kib is not None:
            left = self.plan.weights - self.plan.zeros
            parts.append(
                f"{left:,} of {self.plan.weights:,} weights stay ({self.plan.after / 1024:.2f} KiB non-zero at "
                f"{self.settings.bits} bit)"
            )
        if self.schedule.quantize is not None:
            parts.append(f"int8 fake quantisation from epoch {self.schedule.quantize + 1}")
        if self.settings.start is not None:
            parts.append(f"starts from {self.settings.start}")
        return ", ".join([*parts, f"kept from epoch {self.first_epoch + 1} on" if self.first_epoch else ""]).rstrip(
            ", "
        )

    def tensors(self) -> dict[str, Any]:
        """Return the tensors that are needed in addition to an epoch's weights to evaluate it as it was trained."""
        return {} if self.quantized is None else {RANGES: self.quantized.state()}

    def take(self, checkpoint: Path) -> None:
        """Restore the ranges of the best epoch."""
        if self.quantized is not None:
            self.quantized.load(torch.load(checkpoint, map_location="cpu", weights_only=True)[RANGES])
            self.quantized.is_on, self.quantized.is_observing = True, False

    def state_dict(self) -> dict[str, Any]:
        return self.tensors()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.quantized is not None:
            ranges: dict[str, Tensor] = state[RANGES]
            self.quantized.load(ranges)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.pruner.remember()
        self.pruner.enforce(self.schedule.pruned_share(trainer.global_step))

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        schedule = self.schedule
        if self.quantized is not None and schedule.quantize is not None and schedule.freeze is not None:
            begins, ends = schedule.quantize, max(schedule.freeze, schedule.quantize + 1)
            self.quantized.is_on = trainer.current_epoch >= begins
            self.quantized.is_observing = begins <= trainer.current_epoch < ends

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.pruner.remember()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.pruner.enforce(self.schedule.pruned_share(trainer.global_step))
