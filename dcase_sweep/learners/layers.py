"""What a PyTorch network costs, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer that holds parameters or multiplies."""

    name: str
    kind: str
    #: Parameters and running statistics, trained or not.
    arrays: tuple[NDArray[np.float32], ...]
    multiply_accumulates: int


def _products(layer: nn.Module, output: Tensor) -> int:
    """Multiply-accumulates of one forward pass of one clip."""
    if isinstance(layer, nn.Conv2d):
        return output[0].numel() * layer.in_channels // layer.groups * int(np.prod(layer.kernel_size))
    if isinstance(layer, nn.Linear):
        return output[0].numel() * layer.in_features
    return 0


def _arrays(layer: nn.Module, statistics: bool) -> tuple[NDArray[np.float32], ...]:
    own: Sequence[tuple[str, Tensor]] = [
        *layer.named_parameters(recurse=False),
        *(
            (name, buffer)
            for name, buffer in layer.named_buffers(recurse=False)
            if statistics and buffer.is_floating_point()
        ),
    ]
    # Weights on the meta device have no values yet; training will make all of them count.
    return tuple(np.ones(t.shape, np.float32) if t.is_meta else t.detach().float().cpu().numpy() for _, t in own)


def layers_of(network: nn.Module, input_shape: tuple[int, int], *, statistics: bool = True) -> list[Layer]:
    """The layers of a network for clips of ``(mel, frame)``, in the order in which they are used.

    Args:
        statistics: count the running statistics of batch normalisation among the parameters, as Keras and task 1A do;
            task 4 counts what is trained.
    """
    found: list[Layer] = []

    def hook(name: str) -> Any:
        def note(layer: nn.Module, inputs: Any, output: Tensor) -> None:
            arrays, products = _arrays(layer, statistics), _products(layer, output)
            if arrays or products:
                found.append(Layer(name, type(layer).__name__, arrays, products))

        return note

    leaves = [(name, module) for name, module in network.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(hook(name)) for name, module in leaves]
    device = next(network.parameters()).device
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval().forward(torch.zeros(1, *input_shape, device=device))  # past a compiled call: hooks must fire
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return found
