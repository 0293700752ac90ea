"""The metrics by which the task 4 recipe chooses an epoch, computed after every epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.decode import decode, filter_decisions
from dcase_sweep.evaluation.events.ground_truth import Event, ground_truth_from_events
from dcase_sweep.evaluation.events.intersection import intersection_f1
from dcase_sweep.evaluation.events.rules import EventRules


def weak_f1(
    probabilities: NDArray[np.floating[Any]], targets: NDArray[np.floating[Any]], threshold: float = 0.5
) -> float:
    """Compute macro F1 of clip-level decisions ``[clip, class]``; a class neither present nor detected counts 0.

    As the recipe computes it, with torchmetrics' F1 over classes.
    """
    detected, present = probabilities > threshold, targets > 0.5
    hits = (detected & present).sum(axis=0)
    f1 = 2 * hits / np.maximum(detected.sum(axis=0) + present.sum(axis=0), 1)
    return float(f1.mean()) if len(f1) else 0.0


class SyntheticValidation:
    """Intersection F1 (by default dtc 0.5, gtc 0.5, cttc 0.3, threshold 0.5) of scores for one set of soundscapes.

    Args:
        events: filename, onset (s), offset (s) and event label of the reference.
        durations: filename → duration (s) of every clip.
        labels: classes in the order of the columns of scores.
        hop: time from frame to frame (s).
        median_length: length of the median filter in frames: one for all classes, or one for each.
        rules: the threshold and the criteria of intersection F1.
    """

    def __init__(
        self,
        events: Sequence[tuple[str, float, float, str]],
        durations: Mapping[str, float],
        *,
        labels: Sequence[str],
        hop: float,
        median_length: int | Mapping[str, int] = 7,
        rules: EventRules = EventRules(),  # noqa: B008 (it cannot change)
    ) -> None:
        self.truth = ground_truth_from_events(
            [(name, Event(label, onset, offset)) for name, onset, offset, label in events], durations, labels=labels
        )
        self.hop = hop
        self.median_length = median_length
        self.rules = rules

    def intersection_f1(self, scores: Mapping[str, NDArray[np.floating[Any]]]) -> float:
        """Compute macro F1 of scores ``[frame, class]`` of each clip; 0 without a detection."""
        decided = filter_decisions(
            scores,
            threshold=self.rules.validation_threshold,
            labels=self.truth.labels,
            hop=self.hop,
            median_length=self.median_length,
            clips=self.truth.clips,
        )
        wanted = self.rules.criteria
        decisions = decode(decided, [0.5])
        macro = intersection_f1(decisions, self.truth, dtc=wanted.dtc, gtc=wanted.gtc, cttc=wanted.cttc).macro
        return float(macro) if np.isfinite(macro) else 0.0
