"""Which clips make up a batch of the mean teacher's."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Composition:
    """How many clips of each kind a batch holds, in this order."""

    strong: int = 12
    weak: int = 12
    unlabelled: int = 24

    def __post_init__(self) -> None:
        if min(self.sizes) < 0 or sum(self.sizes) == 0:
            raise ValueError(f"strong, weak, unlabelled = {self.sizes}: expected 0 or more of each, and a clip in all")

    @property
    def sizes(self) -> tuple[int, int, int]:
        """All three numbers."""
        return self.strong, self.weak, self.unlabelled

    @property
    def size(self) -> int:
        """Clips in all."""
        return sum(self.sizes)

    @property
    def strong_clips(self) -> slice:
        """Where the strongly labelled clips are in a batch."""
        return slice(0, self.strong)

    @property
    def weak_clips(self) -> slice:
        """Where the weakly labelled clips are in a batch."""
        return slice(self.strong, self.strong + self.weak)


@dataclass(frozen=True, slots=True)
class BatchRows:
    """The rows of each subset that make up one batch."""

    strong: NDArray[np.int64]
    weak: NDArray[np.int64]
    unlabelled: NDArray[np.int64]


class ComposedBatches:
    """The batches of an epoch, each of one composition; the epoch ends with the subset that is used up first.

    Every subset is shuffled for every epoch. The order is a function of the seed and the epoch's number alone, so
    that a resumed run sees the batches that the uninterrupted one would have seen.

    Args:
        strong: clips in the strongly labelled subset.
        weak: clips in the weakly labelled subset.
        unlabelled: clips in the unlabelled subset.
        composition: how many of each make a batch; of a subset with none it takes none.

    Raises:
        ValueError: if a subset is smaller than its share of one batch.
    """

    def __init__(self, *, strong: int, weak: int, unlabelled: int, composition: Composition, seed: int) -> None:
        self.subsets = (strong, weak, unlabelled)
        self.composition = composition
        self.seed = seed
        self.epoch = 0
        for name, clips, share in zip(("strong", "weak", "unlabelled"), self.subsets, composition.sizes, strict=True):
            if clips < share:
                raise ValueError(f"{name}: {clips} clips; expected at least the {share} that one batch takes")

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
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
