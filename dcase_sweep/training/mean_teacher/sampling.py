"""Selection of the clips of each batch of the mean teacher."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class BatchComposition:
    """Number of clips of each subset in a batch, in this order."""

    strong: int = 12
    weak: int = 12
    unlabelled: int = 24

    def __post_init__(self) -> None:
        if min(self.sizes) < 0 or sum(self.sizes) == 0:
            raise ValueError(f"strong, weak, unlabelled = {self.sizes}: expected 0 or more of each, and a clip in all")

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The three numbers as a tuple."""
        return self.strong, self.weak, self.unlabelled

    @property
    def size(self) -> int:
        """Number of clips in a batch."""
        return sum(self.sizes)

    @property
    def strong_clips(self) -> slice:
        """Positions of the strongly labelled clips in a batch."""
        return slice(0, self.strong)

    @property
    def weak_clips(self) -> slice:
        """Positions of the weakly labelled clips in a batch."""
        return slice(self.strong, self.strong + self.weak)


@dataclass(frozen=True, slots=True)
class BatchRows:
    """The clips of one batch, as rows of each subset."""

    strong: NDArray[np.int64]
    weak: NDArray[np.int64]
    unlabelled: NDArray[np.int64]


class MultiSourceBatchSampler:
    """Samples batches from three subsets. An epoch ends when the first subset has been used completely.

    Each subset is shuffled in each epoch. The order is a function of the seed and the number of the epoch, so that a
    resumed run uses the same batches as an uninterrupted one.

    Args:
        strong: number of strongly labelled clips.
        weak: number of weakly labelled clips.
        unlabelled: number of unlabelled clips.
        composition: number of clips of each subset in a batch.
        seed: seed of the order.

    Raises:
        ValueError: if a subset has fewer clips than one batch requires.
    """

    def __init__(self, *, strong: int, weak: int, unlabelled: int, composition: BatchComposition, seed: int) -> None:
        self.subsets = (strong, weak, unlabelled)
        self.composition = composition
        self.seed = seed
        self.epoch = 0
        for name, clips, share in zip(("strong", "weak", "unlabelled"), self.subsets, composition.sizes, strict=True):
            if clips < share:
                raise ValueError(f"{name}: {clips} clips; expected at least the {share} that one batch takes")

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that determines the next order."""
        self.epoch = epoch

    def __len__(self) -> int:
        return min(clips // share for clips, share in zip(self.subsets, self.composition.sizes, strict=True) if share)

    def __iter__(self) -> Iterator[BatchRows]:
        orders = [
            np.random.default_rng([self.seed, self.epoch, subset]).permutation(clips)
            for subset, clips in enumerate(self.subsets)
        ]
        for batch in range(len(self)):
            yield BatchRows(
                *(
                    order[batch * share : (batch + 1) * share]
                    for order, share in zip(orders, self.composition.sizes, strict=True)
                )
            )
