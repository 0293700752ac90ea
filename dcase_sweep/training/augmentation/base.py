"""The contract of an augmentation, and how a chain of them is applied."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor


@dataclass(frozen=True, slots=True)
class EventTargets:
    """The labels of a batch for sound event detection: its first clips are strongly labelled, the next ones weakly.

    Attributes:
        strong: ``[clip, class, frame]`` of the strongly labelled clips.
        weak: ``[clip, class]`` of the weakly labelled ones.
    """

    strong: Tensor
    weak: Tensor

    @property
    def strong_clips(self) -> slice:
        """Where the strongly labelled clips are in the batch."""
        return slice(0, len(self.strong))

    @property
    def weak_clips(self) -> slice:
        """Where the weakly labelled clips are in the batch."""
        return slice(len(self.strong), len(self.strong) + len(self.weak))


class Augmentation(Protocol):
    """A callable on a training batch; a function with ``_partial_: true``, or an object with ``__call__``.

    It returns new tensors and leaves those of the batch as they are. All that is random comes from ``rng`` or from
    PyTorch's default generator: both are seeded for each epoch, so that a resumed run repeats an uninterrupted one.

    A class of this package says by its attribute ``batches`` which batches it is for: ``clips`` or ``events``. A class
    may have a method ``check_shape``. It is called before data are read, with the shape of a clip's features
    ``(mel, frame)``, and raises ``ValueError`` for features that the augmentation cannot be applied to.
    """

    def __call__(self, features: Tensor, targets: Any, rng: np.random.Generator) -> tuple[Tensor, Any]:
        """The batch after the augmentation.

        Args:
            features: ``[batch, mel, frame]``. Of clips: normalised, so that 0 is the mean of a band. Of events: mel
                amplitudes before they become decibels, so that 0 is silence.
            targets: of clips: probabilities of the classes ``[batch, class]``. Of events: `EventTargets`.
            rng: NumPy's generator of the epoch.
        """
        ...


def apply_all(
    augmentations: Sequence[Augmentation], features: Tensor, targets: Any, rng: np.random.Generator
) -> tuple[Tensor, Any]:
    """The batch after each augmentation, in their order."""
    for augmentation in augmentations:
        features, targets = augmentation(features, targets, rng)
    return features, targets
