"""Complexity of a PyTorch network, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcase_sweep.complexity.activations import ActivationTrace
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


def _products(layer: nn.Module, output: Any) -> int:
    """Count the multiply-accumulates of one forward pass of one clip."""
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return int(output[0].numel()) * layer.in_channels // layer.groups * int(np.prod(layer.kernel_size))
    if isinstance(layer, nn.Linear):
        return int(output[0].numel()) * layer.in_features
    if isinstance(layer, nn.RNNBase):  # each weight is used once for each frame
        sequence = output if isinstance(output, Tensor) else output[0]
        frames = sequence.shape[1 if layer.batch_first else 0]
        return int(frames) * sum(weight.numel() for weight in layer.parameters() if weight.dim() == 2)
    return 0


def _stored(layer: nn.Module, statistics: bool) -> Sequence[Tensor]:
    buffers = layer.buffers(recurse=False) if statistics else ()
    return [*layer.parameters(recurse=False), *(buffer for buffer in buffers if buffer.is_floating_point())]


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
        name: (type(module).__name__, _stored(module, statistics))
        for name, module in network.named_modules()
        if _stored(module, statistics)
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
    """List the layers of a network in the order in which they are used.

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
    found: list[Layer] = []
    device = next(network.parameters()).device
    clip = torch.zeros(1, *input_shape, device=device)
    trace = ActivationTrace(clip)

    def begin(layer: nn.Module, inputs: Any) -> None:
        if _stored(layer, statistics):
            trace.layer = len(found)

    def hook(name: str) -> Any:
        def note(layer: nn.Module, inputs: Any, output: Any) -> None:
            if stored := _stored(layer, statistics):
                found.append(Layer(name, type(layer).__name__, _arrays(stored), _products(layer, output)))

        return note

    leaves = [(name, module) for name, module in network.named_modules() if not list(module.children())]
    handles = [module.register_forward_pre_hook(begin) for _, module in leaves]
    handles += [module.register_forward_hook(hook(name)) for name, module in leaves]
    was_training = network.training
    try:
        with torch.no_grad(), trace:
            results = network.eval().forward(clip)  # not through a compiled call, which skips hooks
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    live = trace.live_values(results, len(found))
    return [replace(layer, live_activations=values) for layer, values in zip(found, live, strict=True)]
