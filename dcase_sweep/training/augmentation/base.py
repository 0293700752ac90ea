"""The interface of an augmentation, and the application of a chain of them."""

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
        UserError: if one does not return features and targets, or features of another type.
    """
    for position, augmentation in enumerate(augmentations, start=1):
        returned = augmentation(features, targets, rng)
        if not isinstance(returned, (tuple, list)) or len(returned) != 2:
            raise UserError(
                f"augmentation: number {position} of {len(augmentations)} returned a {type(returned).__name__}; "
                "expected features and targets"
            )
        found = getattr(returned[0], "dtype", type(returned[0]).__name__)
        clips = [len(each) for each in returned if isinstance(each, Tensor) and each.ndim]
        if len(set(clips)) > 1:  # the loss rejects them, and would be named
            raise UserError(
                f"augmentation: number {position} of {len(augmentations)} returned features of {clips[0]} clips and "
                f"targets of {clips[1]}; expected as many"
            )
        if found != features.dtype:  # a layer rejects it, far from here; NumPy's generator draws float64
            raise UserError(
                f"augmentation: number {position} of {len(augmentations)} returned features of type {found}; expected "
                f"{features.dtype}, as it was given"
            )
        features, targets = returned
    return features, targets
