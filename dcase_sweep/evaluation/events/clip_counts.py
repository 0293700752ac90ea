"""Counts of PSDS and collar F1 for each clip, from which metrics of resampled clips are computed as weighted sums."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.collar import match_events
from dcase_sweep.evaluation.events.detections import Detections
from dcase_sweep.evaluation.events.f1 import F1Criteria
from dcase_sweep.evaluation.events.ground_truth import GroundTruth
from dcase_sweep.evaluation.events.intersection import IntersectionCounts, find_intersections
from dcase_sweep.evaluation.events.psds import CrossTriggerAverage, PsdsParameters, psds_of_counts
from dcase_sweep.evaluation.resampling import Statistic
from dcase_sweep.utils.errors import UserError

#: Largest size of the counts in memory, in bytes. Those of 1,168 clips take 40 MB.
_LARGEST = 2**30


@dataclass(frozen=True, slots=True, eq=False)
class ClipCounts:
    """Counts of each clip; `clips` and `labels` are names.

    `hits`, `events`, `detected` [clip, class]: of collar F1. `seconds` [clip, class] of reference events, `durations`
    [clip] of clips. `true_positives`, `false_positives` [scenario, clip, class, threshold] and `cross_triggers`
    [scenario, clip, class, other class, threshold]: of PSDS.
    """

    clips: NDArray[np.str_]
    labels: NDArray[np.str_]
    durations: NDArray[np.float64]
    seconds: NDArray[np.float64]
    events: NDArray[np.int16]
    hits: NDArray[np.int16]
    detected: NDArray[np.int16]
    true_positives: NDArray[np.int16]
    false_positives: NDArray[np.int16]
    cross_triggers: NDArray[np.int16]


def count_clips(
    detections: Detections,
    decisions: Detections,
    truth: GroundTruth,
    *,
    scenarios: Sequence[PsdsParameters],
    criteria: F1Criteria = F1Criteria(),  # noqa: B008 (it cannot change)
) -> ClipCounts:
    """Count the detections of each clip.

    Args:
        detections: detections at the thresholds of PSDS.
        decisions: detections at the threshold of F1.
        truth: ground truth of the same clips and classes.
        scenarios: parameters of the PSDS scenarios.
        criteria: criteria of collar F1.

    Raises:
        ValueError: as `count_intersections` and `collar_f1`.
    """
    shape = (len(truth.clips), len(truth.labels))
    place = truth.clip * shape[1] + truth.label
    found = match_events(decisions, truth, **criteria.collars)
    seconds, events, hits, detected = (
        np.bincount(places, weights, minlength=math.prod(shape)).reshape(shape)
        for places, weights in (
            (place, truth.offset - truth.onset),
            (place, None),
            (place[found.events], None),
            (decisions.clip * shape[1] + decisions.label, None),
        )
    )
    return ClipCounts(
        clips=np.array(truth.clips),
        labels=np.array(truth.labels),
        durations=truth.durations,
        seconds=seconds.astype(np.float64),
        events=events.astype(np.int16),
        hits=hits.astype(np.int16),
        detected=detected.astype(np.int16),
        **_count_intersections(detections, truth, scenarios),
    )


def _count_intersections(
    detections: Detections, truth: GroundTruth, scenarios: Sequence[PsdsParameters]
) -> dict[str, NDArray[np.int16]]:
    """Return the counts of PSDS by their names in `ClipCounts`."""
    n_clips, n_labels, n_thresholds = len(truth.clips), len(truth.labels), len(detections.thresholds)
    place, where = truth.clip * n_labels + truth.label, detections.clip * n_labels + detections.label
    true_positives = np.zeros((len(scenarios), n_clips * n_labels, n_thresholds), dtype=np.int16)
    # The changes from each threshold to the next, of which sums give the counts.
    false_positives = np.zeros((len(scenarios), n_clips * n_labels, n_thresholds + 1), dtype=np.int16)
    cross_triggers = np.zeros((len(scenarios), n_clips * n_labels**2, n_thresholds + 1), dtype=np.int16)
    for index, wanted in enumerate(scenarios):
        each = find_intersections(detections, truth, dtc=wanted.dtc, gtc=wanted.gtc, cttc=wanted.cttc)
        np.add.at(true_positives[index], place, each.covered)
        _add(false_positives[index], where[each.false_alarm], detections, np.flatnonzero(each.false_alarm))
        if wanted.alpha_ct:
            _add(cross_triggers[index], where[each.crossing] * n_labels + each.other, detections, each.crossing)
    shape = (len(scenarios), n_clips, n_labels)
    return {
        "true_positives": true_positives.reshape(*shape, n_thresholds),
        "false_positives": _sum_changes(false_positives).reshape(*shape, n_thresholds),
        "cross_triggers": _sum_changes(cross_triggers).reshape(*shape, n_labels, n_thresholds),
    }


def _add(changes: NDArray[np.int16], place: NDArray[np.intp], detections: Detections, which: NDArray[np.intp]) -> None:
    np.add.at(changes, (place, detections.first[which]), 1)
    np.add.at(changes, (place, detections.last[which]), -1)


def _sum_changes(changes: NDArray[np.int16]) -> NDArray[np.int16]:
    sums: NDArray[np.int16] = np.cumsum(changes, axis=-1, dtype=np.int16)[..., :-1]
    return sums


def resample_psds(
    counts: ClipCounts, index: int, parameters: PsdsParameters, average: CrossTriggerAverage
) -> Statistic:
    """Return a function that computes the PSDS of resampled clips, for the thresholds of the counts.

    Args:
        counts: counts of each clip.
        index: index of the scenario in the counts.
        parameters: parameters of the scenario.
        average: the rule for cross-triggers.
    """
    clips = len(counts.clips)
    tables = (counts.true_positives[index], counts.false_positives[index], counts.cross_triggers[index])
    # Single precision holds every sum below 16 million exactly, at half the time.
    flat = [table.reshape(clips, -1).astype(np.float32) for table in tables]

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        light = weights.astype(np.float32)
        true, false, cross = (
            (light @ part).reshape(len(weights), *table.shape[1:]) for part, table in zip(flat, tables, strict=True)
        )
        events, seconds, total = weights @ counts.events, weights @ counts.seconds, weights @ counts.durations
        values = []
        for row in range(len(weights)):
            kept = np.flatnonzero(events[row])  # a class without a reference event is left out, as everywhere
            values.append(
                psds_of_counts(
                    IntersectionCounts(
                        labels=tuple(counts.labels[kept]),
                        thresholds=np.arange(true.shape[-1], dtype=np.float64),
                        true_positives=true[row, kept].astype(np.intp),
                        false_positives=false[row, kept].astype(np.intp),
                        cross_triggers=cross[row][np.ix_(kept, kept)].astype(np.intp),
                        reference_events=events[row, kept].astype(np.intp),
                        reference_seconds=seconds[row, kept],
                        total_seconds=float(total[row]),
                    ),
                    parameters,
                    average,
                ).value
            )
        return np.array(values)

    return statistic


def resample_collar_f1(counts: ClipCounts) -> Statistic:
    """Return a function that computes macro collar F1 of resampled clips, over classes with a reference event."""

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        hits, events, detected = (weights @ each for each in (counts.hits, counts.events, counts.detected))
        f1 = np.divide(2 * hits, events + detected, out=np.zeros(hits.shape), where=events + detected > 0)
        occurs = events > 0
        found: NDArray[np.float64] = np.divide(
            (f1 * occurs).sum(axis=1), occurs.sum(axis=1), out=np.full(len(f1), np.nan), where=occurs.any(axis=1)
        )
        return found

    return statistic


def write_clip_counts(counts: ClipCounts, path: Path) -> None:
    """Write the counts to a compressed file (``.npz``)."""
    np.savez_compressed(path, **{each.name: getattr(counts, each.name) for each in fields(ClipCounts)})


def read_clip_counts(path: Path) -> ClipCounts:
    """Read counts from a file, which is not trusted.

    Raises:
        UserError: for a file with other content.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if sum(entry.file_size for entry in file.zip.infolist()) > _LARGEST:
                raise UserError(f"{path}: more than {_LARGEST // 2**20:,} MiB; expected the counts of an evaluation")
            arrays = {each.name: file[each.name] for each in fields(ClipCounts)}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UserError(f"{path}: {type(error).__name__}; expected the counts of an evaluation") from None
    _check(arrays, path)
    return ClipCounts(**arrays)


def _check(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    clips, labels = len(np.atleast_1d(arrays["clips"])), len(np.atleast_1d(arrays["labels"]))
    counted = np.atleast_1d(arrays["true_positives"]).shape
    table, one, thresholds = (clips, labels), counted[:1], counted[-1]
    expected = {
        **{"clips": (clips,), "labels": (labels,), "durations": (clips,)},
        **dict.fromkeys(("seconds", "events", "hits", "detected"), table),
        **dict.fromkeys(("true_positives", "false_positives"), (*one, *table, thresholds)),
        "cross_triggers": (*one, *table, labels, thresholds),
    }
    for name, shape in expected.items():
        kind = "U" if name in ("clips", "labels") else "f" if name in ("durations", "seconds") else "i"
        if arrays[name].shape != shape or arrays[name].dtype.kind != kind:
            raise UserError(
                f"{path}: {name} is {arrays[name].dtype} {list(arrays[name].shape)}; expected {list(shape)}"
            )
