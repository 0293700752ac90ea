"""The interface of an augmentation, and the application of a chain of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from dcase_sweep.utils.errors import UserError


@dataclass(frozen=True, slots=True)
class EventTargets:
    """The labels of a batch for sound event detection: first the strongly labelled clips, then the weakly labelled
    ones.

    Attributes:
        strong: labels of the strongly labelled clips, ``[clip, class, frame]``.
        weak: labels of the weakly labelled clips, ``[clip, class]``.
    """

    strong: Tensor
    weak: Tensor

    @property
    def strong_clips(self) -> slice:
        """The slice of the strongly labelled clips in the batch."""
        return slice(0, len(self.strong))

    @property
    def weak_clips(self) -> slice:
        """The slice of the weakly labelled clips in the batch."""
        return slice(len(self.strong), len(self.strong) + len(self.weak))


class Augmentation(Protocol):
    """A callable on a training batch: a function with ``_partial_: true``, or an object with ``__call__``.

    It returns new tensors and does not change those of the batch. All random numbers must come from ``rng`` or from
    PyTorch's default generator. Both are seeded for each epoch, so that a resumed run repeats an uninterrupted one.

    The attribute ``batches`` of a class in this package is the kind of batches that it supports: ``clips`` or
    ``events``. A class may have a method ``check_shape``. It is called before data are read, with the shape of a clip's
    features ``(mel, frame)``, and raises ``ValueError`` for features that the augmentation cannot be applied to.
    """

    def __call__(self, features: Tensor, targets: Any, rng: np.random.Generator, /) -> tuple[Tensor, Any]:
        """Augment the batch.

        Args:
            features: ``[batch, mel, frame]``. For clips: normalised, so that 0 is the mean of a band. For events: mel
                amplitudes before the conversion to decibels, so that 0 is silence.
            targets: for clips: probabilities of the classes ``[batch, class]``; for events: `EventTargets`.
            rng: NumPy's generator of the epoch.
        """
        ...


def apply_all(
    augmentations: Sequence[Augmentation], features: Tensor, targets: Any, rng: np.random.Generator
) -> tuple[Tensor, Any]:
    """Apply augmentations to the batch in order.

    Raises:
        UserError: if one does not return features and targets, or features of another type or shape.
    """
    for position, augmentation in enumerate(augmentations, start=1):
        returned = augmentation(features, targets, rng)
        fault = _find_fault(returned, features)
        if fault is not None:
            raise UserError(f"augmentation: number {position} of {len(augmentations)} returned {fault}")
        features, targets = returned
    return features, targets


def _find_fault(returned: Any, given: Tensor) -> str | None:
    """Describe what is wrong with the result of an augmentation of these features; None if nothing is.

    The network or the loss would reject it, far from here, or compute something else.
    """
    if not isinstance(returned, (tuple, list)) or len(returned) != 2:
        return f"a {type(returned).__name__}; expected features and targets"
    features, targets = returned
    if not isinstance(features, Tensor):
        return f"features that are a {type(features).__name__}; expected a tensor, as it was given"
    if features.dtype != given.dtype:  # NumPy's generator draws float64
        return f"features of type {features.dtype}; expected {given.dtype}, as it was given"
    clips = [len(each) for each in (features, targets) if isinstance(each, Tensor) and each.ndim]
    if len(set(clips)) > 1:
        return f"features of {clips[0]} clips and targets of {clips[1]}; expected as many"
    first = 0 if isinstance(targets, EventTargets) else 1  # of which only the first clips are labelled
    if features.ndim != given.ndim or features.shape[first:] != given.shape[first:]:
        return f"features {list(features.shape)}; expected {list(given.shape)}, as it was given"
    if features.device.type == "cpu" and not math.isfinite(float(features.sum())):  # a GPU would be waited for
        return "features with NaN or infinite values; expected finite ones"
    return None
