"""The losses of the mean teacher. Predictions and targets are probabilities."""

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
    """The loss of the predictions for frames (strong) and of those for clips (weak)."""

    strong: Tensor
    weak: Tensor

    @property
    def total(self) -> Tensor:
        """The sum of both losses."""
        return self.strong + self.weak


def supervised_losses(predictions: Predictions, targets: EventTargets, loss: Loss) -> HeadLosses:
    """Compute the supervised losses: for the frames of strong clips, and for whole weak clips.

    Args:
        predictions: predictions for a whole batch.
        targets: labels of the batch.
        loss: function of probabilities and targets that returns their mean loss.
    """
    return HeadLosses(
        _in_float32(loss, predictions.strong[targets.strong_clips], targets.strong),
        _in_float32(loss, predictions.weak[targets.weak_clips], targets.weak),
    )


def _in_float32(loss: Loss, probabilities: Tensor, targets: Tensor) -> Tensor:
    """Compute the loss in float32, which PyTorch requires for binary cross-entropy; 0 without targets.

    The loss of a diverged network, whose probabilities are no numbers, is NaN.
    """
    if not targets.numel():
        return probabilities.sum()
    with torch.autocast(probabilities.device.type, enabled=False):
        values = probabilities.float()
        if values.is_cuda:
            return masked_loss(loss, values, targets.float())
        try:
            return loss(values, targets.float())
        except RuntimeError:
            if bool(values.isfinite().all()):
                raise
            return values.sum()


def masked_loss(loss: Loss, probabilities: Tensor, targets: Tensor) -> Tensor:
    """Compute a loss on a GPU; NaN if a probability is NaN.

    PyTorch's binary cross-entropy would stop all computations of the process on that GPU. Other values and gradients
    are not changed.
    """
    missing = probabilities.isnan()
    value = loss(probabilities.masked_fill(missing, 0.5), targets)
    return value.masked_fill(missing.any(), torch.nan)


def consistency_losses(student: Predictions, teacher: Predictions) -> HeadLosses:
    """Compute the mean squared difference from the teacher over all clips, without gradients of the teacher."""
    return HeadLosses(
        functional.mse_loss(student.strong, teacher.strong.detach()),
        functional.mse_loss(student.weak, teacher.weak.detach()),
    )
