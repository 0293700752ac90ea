"""Signs that a table is cut off, is that of another set, or has another unit. They are printed with the results."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.detections import Detections
from dcase_sweep.evaluation.events.ground_truth import GroundTruth

#: Durations are doubtful if every event ends within this fraction of the median clip.
_BEGINNING = 0.1
#: So many clips have events, if those of one table alone are doubtful.
_FEWEST_CLIPS = 10
#: Rounded times may differ from one threshold to the next (s).
_ROUNDING = 1e-3


def list_doubts(truth: GroundTruth, detections: Detections) -> list[str]:
    """Describe what is unlikely in the reference and the detections, one line each.

    Args:
        truth: the ground truth.
        detections: the detections at the thresholds of PSDS.
    """
    doubts = []
    if truth.unlisted:
        doubts.append(
            f"{len(truth.unlisted):,} of {len(truth.clips):,} clips have a duration but no row in the table of "
            "reference events: they count as clips without events"
        )
    doubts += _doubt_units(truth, detections)
    late = detections.onset >= truth.durations[detections.clip]
    if 2 * late.sum() > len(late):
        doubts.append(
            f"{late.sum():,} of {len(late):,} detections begin after the end of their clip: all figures are wrong if "
            "the durations are not in seconds"
        )
    lost = _find_lost_time(detections)
    if lost is not None:
        label, low, high = lost
        doubts.append(
            f"less of {label} is detected at threshold {low:g} than at {high:g}, which thresholds of scores do not "
            f"give; the table of {low:g} may be incomplete"
        )
    return doubts


def _doubt_units(truth: GroundTruth, detections: Detections) -> list[str]:
    """Describe events that are all at the beginning of the clips: all, or those of one table, if it has some."""
    median = float(np.median(truth.durations))
    half = f"but half of the clips last {median:g} s or more"
    kinds: dict[str, GroundTruth | Detections] = {"reference": truth, "detected": detections}
    latest = {kind: float(of.offset.max()) for kind, of in kinds.items() if len(of.offset)}
    early = {kind: end for kind, end in latest.items() if end < _BEGINNING * median}
    if early and early == latest:
        return [
            f"no event, reference or detected, ends after {max(early.values()):g} s, {half}: PSDS is too high if these "
            "durations are not in seconds"
        ]
    return [
        f"no {kind} event ends after {end:g} s, {half}: all figures are wrong if these times are not in seconds"
        for kind, end in early.items()
        if len(np.unique(kinds[kind].clip)) >= _FEWEST_CLIPS
    ]


def _find_lost_time(detections: Detections) -> tuple[str, float, float] | None:
    """Find a class that is detected for a shorter time at a threshold than at the next higher one.

    Each frame that exceeds a threshold exceeds all lower ones, also after a median filter.
    """
    seconds = _detected_seconds(detections)
    lost = np.argwhere(np.diff(seconds, axis=0) > _ROUNDING)
    if not len(lost):
        return None
    threshold, label = lost[0]
    low, high = detections.thresholds[threshold : threshold + 2]
    return detections.labels[label], float(low), float(high)


def _detected_seconds(detections: Detections) -> NDArray[np.floating[Any]]:
    """Sum the detected time (s) of each class at each threshold: [threshold, class]."""
    changes = np.zeros((len(detections.thresholds) + 1, len(detections.labels)))
    lengths = detections.offset - detections.onset
    np.add.at(changes, (detections.first, detections.label), lengths)
    np.subtract.at(changes, (detections.last, detections.label), lengths)
    return changes.cumsum(axis=0)[:-1]
