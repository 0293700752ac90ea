"""PSDS over all thresholds instead of a grid of thresholds.

Ebbers, Serizel, Haeb-Umbach: Threshold-independent evaluation of sound event detection scores, ICASSP 2022. The
results equal those of sed_scores_eval. The algorithm differs: every distinct segment of the scores is evaluated once,
and its contribution to a count applies to the thresholds at which it is active.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.components import Components, find_components
from dcase_sweep.evaluation.events.decode import FilteredScores
from dcase_sweep.evaluation.events.ground_truth import GroundTruth
from dcase_sweep.evaluation.events.pairs import pair_within_classes
from dcase_sweep.evaluation.events.psds import (
    SCENARIOS,
    SECONDS_PER_HOUR,
    ClassRoc,
    CrossTriggerAverage,
    Psds,
    PsdsParameters,
    cross_trigger_weight,
    score_curves,
)

#: Times are whole microseconds, as in sed_scores_eval, so that a criterion that is met exactly counts as met.
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class _Segments:
    """All distinct segments of one batch of scores, with their overlaps in microseconds.

    `clip`, `label` [segment]; `border` [frame border] are times. `covered` [row, frame border] is the running sum of
    what reference events cover, `covered_row` [clip, class] the row of a clip and class with events, or -1.
    """

    tree: Components
    clip: NDArray[np.intp]
    label: NDArray[np.intp]
    border: NDArray[np.int64]
    covered: NDArray[np.int64]
    covered_row: NDArray[np.intp]

    def length(self) -> NDArray[np.int64]:
        return self.border[self.tree.stop] - self.border[self.tree.start]

    def overlap(self, segment: NDArray[np.intp], label: NDArray[np.intp] | int) -> NDArray[np.int64]:
        """Return how much of the segments reference events of a class cover; 0 if the clip has none."""
        row = self.covered_row[self.clip[segment], label]
        start, stop = self.tree.start[segment], self.tree.stop[segment]
        return np.where(row >= 0, self.covered[row, stop] - self.covered[row, start], 0)


@dataclass(frozen=True, slots=True, eq=False)
class _Changes:
    """Changes of counts when the threshold falls below `score` [change]; `amount` is a count or a rate."""

    label: NDArray[np.intp]
    score: NDArray[np.floating[Any]]
    amount: NDArray[np.float64]


def exact_psds(
    scores: FilteredScores,
    truth: GroundTruth,
    *,
    parameters: Sequence[PsdsParameters] = SCENARIOS,
    cross_trigger_average: CrossTriggerAverage | Sequence[CrossTriggerAverage] = "others",
) -> tuple[Psds, ...]:
    """Compute PSDS of each of `parameters` over all thresholds, as sed_scores_eval does.

    The result is about 0.01 higher than PSDS from 50 thresholds. Unlike psds_eval, it counts false positives that begin
    after the end of a shorter clip. Only classes with a reference event are evaluated.

    Args:
        cross_trigger_average: one for all of `parameters`, or one for each.

    Raises:
        ValueError: clips or classes in another order than the ground truth's, or an unknown average.
    """
    if scores.clips != truth.clips or scores.labels != truth.labels:
        raise ValueError("scores and ground truth name different clips or classes; filter with the ground truth's")
    batches = _find_segments(scores, truth)
    counted = np.flatnonzero(truth.events_per_label())
    if isinstance(cross_trigger_average, str):
        averages: Sequence[CrossTriggerAverage] = [cross_trigger_average for _ in parameters]
    else:
        averages = cross_trigger_average
    results = []
    for wanted, average in zip(parameters, averages, strict=True):
        weight = cross_trigger_weight(len(counted), average)
        accepted = [_accepted(batch, wanted.dtc) for batch in batches]
        hits = [_hits(batch, truth, ok, wanted.gtc) for batch, ok in zip(batches, accepted, strict=True)]
        costs = [
            _costs(batch, truth, ok, wanted.cttc, wanted.alpha_ct * weight)
            for batch, ok in zip(batches, accepted, strict=True)
        ]
        curves = [_class_roc(hits, costs, label, truth.events_per_label()[label]) for label in counted]
        results.append(
            score_curves(
                curves,
                tuple(truth.labels[i] for i in counted),
                wanted,
                cross_trigger_average=average,
                thresholds=None,
            )
        )
    return tuple(results)


def _find_segments(scores: FilteredScores, truth: GroundTruth) -> list[_Segments]:
    found = []
    n_labels = len(truth.labels)
    for batch in scores.batches:
        frames, clips, _ = batch.values.shape
        tree = find_components(batch.values.reshape(frames, clips * n_labels))
        border = _microseconds(batch.borders)
        covered, covered_row = _coverage(truth, border)
        found.append(
            _Segments(tree, batch.clip[tree.track // n_labels], tree.track % n_labels, border, covered, covered_row)
        )
    return found


def _coverage(truth: GroundTruth, border: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    n_labels = len(truth.labels)
    onset, offset = _microseconds(truth.onset), _microseconds(truth.offset)
    per_event = np.clip(border[None, :], onset[:, None], offset[:, None]) - onset[:, None]
    tracks, row = np.unique(truth.clip * n_labels + truth.label, return_inverse=True)
    covered = np.zeros((len(tracks) + 1, len(border)), dtype=np.int64)
    np.add.at(covered, row, per_event)
    covered_row = np.full(len(truth.clips) * n_labels, -1, dtype=np.intp)
    covered_row[tracks] = np.arange(len(tracks))
    return covered, covered_row.reshape(len(truth.clips), n_labels)


def _accepted(batch: _Segments, dtc: float) -> NDArray[np.bool_]:
    """Find the segments that reference events of their class cover sufficiently."""
    accepted = np.zeros(len(batch.clip), dtype=bool)
    near = np.flatnonzero(batch.covered_row[batch.clip, batch.label] >= 0)
    accepted[near] = batch.overlap(near, batch.label[near]) >= np.rint(dtc * batch.length()[near])
    return accepted


def _costs(batch: _Segments, truth: GroundTruth, accepted: NDArray[np.bool_], cttc: float, weight: float) -> _Changes:
    """Compute the changes of the effective false positive rate (1/h)."""
    cost = np.where(accepted, 0.0, SECONDS_PER_HOUR / truth.durations.sum())
    if weight:
        needed = np.rint(cttc * batch.length())
        seconds = np.bincount(truth.label, truth.offset - truth.onset, minlength=len(truth.labels))
        for label in np.flatnonzero(truth.events_per_label()):
            other = ~accepted & (batch.label != label) & (batch.covered_row[batch.clip, label] >= 0)
            segment = np.flatnonzero(other)
            crossing = segment[batch.overlap(segment, label) >= needed[segment]]
            cost[crossing] += weight * SECONDS_PER_HOUR / seconds[label]
    # A segment replaces those that merge into it, so there is no change if its costs equal theirs.
    child = np.flatnonzero(batch.tree.parent >= 0)
    change = cost - np.bincount(batch.tree.parent[child], cost[child], minlength=len(cost))
    changed = np.flatnonzero(change)
    return _Changes(batch.label[changed], batch.tree.high[changed], change[changed].astype(np.float64))


def _hits(batch: _Segments, truth: GroundTruth, accepted: NDArray[np.bool_], gtc: float) -> _Changes:
    """Compute the changes of the number of reference events that accepted segments cover sufficiently."""
    segment, event, overlap = _pairs(batch, truth, accepted)
    low, high = batch.tree.low[segment], batch.tree.high[segment]
    ends = low > -np.inf
    event = np.concatenate([event, event[ends]])
    score = np.concatenate([high, low[ends]])
    amount = np.concatenate([overlap, -overlap[ends]])
    order = np.lexsort((-score, event))
    event, score, amount = event[order], score[order], amount[order]
    if not event.size:
        return _Changes(np.empty(0, dtype=np.intp), score, np.empty(0))

    # The coverage of each reference event as the threshold falls, below each of its scores.
    running = np.cumsum(amount)
    begins = np.append(True, event[1:] != event[:-1])
    before = np.append(0, running[:-1])[begins]
    covered = running - np.repeat(before, np.diff(np.append(np.flatnonzero(begins), len(event))))
    settled = np.append((event[1:] != event[:-1]) | (score[1:] != score[:-1]), True)
    event, score, covered = event[settled], score[settled], covered[settled]
    length = _microseconds(truth.offset) - _microseconds(truth.onset)
    hit = (covered >= np.rint(gtc * length[event])).astype(np.float64)
    previous = np.append(0.0, hit[:-1])
    previous[np.append(True, event[1:] != event[:-1])] = 0
    changed = np.flatnonzero(hit != previous)
    return _Changes(truth.label[event[changed]], score[changed], (hit - previous)[changed])


def _pairs(
    batch: _Segments, truth: GroundTruth, accepted: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]:
    """Pair accepted segments with the reference events of their class that they overlap, and by how much."""
    segment = np.flatnonzero(accepted)
    pairs = pair_within_classes(batch.clip[segment], batch.label[segment], truth)
    segment, event = segment[pairs.detection], pairs.event
    begin = np.maximum(batch.border[batch.tree.start[segment]], _microseconds(truth.onset)[event])
    end = np.minimum(batch.border[batch.tree.stop[segment]], _microseconds(truth.offset)[event])
    together = end > begin
    return segment[together], event[together], (end - begin)[together]


def _class_roc(hits: Sequence[_Changes], costs: Sequence[_Changes], label: int, events: int) -> ClassRoc:
    """Compute the operating points of one class, one for each score at which a count changes."""
    hit_score, hit_amount = _of_label(hits, label)
    cost_score, cost_amount = _of_label(costs, label)
    score = np.concatenate([hit_score, cost_score])
    order = np.argsort(-score)
    settled = np.append(np.diff(score[order]) != 0, len(score) > 0)
    hit = np.cumsum(np.concatenate([hit_amount, np.zeros(len(cost_score))])[order])
    cost = np.cumsum(np.concatenate([np.zeros(len(hit_score)), cost_amount])[order])
    # Rounding can make a running sum of rates -1e-16 instead of 0.
    return ClassRoc(tpr=hit[settled] / events, effective_fpr=np.maximum(cost[settled], 0))


def _of_label(changes: Sequence[_Changes], label: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not changes:
        return np.empty(0), np.empty(0)
    mine = [item.label == label for item in changes]
    return (
        np.concatenate([item.score[own] for item, own in zip(changes, mine, strict=True)]).astype(np.float64),
        np.concatenate([item.amount[own] for item, own in zip(changes, mine, strict=True)]),
    )


def _microseconds(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(seconds * MICROSECONDS).astype(np.int64)
