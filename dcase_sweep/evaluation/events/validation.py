"""What the task 4 recipe chooses an epoch by: cheap figures, computed after every one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.decode import decode, filter_scores
from dcase_sweep.evaluation.events.ground_truth import Event, ground_truth_from_events
from dcase_sweep.evaluation.events.intersection import intersection_f1
from dcase_sweep.evaluation.events.rules import EventRules


def weak_f1(
    probabilities: NDArray[np.floating[Any]], targets: NDArray[np.floating[Any]], threshold: float = 0.5
) -> float:
    """Macro F1 of clip-level decisions ``[clip, class]``; a class neither present nor detected counts 0.

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
        durations: filename → seconds, of every clip.
        labels: the columns of the scores.
        hop: seconds from frame to frame.
        median_length: frames of the median filter, one for all classes or one for each.
        rules: the threshold and what intersection F1 demands.
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
        """Macro F1 of scores ``[frame, class]`` per clip, 0 where nothing is detected."""
        filtered = filter_scores(
            scores,
            labels=self.truth.labels,
            hop=self.hop,
            median_length=self.median_length,
            clips=self.truth.clips,
        )
        wanted = self.rules.criteria
        decisions = decode(filtered, [self.rules.validation_threshold])
        macro = intersection_f1(decisions, self.truth, dtc=wanted.dtc, gtc=wanted.gtc, cttc=wanted.cttc).macro
        return float(macro) if np.isfinite(macro) else 0.0
