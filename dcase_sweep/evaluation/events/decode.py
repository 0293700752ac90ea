"""Decoding of scores per frame to detected events, at all thresholds in one pass.

A class is active in a frame whose median-filtered score is above the threshold. The published recipes threshold
first and filter the binary values. A median commutes with a threshold, so filtering the scores gives the same events.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from dcase_sweep.evaluation.events.components import find_components, find_runs
from dcase_sweep.evaluation.events.detections import Detections
from dcase_sweep.utils.errors import DataError

#: Decimals of the times of frame borders (s): 0.192 instead of 0.19200000000000003.
TIME_DECIMALS = 6
#: Probabilities may be outside of 0 to 1 by this much, as sums of float32 are.
_ROUNDING = 1e-5

#: Number of thresholds of PSDS in the DCASE 2021 recipe.
OFFICIAL_THRESHOLDS = 50


def psds_thresholds(count: int = OFFICIAL_THRESHOLDS) -> NDArray[np.float64]:
    """Return the thresholds of the DCASE 2021 recipe, the middles of `count` equal parts: 0.01, 0.03 ... for 50."""
    return np.arange(1 / (2 * count), 1, 1 / count, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class ScoreBatch:
    """Filtered scores of the clips with the same frames.

    `clip` [clip] are indices into the clips' names; `values` are [frame, clip, class], so that all clips and classes of
    a frame are processed together. `borders` [frame + 1] are the times (s) at which frames begin and end.
    """

    clip: NDArray[np.intp]
    values: NDArray[np.floating[Any]]
    borders: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FilteredScores:
    """Scores of a set of clips after any filter."""

    clips: tuple[str, ...]
    labels: tuple[str, ...]
    batches: tuple[ScoreBatch, ...]


def filter_scores(
    scores: Mapping[str, NDArray[np.floating[Any]]],
    *,
    labels: Sequence[str],
    hop: float,
    median_length: int | Mapping[str, int] = 7,
    clips: Sequence[str] | None = None,
) -> FilteredScores:
    """Median-filter the scores over time; at its ends a clip is mirrored (SciPy's `reflect`), as in the recipes.

    Args:
        scores: [frame, class] of every clip, 0 to 1; clips may differ in their number of frames.
        labels: classes in the order of the columns.
        hop: time from frame to frame (s); 256 / 16000 * 4 in the 2021 recipe.
        median_length: length of the filter in frames: one for all classes, or one for each by name. 1 does not filter.
        clips: names and order of the clips, all of which need scores; None uses those of `scores`.

    Raises:
        DataError: scores of a clip are missing, of another shape, not finite or not from 0 to 1, one line a clip.
        ValueError: a hop or a length that is not positive, or classes without a length.
    """
    return _filter_clips(scores, labels, hop, median_length, clips, _filter)


def filter_decisions(
    scores: Mapping[str, NDArray[np.floating[Any]]],
    *,
    threshold: float,
    labels: Sequence[str],
    hop: float,
    median_length: int | Mapping[str, int] = 7,
    clips: Sequence[str] | None = None,
) -> FilteredScores:
    """Return 1 where the result of `filter_scores` is above a threshold, otherwise 0, many times faster.

    The median of a window is above the threshold if most of its scores are, which are counted.

    Args:
        threshold: the threshold, in the precision of the scores.
        scores: as for `filter_scores`, like all further arguments.

    Raises:
        DataError: likewise.
        ValueError: likewise.
    """

    def decide(values: NDArray[np.floating[Any]], lengths: NDArray[np.intp]) -> NDArray[np.floating[Any]]:
        return _count_majorities(values > values.dtype.type(threshold), lengths).astype(values.dtype)

    return _filter_clips(scores, labels, hop, median_length, clips, decide)


def _filter_clips(
    scores: Mapping[str, NDArray[np.floating[Any]]],
    labels: Sequence[str],
    hop: float,
    median_length: int | Mapping[str, int],
    clips: Sequence[str] | None,
    filter_values: Callable[[NDArray[np.floating[Any]], NDArray[np.intp]], NDArray[np.floating[Any]]],
) -> FilteredScores:
    """Filter clips with the same number of frames together."""
    if not hop > 0:
        raise ValueError(f"hop is {hop!r}; expected a positive number of seconds")
    lengths = _median_lengths(median_length, labels)
    clips = tuple(scores if clips is None else clips)
    _check_scores(scores, clips, len(labels))
    by_frames: dict[int, list[int]] = {}
    for index, name in enumerate(clips):
        by_frames.setdefault(len(scores[name]), []).append(index)
    batches = []
    for frames, members in sorted(by_frames.items()):
        if frames:
            values = _as_float(np.stack([scores[clips[index]] for index in members], axis=1))
            borders = np.round(np.arange(frames + 1) * float(hop), TIME_DECIMALS)
            batches.append(ScoreBatch(np.array(members, dtype=np.intp), filter_values(values, lengths), borders))
    return FilteredScores(clips, tuple(labels), tuple(batches))


def decode(scores: FilteredScores, thresholds: Sequence[float] | NDArray[np.float64]) -> Detections:
    """Find the events at every threshold: runs of frames with a score above it, compared in the scores' precision.

    Raises:
        ValueError: no threshold.
    """
    limits = np.unique(np.asarray(thresholds, dtype=np.float64))
    if not limits.size:
        raise ValueError("no threshold to decode at; expected at least one")
    columns: list[tuple[NDArray[Any], ...]] = []
    for batch in scores.batches:
        frames, clips, labels = batch.values.shape
        track, start, stop, low, high = _find_segments(batch.values.reshape(frames, clips * labels), limits)
        times = batch.borders
        columns.append((batch.clip[track // labels], track % labels, times[start], times[stop], low, high))
    if not columns:
        columns.append(tuple(np.empty(0) for _ in range(6)))
    clip, label, onset, offset, low, high = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    order = np.lexsort((offset, onset, label, clip))
    return Detections(
        scores.clips,
        scores.labels,
        limits,
        clip[order].astype(np.intp),
        label[order].astype(np.intp),
        onset[order],
        offset[order],
        low[order].astype(np.intp),
        high[order].astype(np.intp),
    )


def _find_segments(
    values: NDArray[np.floating[Any]], thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Find the segments of `values` [frame, track]: track, first frame, frame after the last one, thresholds."""
    limits = thresholds.astype(values.dtype)
    if len(limits) == 1:
        runs = find_runs(values > limits[0])
        low = np.zeros(len(runs.track), dtype=np.intp)
        return runs.track, runs.start, runs.stop, low, low + 1
    track = np.flatnonzero((values > limits[0]).any(axis=0))
    found = find_components(np.searchsorted(limits, values[:, track], side="left"))
    return track[found.track], found.start, found.stop, found.low, found.high


def _as_float(values: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Return values in a precision that can be filtered: decisions as numbers, float16 as float32."""
    if values.dtype in (np.float32, np.float64):
        return values
    return values.astype(np.float32 if values.dtype == np.float16 else np.float64)


def _median_lengths(median_length: int | Mapping[str, int], labels: Sequence[str]) -> NDArray[np.intp]:
    if isinstance(median_length, Mapping):
        missing = [label for label in labels if label not in median_length]
        if missing:
            raise ValueError(f"median_length lacks {', '.join(missing)}; expected frames for every class")
        lengths = [median_length[label] for label in labels]
    else:
        lengths = [median_length] * len(labels)
    for label, length in zip(labels, lengths, strict=True):
        if length != int(length) or length < 1:
            raise ValueError(f"median_length of {label} is {length!r}; expected whole frames, 1 or more")
    return np.array(lengths, dtype=np.intp)


def _check_scores(scores: Mapping[str, NDArray[np.floating[Any]]], clips: Sequence[str], n_labels: int) -> None:
    problems = []
    for name in clips:
        if name not in scores:
            problems.append(f"scores of {name}: missing; expected [frame, {n_labels}]")
        elif scores[name].ndim != 2 or scores[name].shape[1] != n_labels:
            found = list(scores[name].shape)
            problems.append(f"scores of {name}: shape {found}; expected [frame, {n_labels}], one column a class")
        elif scores[name].size:
            low, high = float(scores[name].min()), float(scores[name].max())
            if not np.isfinite([low, high]).all():
                problems.append(f"scores of {name}: not finite; expected numbers (did the training diverge?)")
            elif low < -_ROUNDING or high > 1 + _ROUNDING:
                problems.append(f"scores of {name}: from {low:g} to {high:g}; expected probabilities, 0 to 1")
    if problems:
        raise DataError(problems)


def _count_majorities(active: NDArray[np.bool_], lengths: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether the median of each window of ``[frame, clip, class]`` is above the threshold that the active ones are."""
    frames = len(active)
    decided = np.empty_like(active)
    for length in np.unique(lengths):
        same = lengths == length
        margin = int(length) // 2
        mirrored = np.pad(active[..., same], ((margin, margin), (0, 0), (0, 0)), mode="symmetric")
        # Sums may overflow, because only their differences are used, which are at most the length.
        sums = np.zeros((len(mirrored) + 1, *mirrored.shape[1:]), dtype=np.uint8 if length < 256 else np.uint32)
        np.cumsum(mirrored, axis=0, dtype=sums.dtype, out=sums[1:])
        # SciPy takes the upper one of the two middle values of a window of even length.
        decided[..., same] = sums[length : length + frames] - sums[:frames] >= length - length // 2
    return decided


def _filter(values: NDArray[np.floating[Any]], lengths: NDArray[np.intp]) -> NDArray[np.floating[Any]]:
    frames = len(values)
    filtered = np.empty_like(values)
    for length in np.unique(lengths):
        same = lengths == length
        # SciPy 1.17 filters wrongly if a clip is shorter than half the filter, so the mirrored values are added here.
        margin = int(length) // 2
        mirrored = np.pad(values[..., same], ((margin, margin), (0, 0), (0, 0)), mode="symmetric")
        filtered[..., same] = median_filter(mirrored, size=(int(length), 1, 1))[margin : margin + frames]
    return filtered
