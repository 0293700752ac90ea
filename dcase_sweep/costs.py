"""What a network costs, by the names under which a run logs it and a search limits it."""

from collections.abc import Sequence
from typing import Any

from dcase_sweep.config import Experiment, build
from dcase_sweep.evaluation.complexity import PRECISIONS, Complexity, layer_complexity


def complexity_of(layers: Sequence[Any], experiment: Experiment) -> Complexity:
    """The complexity of a learner's layers for the clips of the experiment."""
    counted = [layer_complexity(each.name, each.kind, each.arrays, each.multiply_accumulates) for each in layers]
    return Complexity(tuple(counted), clip_seconds=build("front_end", experiment.front_end).seconds)


def cost_metrics(complexity: Complexity) -> dict[str, float]:
    """Parameters, sizes in KiB, multiply-accumulates in millions a clip."""
    return {
        "complexity/parameters": float(complexity.parameters),
        "complexity/nonzero_parameters": float(complexity.nonzero),
        **{f"complexity/size_kib_{bits}bit": complexity.size_kib(bits) for bits in PRECISIONS},
        "complexity/mmac_per_clip": complexity.multiply_accumulates / 1e6,
    }
