"""Segments of signals and the thresholds at which they are active: the component tree of many signals.

At a threshold, the detected segments of a signal are its maximal runs of frames above the threshold. Over all
thresholds they form a tree: as the threshold falls, a segment grows, merges with a neighbour and becomes another.
A signal of T frames has at most T distinct segments, however many thresholds there are, and each of them is
active for one interval of thresholds, so a count over segments is a sum of counts over intervals
(Ebbers, Serizel, Haeb-Umbach: Threshold-independent evaluation of sound event detection scores, ICASSP 2022).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """Segments of signals; frames `start:stop` of signal `track` are one segment at thresholds in [low, high).

    `parent` is the index of the segment that this one becomes when the threshold falls below `low`; -1 for none.
    """

    track: NDArray[np.intp]
    start: NDArray[np.intp]
    stop: NDArray[np.intp]
    low: NDArray[Any]
    high: NDArray[Any]
    parent: NDArray[np.intp]


def find_components(levels: NDArray[Any]) -> Components:
    """Find all distinct segments of `levels` [frame, track], which is above a threshold where it is active.

    The lowest value is never active: 0 for whole numbers (a level counts the thresholds below a score), minus
    infinity for scores. Segments are ordered by their lowest frame, then track.
    """
    frames, tracks = levels.shape
    base = 0 if np.issubdtype(levels.dtype, np.integer) else -np.inf
    padded = np.full((frames + 2, tracks), base, dtype=levels.dtype)
    padded[1:-1] = levels
    previous, lowest = _previous_lower(padded)
    following = _next_lower(padded)
    # A segment is identified by its lowest frame: the first frame with its minimum.
    frame, track = np.nonzero((lowest == np.arange(frames + 2)[:, None]) & (padded > base))
    before, after = previous[frame, track], following[frame, track]
    left, right = padded[before, track], padded[after, track]
    outer = np.where(left >= right, before, after)
    number = np.full(padded.shape, -1, dtype=np.intp)
    number[frame, track] = np.arange(len(frame))
    return Components(
        track=track,
        start=before.astype(np.intp),
        stop=after.astype(np.intp) - 1,
        low=np.maximum(left, right),
        high=padded[frame, track],
        parent=number[lowest[outer, track], track],
    )


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Active segments of signals: frames `start:stop` of signal `track`, ordered by track, then start."""

    track: NDArray[np.intp]
    start: NDArray[np.intp]
    stop: NDArray[np.intp]


def find_runs(active: NDArray[np.bool_]) -> Runs:
    """Find the maximal runs of active frames in `active` [frame, track]: the components at a single threshold."""
    frames, tracks = active.shape
    padded = np.zeros((tracks, frames + 2), dtype=np.bool_)
    padded[:, 1:-1] = active.T
    change = np.flatnonzero(padded[:, 1:] != padded[:, :-1])
    start, stop = change[::2], change[1::2]  # a track begins and ends inactive, so they alternate
    track = start // (frames + 1)
    return Runs(track, start - track * (frames + 1), stop - track * (frames + 1))


def _previous_lower(padded: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Find for every frame the last lower one before it, and the lowest frame of the segment that this one is in."""
    previous = np.zeros(padded.shape, dtype=np.int32)
    lowest = np.zeros(padded.shape, dtype=np.int32)
    tracks = np.arange(padded.shape[1])
    for frame in range(1, len(padded) - 1):
        found = _jump(padded, previous, frame, frame - 1)
        level = padded[found, tracks]
        equal = level == padded[frame]
        previous[frame] = np.where(equal, previous[found, tracks], found)
        lowest[frame] = np.where(equal, lowest[found, tracks], frame)
    return previous, lowest


def _next_lower(padded: NDArray[Any]) -> NDArray[np.int32]:
    last = len(padded) - 1
    following = np.full(padded.shape, last, dtype=np.int32)
    tracks = np.arange(padded.shape[1])
    for frame in range(last - 1, 0, -1):
        found = _jump(padded, following, frame, frame + 1)
        equal = padded[found, tracks] == padded[frame]
        following[frame] = np.where(equal, following[found, tracks], found)
    return following


def _jump(padded: NDArray[Any], lower: NDArray[np.int32], frame: int, neighbour: int) -> NDArray[np.int32]:
    """Find for every track the nearest frame, from `neighbour` on, that is not higher than `frame`."""
    found = np.full(padded.shape[1], neighbour, dtype=np.int32)
    higher = np.flatnonzero(padded[neighbour] > padded[frame])
    while higher.size:
        found[higher] = lower[found[higher], higher]
        higher = higher[padded[found[higher], higher] > padded[frame, higher]]
    return found
