"""Comparison of exported files with the float network."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.scenes.metrics import as_probabilities, evaluate_scenes


@dataclass(frozen=True, slots=True)
class Difference:
    """Differences between the probabilities of an export and those of the float network.

    Attributes:
        accuracy_points: difference of the accuracies, in percentage points.
        log_loss: difference of the log losses, in nats.
        largest: largest absolute difference of a probability.
        mean: mean absolute difference over all clips and classes.
        same_decision: fraction of the clips with the same most probable class.
    """

    accuracy_points: float
    log_loss: float
    largest: float
    mean: float
    same_decision: float


@dataclass(frozen=True, slots=True)
class ScoreMetrics:
    """The metrics of scores.

    Attributes:
        accuracy: macro average over scenes, as logged by a run.
        log_loss: macro average over scenes, in nats; the loss of a probability of 0 is 36.
        log_loss_floored: log loss with every probability at least half a quantisation step of the output; equal to
            ``log_loss`` in floating point.
    """

    accuracy: float
    log_loss: float
    log_loss_floored: float


def evaluate_scores(
    scores: NDArray[np.floating], truth: NDArray[np.int64], *, classes: Sequence[str], step: float = 0.0
) -> ScoreMetrics:
    """Evaluate scores ``[clip, class]`` as in a run; ``step`` is the quantisation step of the scores."""
    report = evaluate_scenes(as_probabilities(scores), truth, classes=classes)
    floored = evaluate_scenes(as_probabilities(np.maximum(scores, step / 2)), truth, classes=classes)
    return ScoreMetrics(report.accuracy, report.log_loss, floored.log_loss)


def compare(
    scores: NDArray[np.floating],
    score_metrics: ScoreMetrics,
    float_scores: NDArray[np.floating],
    float_metrics: ScoreMetrics,
) -> Difference:
    """Compare an export's scores ``[clip, class]`` with those of the float network."""
    gap = np.abs(scores.astype(np.float64) - float_scores)
    return Difference(
        accuracy_points=100 * (score_metrics.accuracy - float_metrics.accuracy),
        log_loss=score_metrics.log_loss_floored - float_metrics.log_loss,
        largest=float(gap.max()),
        mean=float(gap.mean()),
        same_decision=float(np.mean(scores.argmax(axis=1) == float_scores.argmax(axis=1))),
    )
