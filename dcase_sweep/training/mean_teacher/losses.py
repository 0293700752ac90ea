"""The losses of the mean teacher; predictions and targets are probabilities."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from dcase_sweep.models.crnn import Predictions
from dcase_sweep.training.augmentation.base import EventTargets

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class HeadLosses:
    """One loss for the frames' predictions and one for the clips'."""

    strong: Tensor
    weak: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum."""
        return self.strong + self.weak


def supervised_losses(predictions: Predictions, targets: EventTargets, loss: Loss) -> HeadLosses:
    """The losses of the labels: of the strong clips' frames and of the weak clips as wholes.

    Args:
        predictions: of a whole batch.
        targets: its labels.
        loss: probabilities and targets → their mean loss.
    """
    return HeadLosses(
        _in_float32(loss, predictions.strong[targets.strong_clips], targets.strong),
        _in_float32(loss, predictions.weak[targets.weak_clips], targets.weak),
    )


def _in_float32(loss: Loss, probabilities: Tensor, targets: Tensor) -> Tensor:
    """The loss, 0 where there are no targets; PyTorch refuses cross-entropies in lower precision."""
    if not targets.numel():
        return probabilities.sum()
    with torch.autocast(probabilities.device.type, enabled=False):
        return loss(probabilities.float(), targets.float())


def consistency_losses(student: Predictions, teacher: Predictions) -> HeadLosses:
    """Mean squared differences from the teacher's predictions, over all clips of a batch; the teacher is given."""
    return HeadLosses(
        functional.mse_loss(student.strong, teacher.strong.detach()),
        functional.mse_loss(student.weak, teacher.weak.detach()),
    )


def weak_targets(strong: Tensor) -> Tensor:
    """Which classes occur at all ``[clip, class]``, from frame labels ``[clip, class, frame]``."""
    return (strong.sum(dim=2) > 0).to(strong.dtype)
