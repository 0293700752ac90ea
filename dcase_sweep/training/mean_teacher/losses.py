"""The losses of the mean teacher; predictions and targets are probabilities."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from dcase_sweep.models.crnn import Predictions
from dcase_sweep.training.mean_teacher.sampling import Composition


@dataclass(frozen=True, slots=True)
class HeadLosses:
    """One loss for the frames' predictions and one for the clips'."""

    strong: Tensor
    weak: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum."""
        return self.strong + self.weak


def supervised_losses(predictions: Predictions, strong: Tensor, weak: Tensor, composition: Composition) -> HeadLosses:
    """Binary cross-entropies: of the strong clips' frames and of the weak clips as wholes.

    Args:
        predictions: of a whole batch.
        strong: targets ``[clip, class, frame]`` of the strongly labelled clips.
        weak: targets ``[clip, class]`` of the weakly labelled clips.
        composition: where these clips are in the batch.
    """
    return HeadLosses(
        _cross_entropy(predictions.strong[composition.strong_clips], strong),
        _cross_entropy(predictions.weak[composition.weak_clips], weak),
    )


def _cross_entropy(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Mean over all values, 0 where there are none. In float32, since PyTorch refuses it in lower precision."""
    if not targets.numel():
        return probabilities.sum()
    with torch.autocast(probabilities.device.type, enabled=False):
        return functional.binary_cross_entropy(probabilities.float(), targets.float())


def consistency_losses(student: Predictions, teacher: Predictions) -> HeadLosses:
    """Mean squared differences from the teacher's predictions, over all clips of a batch; the teacher is given."""
    return HeadLosses(
        functional.mse_loss(student.strong, teacher.strong.detach()),
        functional.mse_loss(student.weak, teacher.weak.detach()),
    )


def weak_targets(strong: Tensor) -> Tensor:
    """Which classes occur at all ``[clip, class]``, from frame labels ``[clip, class, frame]``."""
    return (strong.sum(dim=2) > 0).to(strong.dtype)
