"""The training step of a scene classifier."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional

from dcase_sweep.config import Augmentation, Optimizer
from dcase_sweep.evaluation.metrics import Metric, compute_metrics
from dcase_sweep.training.augmentation import scenes as augment


class SceneModule(LightningModule):
    """A network behind per-band normalisation, trained with cross-entropy.

    Args:
        network: ``[batch, mel, frame]`` → logits ``[batch, class]``.
        mean: of each mel band over the training split ``[mel]``; saved with the weights.
        deviation: likewise.
        seed: each epoch draws its random numbers anew from it and the epoch's number, so that a resumed run draws
            what the uninterrupted one would have drawn.
        metrics: computed after each epoch on the validation clips, beside loss and accuracy.
        call: how the network is called in training and validation where that is not plainly, e.g. with fake
            quantisation.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        classes: int,
        mean: Tensor,
        deviation: Tensor,
        optimizer: Optimizer,
        augmentation: Augmentation,
        schedule: str,
        seed: int,
        metrics: Mapping[str, Metric] | None = None,
        call: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.call = network.__call__ if call is None else call
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", mean[:, None])
        self.register_buffer("deviation", deviation[:, None])
        self.classes = classes
        self.optimizer = optimizer
        self.augmentation = augmentation
        self.schedule = schedule
        self.seed = seed
        self.metrics = dict(metrics or {})
        self._judged: list[tuple[Tensor, Tensor]] = []

    def forward(self, features: Tensor) -> Tensor:
        """Class logits ``[batch, class]`` of features ``[batch, mel, frame]``."""
        logits: Tensor = self.call((features - self.mean) / self.deviation)
        return logits

    def configure_optimizers(self) -> Any:
        settings = self.optimizer
        parameters = self.network.parameters()
        optimizer: torch.optim.Optimizer
        if settings.name == "sgd":
            optimizer = torch.optim.SGD(parameters, settings.lr, momentum=0.9, weight_decay=settings.weight_decay)
        else:
            kind = torch.optim.Adam if settings.name == "adam" else torch.optim.AdamW
            optimizer = kind(parameters, settings.lr, eps=settings.eps, weight_decay=settings.weight_decay)
        if self.schedule == "constant":
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        torch.manual_seed((self.seed * 1_000_003 + self.current_epoch) % 2**63)

    def _augmented(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised and augmented features, and targets, soft ones after mixup."""
        features = (features - self.mean) / self.deviation
        if self.augmentation.mixup_alpha:
            targets = functional.one_hot(targets, self.classes).float()
        return augment.augmented(features, targets, self.augmentation)

    def training_step(self, batch: tuple[Tensor, Tensor], position: int) -> Tensor:
        features, targets = self._augmented(*batch)
        logits = self.call(features)
        loss = functional.cross_entropy(logits.float(), targets)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(features))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], position: int) -> None:
        features, targets = batch
        self._judged.append((self(features).float(), targets))

    def on_validation_epoch_end(self) -> None:
        logits = torch.cat([logits for logits, _ in self._judged])
        targets = torch.cat([targets for _, targets in self._judged])
        self._judged.clear()
        self.log("validation/loss", functional.cross_entropy(logits, targets))
        self.log("validation/accuracy", (logits.argmax(dim=1) == targets).float().mean())
        if self.metrics:
            scores = torch.softmax(logits, dim=1).cpu().numpy()
            self.log_dict(compute_metrics(self.metrics, scores, targets.cpu().numpy(), "validation/"))
