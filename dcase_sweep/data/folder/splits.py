"""Splits of labelled recordings: names of splits in tables, held-out groups, and folds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

#: Names of splits in tables, in lower case.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation", "evaluate"),
}
_SPLIT_OF_WORD = {word: split for split, words in SPLITS.items() for word in words}


def parse_split(word: str) -> str | None:
    """Return ``train``, ``validation`` or ``test`` for the name of a split in a table; None for any other word."""
    return _SPLIT_OF_WORD.get(word.strip().lower())


@dataclass(frozen=True, slots=True, eq=False)
class Strata:
    """Groups of recordings that must not be divided, and the number of recordings of each label in each group.

    Attributes:
        group: index of each recording's group ``[recording]``.
        counts: recordings of each label in each group ``[group, label]``.
    """

    group: Indices
    counts: Indices

    @classmethod
    def of(cls, labels: Sequence[Sequence[str]], groups: Sequence[str]) -> "Strata":
        """Count the labels in each group. A recording may have several labels or none."""
        names = sorted(set(groups))
        known = sorted({label for of_recording in labels for label in of_recording})
        group_index = {name: index for index, name in enumerate(names)}
        label_index = {label: index for index, label in enumerate(known)}
        group = np.array([group_index[name] for name in groups], dtype=np.int64)
        counts = np.zeros((len(names), len(known)), dtype=np.int64)
        for place, of_recording in zip(group, labels, strict=True):
            for label in of_recording:
                counts[place, label_index[label]] += 1
        return cls(group, counts)


def hold_out(strata: Strata, candidates: Indices, *, fraction: float, seed: int) -> Indices:
    """Select whole groups with about ``fraction`` of the recordings of each label.

    Groups are visited in random order. A group is selected if that brings the number of recordings of each label closer
    to the fraction, but at least one group of each label remains. At least one group is selected, if possible.

    Args:
        strata: all recordings.
        candidates: indices of the recordings from which to select.
        fraction: fraction between 0 and 1.
        seed: seed of the random order.

    Returns:
        The indices of the selected recordings, in ascending order.
    """
    present = np.unique(strata.group[candidates])
    counts = strata.counts[present].astype(np.float64)
    bare = (counts.sum(axis=1) == 0).astype(np.float64)  # groups without a label are a separate stratum
    counts = np.column_stack([counts, bare])
    counts /= np.maximum(counts.sum(axis=0), 1)
    left = (counts > 0).sum(axis=0)
    owed = np.full(counts.shape[1], fraction)
    order = np.random.default_rng(seed).permutation(len(present))
    chosen: list[int] = []
    for row in order:
        has = counts[row] > 0
        is_closer = ((owed - counts[row]) ** 2)[has].sum() < (owed**2)[has].sum()
        if is_closer and (left[has] > 1).all():
            chosen.append(row)
            owed = owed - counts[row]
            left = left - has
    if not chosen:
        chosen = [row for row in order if (left[counts[row] > 0] > 1).all()][:1]
    return candidates[np.isin(strata.group[candidates], present[chosen])]


def make_folds(strata: Strata, folds: int, seed: int) -> Indices:
    """Divide recordings into folds of whole groups with about the same number of each label.

    Groups are visited from the largest to the smallest, equal ones in random order. Each is added to the fold with the
    fewest recordings of its labels.

    Returns:
        The fold of each recording, from 1 ``[recording]``.
    """
    size = np.bincount(strata.group, minlength=len(strata.counts))
    total = np.maximum(strata.counts.sum(axis=0), 1)
    order = np.random.default_rng(seed).permutation(len(size))
    order = order[np.argsort(-size[order], kind="stable")]
    filled = np.zeros((folds, strata.counts.shape[1]))
    members = np.zeros(folds)
    fold_of_group = np.zeros(len(size), dtype=np.int64)
    for row in order:
        shares = strata.counts[row] / total
        fold = min(range(folds), key=lambda each: (round(float(filled[each] @ shares), 12), members[each]))
        filled[fold] += shares
        members[fold] += size[row]
        fold_of_group[row] = fold + 1
    found: Indices = fold_of_group[strata.group]
    return found
