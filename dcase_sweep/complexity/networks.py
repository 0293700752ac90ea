"""Complexity of an experiment's network, and the metrics that runs log and searches limit."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dcase_sweep.complexity.rules import DCASE_2021, Complexity, LayerComplexity, layer_complexity
from dcase_sweep.config import Experiment, build_front_end, build_model, clip_seconds, locate_task, plain
from dcase_sweep.config.planned import plan_layers
from dcase_sweep.models.planned_layer import PlannedLayer
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.failures import describe_failure
from dcase_sweep.utils.precision import PRECISIONS, Bits

#: Cached complexities by model, front end, task and clip length as JSON, and the number of classes.
_latest: dict[tuple[str, int], Complexity] = {}
_KEPT = 8


def measure_complexity(layers: Sequence[Any], experiment: Experiment) -> Complexity:
    """Compute the complexity of a learner's layers for the clips of the experiment."""
    counted = [
        layer_complexity(each.name, each.kind, each.arrays, each.multiply_accumulates, each.live_activations)
        for each in layers
    ]
    return Complexity(tuple(counted), clip_seconds=clip_seconds(experiment))


def complexity_before_training(experiment: Experiment, classes: int) -> Complexity:
    """Compute the complexity of the experiment's network with all parameters non-zero.

    Its class plans the layers, or the network is built without weights, which takes some milliseconds. No data are
    read. A trial needs the result up to four times, so the latest results are cached.
    """
    parts = (experiment.model, experiment.front_end, experiment.task, clip_seconds(experiment))
    known = json.dumps([plain(part) for part in parts], default=str)
    if (known, classes) not in _latest:
        while len(_latest) >= _KEPT:
            _latest.pop(next(iter(_latest)))
        planned = plan_layers(experiment, classes)
        if planned is None:
            _latest[known, classes] = _built_complexity(experiment, classes)
        else:
            _latest[known, classes] = _planned_complexity(planned, experiment)
    return _latest[known, classes]


def _built_complexity(experiment: Experiment, classes: int) -> Complexity:
    """Count the layers of a network without weights.

    Raises:
        UserError: if a network from outside this package cannot be called.
    """
    network = build_model(experiment, classes=classes, device="meta")
    target = experiment.model._target_
    try:
        return network_complexity(network, experiment)
    except Exception as error:  # a user's network can raise any error
        if target.startswith("dcase_sweep.") or isinstance(error, UserError):
            raise
        shape = list(build_front_end(experiment).shape)
        raise UserError(
            f"model: {describe_failure(error, target)}; expected a network of features {[1, *shape]} (batch, mel, "
            "frame), which PyTorch can also compute without values (device meta)"
        ) from error


def _planned_complexity(planned: Sequence[PlannedLayer], experiment: Experiment) -> Complexity:
    counted = (
        LayerComplexity(
            each.name, each.kind, each.parameters, each.parameters, each.multiply_accumulates, each.live_activations
        )
        for each in planned
    )
    return Complexity(tuple(counted), clip_seconds=clip_seconds(experiment))


def network_complexity(network: Any, experiment: Experiment) -> Complexity:
    """Compute the complexity of a PyTorch network of the experiment with its current weights."""
    from dcase_sweep.complexity.layers import list_layers

    shape = build_front_end(experiment).shape
    task = locate_task(experiment.task._target_)
    layers = list_layers(network, shape, statistics=task.counts_statistics)
    return measure_complexity(layers, experiment)


def nonzero_metrics(complexity: Complexity) -> dict[str, float]:
    """Return the number of non-zero parameters and their size in KiB, with batch normalisation at 32 bit."""
    sizes = {f"complexity/nonzero_kib_{bits}bit": complexity.size_kib(bits, nonzero_only=True) for bits in PRECISIONS}
    return {"complexity/nonzero_parameters": float(complexity.nonzero), **sizes}


def within_limit(complexity: Complexity, experiment: Experiment, bits: Bits = 16) -> dict[str, float]:
    """Check the size of the non-zero parameters against the task's limit: 0 or 1, or nothing if it has no limit."""
    limit = experiment.task.size_limit_kib
    if limit is None:
        return {}
    rule = replace(DCASE_2021, max_bytes=round(1024 * limit))
    return {f"complexity/within_{limit:g}_kb": float(complexity.within_limit(rule, bits=bits))}


def describe_limit(kept: Mapping[str, float], experiment: Experiment) -> str:
    """Format the result of `within_limit` in brackets; an empty text if the task has no limit."""
    if not kept:
        return ""
    return f" ({'within' if all(kept.values()) else 'OVER'} the {experiment.task.size_limit_kib:g} KB of DCASE 2021)"


def cost_metrics(complexity: Complexity) -> dict[str, float]:
    """Return parameters, sizes in KiB, millions of multiply-accumulates a clip, and peak activation memory in KiB."""
    return {
        "complexity/parameters": float(complexity.parameters),
        **nonzero_metrics(complexity),
        **{f"complexity/size_kib_{bits}bit": complexity.size_kib(bits) for bits in PRECISIONS},
        "complexity/mmac_per_clip": complexity.multiply_accumulates / 1e6,
        **{
            f"complexity/peak_activation_kib_{bits}bit": complexity.peak_activation_bytes(bits) / 1024
            for bits in PRECISIONS
            if complexity.peak_activations
        },
    }
