"""Signs that a table is cut off, is that of another set, or has another unit. They are printed with the results."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.detections import Detections
from dcase_sweep.evaluation.events.ground_truth import GroundTruth

#: Durations are doubtful if every event ends within this fraction of the median clip.
_BEGINNING = 0.1
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
    latest = max((float(offsets.max()) for offsets in (truth.offset, detections.offset) if len(offsets)), default=None)
    median = float(np.median(truth.durations))
    if latest is not None and latest < _BEGINNING * median:
        doubts.append(
            f"no event, reference or detected, ends after {latest:g} s, but half of the clips last {median:g} s or "
            "more: PSDS is too high if these durations are not in seconds"
        )
    lost = _find_lost_time(detections)
    if lost is not None:
        label, low, high = lost
        doubts.append(
            f"less of {label} is detected at threshold {low:g} than at {high:g}, which thresholds of scores do not "
            f"give; the table of {low:g} may be incomplete"
        )
    return doubts


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
