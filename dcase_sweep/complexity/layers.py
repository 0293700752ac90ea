"""Complexity of a PyTorch network, layer by layer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcase_sweep.complexity.activations import ActivationTrace
from dcase_sweep.complexity.operations import LayerTrace, location, stored_tensors
from dcase_sweep.models.planned_layer import PlannedLayer


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer with parameters."""

    name: str
    kind: str
    #: Parameters and running statistics.
    arrays: tuple[NDArray[np.float32], ...]
    multiply_accumulates: int
    #: Largest number of activations that are live at the same time from this layer to the next, by `ActivationTrace`.
    live_activations: int = 0


def _arrays(stored: Sequence[Tensor]) -> tuple[NDArray[np.float32], ...]:
    # Weights on the meta device have no values; all count as non-zero. The array of ones needs no memory, so that a
    # network that does not fit in memory can be counted.
    one = np.float32(1)
    return tuple(
        np.broadcast_to(one, tuple(t.shape)) if t.is_meta else t.detach().float().cpu().numpy() for t in stored
    )


def _find_planned(network: nn.Module, planned: Sequence[PlannedLayer], statistics: bool) -> list[Layer] | None:
    """Return the planned layers with their weights; None if the network has others."""
    stored = {
        name: (type(module).__name__, stored_tensors(module, statistics))
        for name, module in network.named_modules()
        if stored_tensors(module, statistics)
    }
    sizes = {name: (kind, sum(each.numel() for each in tensors)) for name, (kind, tensors) in stored.items()}
    if not planned or sizes != {each.name: (each.kind, each.parameters) for each in planned}:
        return None
    return [
        Layer(each.name, each.kind, _arrays(stored[each.name][1]), each.multiply_accumulates, each.live_activations)
        for each in planned
    ]


def list_layers(
    network: nn.Module,
    input_shape: tuple[int, int],
    *,
    statistics: bool = True,
    planned: Sequence[PlannedLayer] | None = None,
) -> list[Layer]:
    """List the modules that own parameters which the inference of a clip needs, in the order in which they are used.

    Parameters that several modules share, or that are used several times, count once. Those that only the training
    needs, such as an auxiliary head, do not count.

    Args:
        network: a network on features ``[batch, mel, frame]``.
        input_shape: ``(mel, frame)`` of a clip.
        statistics: count the running statistics of batch normalisation as parameters, as in Keras and task 1A. Task 4
            counts trained parameters only.
        planned: the layers that its class tells. If these are its layers, only their weights are read, and the network
            is not called.
    """
    told = _find_planned(network, planned or (), statistics)
    if told is not None:
        return told
    clip = torch.zeros(1, *input_shape, device=next(network.parameters()).device)
    memory = ActivationTrace(clip)
    trace = LayerTrace(network, memory, statistics=statistics)
    with _inference(network), memory, trace:
        results = network.forward(clip)  # not through a compiled call, which skips hooks
    live = memory.live_values(results, max(len(trace.layers), 1))
    counted: set[object] = set()
    found = []
    for layer, values in zip(trace.layers, live, strict=False):
        own = [tensor for tensor in layer.used if location(tensor) not in counted]
        counted |= {location(tensor) for tensor in own}
        found.append(Layer(layer.name, layer.kind, _arrays(own), layer.multiply_accumulates, values))
    return found


@contextmanager
def _inference(network: nn.Module) -> Iterator[Any]:
    """Context in which a network computes as in use, and attention by products that can be counted."""
    was_training, was_fast = network.training, torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
            yield network.eval()
    finally:
        network.train(was_training)
        torch.backends.mha.set_fastpath_enabled(was_fast)
