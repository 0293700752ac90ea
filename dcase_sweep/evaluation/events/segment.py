"""Segment-based F1 as sed_eval 0.2.1 computes it in the DCASE recipes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.detections import Detections
from dcase_sweep.evaluation.events.f1 import F1, class_f1, summarise
from dcase_sweep.evaluation.events.ground_truth import GroundTruth


def segment_f1(detections: Detections, truth: GroundTruth, *, segment_length: float = 1.0) -> F1:
    """Compute F1 over segments of `segment_length` s; a class is active in each segment that one of its events touches.

    A class without a detection has no precision, so sed_eval leaves it out of the macro average, like a class without
    a reference; `averaged` is the number of classes in it.

    Raises:
        ValueError: detections at more than one threshold, or a length that is not positive.
    """
    active = count_segments(detections, truth, segment_length)
    hits, n_reference, n_detected = (
        segments.sum(axis=(0, 2))
        for segments in (active.reference & active.detected, active.reference, active.detected)
    )
    return summarise(
        [
            class_f1(
                label,
                hits=int(hits[i]),
                reference=int(n_reference[i]),
                detected=int(n_detected[i]),
                zero_if_undetected=False,
            )
            for i, label in enumerate(truth.labels)
            if n_reference[i] or n_detected[i]
        ],
        hits=int(hits.sum()),
        zero_if_undetected=False,
        rule=f"segments of {segment_length:g} s; sed_eval 0.2.1",
    )


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """Whether a class is active in the reference and in the detections, each [clip, class, segment]."""

    reference: NDArray[np.bool_]
    detected: NDArray[np.bool_]


def count_segments(detections: Detections, truth: GroundTruth, segment_length: float) -> Segments:
    """Find the segments in which each class of each clip is active.

    Raises:
        ValueError: detections at more than one threshold, or a length that is not positive.
    """
    if len(detections.thresholds) != 1:
        raise ValueError(f"segment F1 needs detections at one threshold; found {len(detections.thresholds)}")
    if not segment_length > 0:
        raise ValueError(f"segment_length is {segment_length!r}; expected a positive number of seconds")
    n_labels = len(truth.labels)
    ends = np.concatenate([truth.offset, detections.offset, [segment_length]])
    shape = (len(truth.clips), n_labels, int(np.ceil(ends.max() / segment_length)))
    tracks, segments = shape[0] * shape[1], shape[2]
    reference = _activity(truth.clip * n_labels + truth.label, truth, tracks, segments, segment_length)
    detected = _activity(detections.clip * n_labels + detections.label, detections, tracks, segments, segment_length)
    return Segments(reference.reshape(shape), detected.reshape(shape))


def _activity(
    track: NDArray[np.intp], events: Detections | GroundTruth, tracks: int, segments: int, segment_length: float
) -> NDArray[np.bool_]:
    """Find whether any event touches a segment, [track, segment]."""
    change = np.zeros((tracks, segments + 1), dtype=np.int32)
    np.add.at(change, (track, np.floor(events.onset / segment_length).astype(np.intp)), 1)
    np.add.at(change, (track, np.ceil(events.offset / segment_length).astype(np.intp)), -1)
    return np.cumsum(change, axis=1)[:, :segments] > 0
