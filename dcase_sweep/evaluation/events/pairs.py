"""All pairs of a detection and a reference event in the same clip, or in the same clip and class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.ground_truth import GroundTruth


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of a detection and a reference event, ordered by detection, then by class and onset of the event."""

    detection: NDArray[np.intp]
    event: NDArray[np.intp]


def pair_within_clips(clip: NDArray[np.intp], truth: GroundTruth) -> Pairs:
    """Pair every detection, in `clip` [detection], with every reference event of its clip."""
    return _pair(truth.clip, clip)


def pair_within_classes(clip: NDArray[np.intp], label: NDArray[np.intp], truth: GroundTruth) -> Pairs:
    """Pair every detection, of `clip` and `label` [detection], with every reference event of its clip and class."""
    n_labels = len(truth.labels)
    return _pair(truth.clip * n_labels + truth.label, clip * n_labels + label)


def ranges(start: NDArray[np.intp], stop: NDArray[np.intp]) -> NDArray[np.intp]:
    """Concatenate the ranges start[0] ... stop[0]-1, start[1] ... stop[1]-1 and so on."""
    lengths = stop - start
    return np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths - start, lengths)


def _pair(place: NDArray[np.intp], wanted: NDArray[np.intp]) -> Pairs:
    """Pair by place; the events of the ground truth are ordered, so those of one place are neighbours."""
    start, stop = np.searchsorted(place, wanted, side="left"), np.searchsorted(place, wanted, side="right")
    return Pairs(np.repeat(np.arange(len(wanted)), stop - start), ranges(start, stop))
