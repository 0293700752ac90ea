"""The validation metrics that select the best epoch."""

import numpy as np
import pytest

from dcase_sweep.evaluation.events import EventRules, F1Criteria
from dcase_sweep.evaluation.events.validation import SyntheticValidation, weak_f1


def test_weak_f1_is_the_mean_over_all_classes() -> None:
    targets = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]])
    probabilities = np.array([[0.9, 0.6, 0.1], [0.9, 0.2, 0.1], [0.1, 0.4, 0.1], [0.7, 0.1, 0.1]])

    # Class 0: two found, one false alarm; class 1: one of two found; class 2: neither there nor found counts 0.
    assert weak_f1(probabilities, targets) == pytest.approx((4 / 5 + 2 / 3 + 0) / 3)
    assert weak_f1(probabilities, targets, threshold=0.3) == pytest.approx((4 / 5 + 1 + 0) / 3)


def test_weak_f1_counts_scores_above_the_threshold_alone() -> None:
    assert weak_f1(np.array([[0.5]]), np.array([[1]])) == 0
    assert weak_f1(np.zeros((2, 0)), np.zeros((2, 0))) == 0


EVENTS = [("a.wav", 0.5, 1.5, "Dog"), ("b.wav", 0.5, 1.5, "Cat")]
DURATIONS = {"a.wav": 2.0, "b.wav": 2.0}


def scores(cat: float, dog: float, frames: int = 10) -> dict[str, np.ndarray]:
    """Scores of the first frames (0.1 s) of the events: of b's Cat and of a's Dog."""
    found = {clip: np.zeros((20, 2), dtype=np.float32) for clip in DURATIONS}
    found["b.wav"][5 : 5 + frames, 0] = cat
    found["a.wav"][5 : 5 + frames, 1] = dog
    return found


def evaluate(**more: object) -> SyntheticValidation:
    return SyntheticValidation(EVENTS, DURATIONS, labels=("Cat", "Dog"), hop=0.1, **more)  # type: ignore[arg-type]


def test_intersection_f1_of_what_is_found() -> None:
    assert evaluate().intersection_f1(scores(0.9, 0.9)) == 1
    # A class without a true positive is left out of the mean, as psds_eval does.
    assert evaluate().intersection_f1(scores(0.9, 0.4)) == 1


def test_an_epoch_without_detections_scores_0() -> None:
    assert evaluate().intersection_f1(scores(0.0, 0.0)) == 0


def test_its_threshold_criteria_and_filter_are_the_configured_ones() -> None:
    low = EventRules(validation_threshold=0.3)
    strict = EventRules(criteria=F1Criteria(gtc=0.9))

    assert evaluate(rules=low).intersection_f1(scores(0.4, 0.4)) == 1
    assert evaluate().intersection_f1(scores(0.9, 0.9, frames=7)) == 1
    assert evaluate(rules=strict).intersection_f1(scores(0.9, 0.9, frames=7)) == 0
    # Five frames of ten do not survive a filter of eleven.
    assert evaluate(median_length={"Cat": 11, "Dog": 1}).intersection_f1(scores(0.9, 0.0, frames=5)) == 0
    assert evaluate(median_length={"Cat": 1, "Dog": 11}).intersection_f1(scores(0.9, 0.0, frames=5)) == 1
