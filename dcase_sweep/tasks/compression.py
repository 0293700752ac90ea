"""The report on the compression of a run: the plan before training, size and accuracy afterwards."""

from typing import Any

from dcase_sweep.complexity.networks import describe_limit, nonzero_metrics, within_limit
from dcase_sweep.complexity.rules import Complexity
from dcase_sweep.config import Experiment
from dcase_sweep.evaluation.result import EvaluationResult
from dcase_sweep.tasks.base import Task
from dcase_sweep.utils import console


def begin_compression(
    task: Task, experiment: Experiment, data: Any, learner: Any, features: Any
) -> EvaluationResult | None:
    """Report the planned compression; return the results of the initial weights of a fine-tuning, or None."""
    if experiment.compressed is None:
        return None
    console.field("compress", learner.compressor.headline)
    return task.evaluate(experiment, data, learner, features) if experiment.compressed.start is not None else None


def conclude_compression(
    experiment: Experiment, complexity: Complexity, before: EvaluationResult | None, after: EvaluationResult
) -> dict[str, float]:
    """Report the size of the trained network, whether it is within the limit, and the change in accuracy.

    Macro accuracies are of the same test clips, as fractions of one; the change is in percentage points.

    Args:
        complexity: the complexity of the trained network.
        before: the results of the initial weights of a fine-tuning; None if it started from new weights.
    """
    settings = experiment.compressed
    bits: Any = settings.bits if settings is not None else 16
    kept = within_limit(complexity, experiment, bits)
    metrics = nonzero_metrics(complexity) | kept
    if settings is None:
        return metrics
    size, left = complexity.size_kib(bits), complexity.size_kib(bits, nonzero_only=True)
    console.field(
        "size",
        f"{size:.2f} KiB → {left:.2f} KiB non-zero at {bits} bit{describe_limit(kept, experiment)}, "
        f"{complexity.nonzero:,} of {complexity.parameters:,} parameters",
    )
    return metrics | _costs(before, after)


def _costs(before: EvaluationResult | None, after: EvaluationResult) -> dict[str, float]:
    if before is None:
        return {}
    accuracies, losses = (
        [result.metrics[f"test/{name}"] for result in (before, after)] for name in ("accuracy", "log_loss")
    )
    gained = 100 * (accuracies[1] - accuracies[0])
    console.field(
        "accuracy",
        f"{100 * accuracies[0]:.1f} % → {100 * accuracies[1]:.1f} % ({gained:+.1f} points), "
        f"log loss {losses[0]:.3f} → {losses[1]:.3f} ({losses[1] - losses[0]:+.3f})",
    )
    return {
        "compression/accuracy_before": accuracies[0],
        "compression/accuracy_after": accuracies[1],
        "compression/accuracy_lost": 0.0 - gained,
        "compression/log_loss_before": losses[0],
        "compression/log_loss_after": losses[1],
    }
