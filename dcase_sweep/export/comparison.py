"""Exported files held against the float network that they were made from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.scenes.metrics import as_probabilities, evaluate_scenes


@dataclass(frozen=True, slots=True)
class Difference:
    """How the probabilities of an export differ from those of the float network.

    Attributes:
        accuracy_points: accuracy less the float network's, in per cent points.
        log_loss: likewise, in nats.
        largest: absolute difference of a probability.
        mean: absolute difference over all clips and classes.
        same_decision: share of the clips with the same most probable class.
    """

    accuracy_points: float
    log_loss: float
    largest: float
    mean: float
    same_decision: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What scores come to.

    Attributes:
        accuracy: macro average over scenes, as a run logs it.
        log_loss: likewise, in nats, of the probabilities as they are: one that is written as 0 costs 36.
        log_loss_floored: with every probability at least half a step of the output, which is what a written 0 may
            mean; equal to ``log_loss`` in floating point.
    """

    accuracy: float
    log_loss: float
    log_loss_floored: float


def judge_scores(
    scores: NDArray[np.floating], truth: NDArray[np.int64], *, classes: Sequence[str], step: float = 0.0
) -> Judged:
    """Judge scores ``[clip, class]`` as runs are judged; ``step`` is the least difference that they can show."""
    report = evaluate_scenes(as_probabilities(scores), truth, classes=classes)
    floored = evaluate_scenes(as_probabilities(np.maximum(scores, step / 2)), truth, classes=classes)
    return Judged(report.accuracy, report.log_loss, floored.log_loss)


def compare(
    scores: NDArray[np.floating], judged: Judged, float_scores: NDArray[np.floating], float_judged: Judged
) -> Difference:
    """An export's scores ``[clip, class]`` beside those of the float network."""
    gap = np.abs(scores.astype(np.float64) - float_scores)
    return Difference(
        accuracy_points=100 * (judged.accuracy - float_judged.accuracy),
        log_loss=judged.log_loss_floored - float_judged.log_loss,
        largest=float(gap.max()),
        mean=float(gap.mean()),
        same_decision=float(np.mean(scores.argmax(axis=1) == float_scores.argmax(axis=1))),
    )
