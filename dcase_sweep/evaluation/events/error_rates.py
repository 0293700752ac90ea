"""Error rates of sound event detection as sed_eval 0.2.1 computes them (Mesaros et al., 2016)."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.collar import match_events
from dcase_sweep.evaluation.events.detections import Detections
from dcase_sweep.evaluation.events.ground_truth import GroundTruth
from dcase_sweep.evaluation.events.segment import count_segments


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """Errors per reference event or segment: 0 is best, there is no upper limit; NaN without a reference.

    `overall` is the sum of `substitutions`, `deletions` and `insertions`, counted over all classes. `per_class` holds
    deletions and insertions of each class that has a reference, `macro` is their mean. sed_eval divides by 2.2e-16
    for a class without a reference; such classes are left out here.
    """

    overall: float
    substitutions: float
    deletions: float
    insertions: float
    macro: float
    per_class: dict[str, float]
    rule: str


def segment_error_rates(detections: Detections, truth: GroundTruth, *, segment_length: float = 1.0) -> ErrorRates:
    """Compute error rates over segments; in a segment, a missed and a wrong class together count as a substitution.

    Raises:
        ValueError: detections at more than one threshold, or a length that is not positive.
    """
    counts = count_segments(detections, truth, segment_length)
    both = (counts.reference & counts.detected).sum(axis=1)
    reference, detected = counts.reference.sum(axis=1), counts.detected.sum(axis=1)
    return _rates(
        truth.labels,
        substitutions=int((np.minimum(reference, detected) - both).sum()),
        deletions=int(np.maximum(0, reference - detected).sum()),
        insertions=int(np.maximum(0, detected - reference).sum()),
        missed=(counts.reference & ~counts.detected).sum(axis=(0, 2)),
        wrong=(counts.detected & ~counts.reference).sum(axis=(0, 2)),
        reference=counts.reference.sum(axis=(0, 2)),
        rule=f"segments of {segment_length:g} s; sed_eval 0.2.1",
    )


def collar_error_rates(
    detections: Detections,
    truth: GroundTruth,
    *,
    onset_collar: float = 0.2,
    offset_collar: float = 0.2,
    offset_fraction: float = 0.2,
) -> ErrorRates:
    """Compute error rates over events; an unmatched detection near an unmatched event of another class substitutes it.

    Args:
        detections: detections at one threshold.
        truth: the reference events.
        onset_collar: collar of the onset (s).
        offset_collar: collar of the offset (s); or `offset_fraction` of the reference's length, if that is longer.
        offset_fraction: fraction of the reference's length.

    Raises:
        ValueError: detections at more than one threshold.
    """
    n_labels = len(truth.labels)
    found = match_events(
        detections, truth, onset_collar=onset_collar, offset_collar=offset_collar, offset_fraction=offset_fraction
    )
    event_left, detection_left = ~found.events, ~found.detections
    missed = np.bincount(truth.label[event_left], minlength=n_labels)
    wrong = np.bincount(detections.label[detection_left], minlength=n_labels)
    substitutions = _substitutions(
        detections, truth, event_left, detection_left, onset_collar, offset_collar, offset_fraction
    )
    return _rates(
        truth.labels,
        substitutions=substitutions,
        deletions=int(missed.sum()) - substitutions,
        insertions=int(wrong.sum()) - substitutions,
        missed=missed,
        wrong=wrong,
        reference=truth.events_per_label(),
        rule=f"onset within {1000 * onset_collar:g} ms, offset within {1000 * offset_collar:g} ms or "
        f"{100 * offset_fraction:g} % of the length; sed_eval 0.2.1",
    )


def _substitutions(
    detections: Detections,
    truth: GroundTruth,
    event_left: NDArray[np.bool_],
    detection_left: NDArray[np.bool_],
    onset_collar: float,
    offset_collar: float,
    offset_fraction: float,
) -> int:
    """Count the unmatched events with an unmatched detection near them; each detection is used once, in order."""
    left: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for i in np.flatnonzero(detection_left):
        left[int(detections.clip[i])].append((float(detections.onset[i]), float(detections.offset[i])))
    count = 0
    for j in np.flatnonzero(event_left):
        candidates = left.get(int(truth.clip[j]), [])
        begin, end = float(truth.onset[j]), float(truth.offset[j])
        collar = max(offset_collar, offset_fraction * (end - begin))
        for place, (onset, offset) in enumerate(candidates):
            if abs(begin - onset) <= onset_collar and abs(end - offset) <= collar:
                del candidates[place]
                count += 1
                break
    return count


def _rates(
    labels: tuple[str, ...],
    *,
    substitutions: int,
    deletions: int,
    insertions: int,
    missed: NDArray[np.integer],
    wrong: NDArray[np.integer],
    reference: NDArray[np.integer],
    rule: str,
) -> ErrorRates:
    total = int(reference.sum())
    rates = [count / total if total else float("nan") for count in (substitutions, deletions, insertions)]
    per_class = {
        label: float(missed[i] + wrong[i]) / float(reference[i]) for i, label in enumerate(labels) if reference[i]
    }
    macro = float(np.mean(list(per_class.values()))) if per_class else float("nan")
    return ErrorRates(sum(rates), rates[0], rates[1], rates[2], macro, per_class, rule)
