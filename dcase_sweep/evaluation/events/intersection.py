"""Intersection criteria of PSDS: true positives, false positives and cross-triggers at each threshold.

Bilen, Ferroni, Tuveri, Azcarreta, Krstulovic: A framework for the robust evaluation of sound event detection,
ICASSP 2020. The arithmetic is that of psds_eval 0.5.3, down to the order in which it rounds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.detections import Detections
from dcase_sweep.evaluation.events.f1 import F1, ClassF1, mean_over_classes
from dcase_sweep.evaluation.events.ground_truth import GroundTruth
from dcase_sweep.evaluation.events.pairs import pair_within_clips, ranges


@dataclass(frozen=True, slots=True, eq=False)
class IntersectionCounts:
    """Counts of each class at every threshold; only classes with a reference event are counted, as in psds_eval.

    `true_positives` [class, threshold] are reference events, `false_positives` [class, threshold] and
    `cross_triggers` [class, other class, threshold] are detections. `reference_events` [class],
    `reference_seconds` [class] and `total_seconds` describe the ground truth.
    """

    labels: tuple[str, ...]
    thresholds: NDArray[np.float64]
    true_positives: NDArray[np.intp]
    false_positives: NDArray[np.intp]
    cross_triggers: NDArray[np.intp]
    reference_events: NDArray[np.intp]
    reference_seconds: NDArray[np.float64]
    total_seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """Pairs of a detection and a reference event that overlap by `seconds` > 0, ordered by detection."""

    detection: NDArray[np.intp]
    event: NDArray[np.intp]
    seconds: NDArray[np.float64]


def find_overlaps(detections: Detections, truth: GroundTruth) -> Overlaps:
    """Find all overlaps within clips, of equal and different classes."""
    pairs = pair_within_clips(detections.clip, truth)
    detection, event = pairs.detection, pairs.event
    start = np.maximum(detections.onset[detection], truth.onset[event])
    stop = np.minimum(detections.offset[detection], truth.offset[event])
    together = stop > start
    return Overlaps(detection[together], event[together], (stop - start)[together])


def count_intersections(
    detections: Detections, truth: GroundTruth, *, dtc: float, gtc: float, cttc: float = 0.3
) -> IntersectionCounts:
    """Count at every threshold of `detections`.

    A detection is accepted if reference events of its class cover at least `dtc` of it. A reference event is a true
    positive if accepted detections cover at least `gtc` of it. A detection that is not accepted is a false positive,
    unless it begins after the end of its clip, and a cross-trigger with each other class that covers at least `cttc`
    of it.

    Args:
        dtc: detection tolerance criterion.
        gtc: ground truth intersection criterion.
        cttc: cross-trigger tolerance criterion.

    Raises:
        ValueError: a criterion outside (0, 1], or classes or clips in another order than the ground truth's.
    """
    found = find_intersections(detections, truth, dtc=dtc, gtc=gtc, cttc=cttc)
    n_labels, n_thresholds = len(truth.labels), len(detections.thresholds)
    true_positives = np.zeros((n_labels, n_thresholds), dtype=np.intp)
    np.add.at(true_positives, truth.label, found.covered)
    counted = np.flatnonzero(truth.events_per_label())
    return IntersectionCounts(
        labels=tuple(truth.labels[i] for i in counted),
        thresholds=detections.thresholds,
        true_positives=true_positives[counted],
        false_positives=_per_threshold(detections, detections.label, found.false_alarm, n_labels)[counted],
        cross_triggers=_cross_triggers(detections, found.crossing, found.other, n_labels)[np.ix_(counted, counted)],
        reference_events=truth.events_per_label()[counted],
        reference_seconds=_sums(truth.label, truth.offset - truth.onset, n_labels)[counted],
        total_seconds=float(truth.durations.sum()),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Intersections:
    """The results of the criteria for each event.

    `covered` [event, threshold]: whether a reference event is a true positive. `false_alarm` [detection]: whether a
    detection is a false positive. Detection `crossing` [pair] is a cross-trigger with the class `other` [pair].
    """

    covered: NDArray[np.bool_]
    false_alarm: NDArray[np.bool_]
    crossing: NDArray[np.intp]
    other: NDArray[np.intp]


def find_intersections(
    detections: Detections, truth: GroundTruth, *, dtc: float, gtc: float, cttc: float
) -> Intersections:
    """Apply the criteria of `count_intersections` to every event.

    Raises:
        ValueError: as `count_intersections`.
    """
    check_criteria(dtc=dtc, gtc=gtc, cttc=cttc)
    if detections.clips != truth.clips or detections.labels != truth.labels:
        raise ValueError("detections and ground truth name different clips or classes; decode with the ground truth's")
    pairs = find_overlaps(detections, truth)
    same = detections.label[pairs.detection] == truth.label[pairs.event]
    share = pairs.seconds / (detections.offset - detections.onset)[pairs.detection]
    accepted = _sums(pairs.detection[same], share[same], len(detections.clip)) >= dtc

    used = same & accepted[pairs.detection]
    covered = _covered_events(detections, truth, pairs, used, gtc)
    rejected = ~accepted
    false_alarm = rejected & (detections.onset < truth.durations[detections.clip])
    crossing, other = _crossings(detections, truth, pairs, ~same & rejected[pairs.detection], share, cttc)
    return Intersections(covered, false_alarm, crossing, other)


def intersection_f1(
    detections: Detections, truth: GroundTruth, *, dtc: float = 0.5, gtc: float = 0.5, cttc: float = 0.3
) -> F1:
    """Compute macro F1 of detections at one threshold by the intersection criteria.

    As in psds_eval's `compute_macro_f_score`, a class without a true positive is 0 / 0 and is left out of the average;
    `averaged` is the number of classes in it. Without any true positive the result is 0, as in the recipe.

    The 79.5 % published for the 2021 baseline and the 65.9 % of a later run of the same recipe come from systems of
    equal quality. Up to psds_eval 0.3.0, detections were identified by their row numbers. The recipe appended tables
    whose numbers started again at each batch, so detections of different clips with the same number were added.
    psds_eval numbers the rows itself since 0.4.0. The published detections of the student give 63.7 % here and with
    0.5.3, and 76.6 % with 0.3.0 and the published row numbers.

    Raises:
        ValueError: detections at more than one threshold, or a criterion outside (0, 1].
    """
    if len(detections.thresholds) != 1:
        raise ValueError(f"intersection F1 needs detections at one threshold; found {len(detections.thresholds)}")
    counts = count_intersections(detections, truth, dtc=dtc, gtc=gtc, cttc=cttc)
    per_class = []
    for i, label in enumerate(counts.labels):
        hits, false, events = counts.true_positives[i, 0], counts.false_positives[i, 0], counts.reference_events[i]
        per_class.append(
            ClassF1(
                label=label,
                f1=float(2 * hits / (hits + false + events)) if hits else float("nan"),
                precision=float(hits / (hits + false)) if hits + false else float("nan"),
                recall=float(hits / events),
                reference=int(events),
                detected=int(hits + false),
            )
        )
    macro, averaged = mean_over_classes(per_class)
    return F1(
        macro=0.0 if per_class and not averaged else macro,
        micro=None,
        per_class=tuple(per_class),
        averaged=averaged,
        rule=f"dtc {dtc:g}, gtc {gtc:g}, cttc {cttc:g}; psds_eval 0.4 or later",
    )


def check_criteria(**criteria: float) -> None:
    """Raises ValueError unless every criterion is in (0, 1]."""
    for name, value in criteria.items():
        if not 0 < value <= 1:
            raise ValueError(f"{name} is {value!r}; expected more than 0 and at most 1")


def _sums(group: NDArray[np.intp], values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Sum the values of each group [group], with the rounding of pandas in psds_eval.

    If a fraction equals its criterion, the last bit decides. pandas uses compensated summation (Kahan), which differs
    from three terms on.
    """
    sums = np.bincount(group, values, minlength=size).astype(np.float64, copy=False)
    many = np.flatnonzero((np.bincount(group, minlength=size) > 2)[group])
    many = many[np.argsort(group[many], kind="stable")]
    group, values = group[many], values[many]
    term = np.arange(len(group)) - np.searchsorted(group, group, side="left")
    sums[group] = 0
    lost = np.zeros(size)
    for number in range(int(term.max(initial=-1)) + 1):
        here = group[term == number]
        value = values[term == number] - lost[here]
        total = sums[here] + value
        lost[here] = total - sums[here] - value
        sums[here] = total
    return sums


def _covered_events(
    detections: Detections, truth: GroundTruth, pairs: Overlaps, used: NDArray[np.bool_], gtc: float
) -> NDArray[np.bool_]:
    """Find whether accepted detections cover a reference event sufficiently, [event, threshold]."""
    detection, event = pairs.detection[used], pairs.event[used]
    share = pairs.seconds[used] / (truth.offset - truth.onset)[event]
    first, last = detections.first[detection], detections.last[detection]
    n_thresholds = len(detections.thresholds)
    # Summed at each threshold separately, not as running differences, to keep the rounding of psds_eval.
    threshold = ranges(first, last)
    place = np.repeat(event, last - first) * n_thresholds + threshold
    sums = _sums(place, np.repeat(share, last - first), len(truth.clip) * n_thresholds)
    return sums.reshape(len(truth.clip), n_thresholds) >= gtc


def _crossings(
    detections: Detections,
    truth: GroundTruth,
    pairs: Overlaps,
    used: NDArray[np.bool_],
    share: NDArray[np.float64],
    cttc: float,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the detections that are cross-triggers, and the other classes; one entry for each pair."""
    n_labels = len(truth.labels)
    place = pairs.detection[used] * n_labels + truth.label[pairs.event[used]]
    sums = _sums(place, share[used], len(detections.clip) * n_labels)
    crossing = np.flatnonzero(sums >= cttc)
    return crossing // n_labels if n_labels else crossing, crossing % n_labels if n_labels else crossing


def _per_threshold(
    detections: Detections, group: NDArray[np.intp], counted: NDArray[np.bool_], n_groups: int
) -> NDArray[np.intp]:
    """Count the detections of each group at each threshold, [group, threshold]."""
    n_thresholds = len(detections.thresholds)
    change = np.zeros((n_groups, n_thresholds + 1), dtype=np.intp)
    np.add.at(change, (group[counted], detections.first[counted]), 1)
    np.add.at(change, (group[counted], detections.last[counted]), -1)
    return np.cumsum(change, axis=1)[:, :n_thresholds]


def _cross_triggers(
    detections: Detections, detection: NDArray[np.intp], other: NDArray[np.intp], n_labels: int
) -> NDArray[np.intp]:
    n_thresholds = len(detections.thresholds)
    change = np.zeros((n_labels, n_labels, n_thresholds + 1), dtype=np.intp)
    label = detections.label[detection]
    np.add.at(change, (label, other, detections.first[detection]), 1)
    np.add.at(change, (label, other, detections.last[detection]), -1)
    return np.cumsum(change, axis=2)[..., :n_thresholds]
