"""Dropout of several networks at once: each has its own probabilities and random numbers.

On a CPU the masks are drawn before the forward pass as PyTorch's dropout draws them, in the same order and from the
random numbers of each training. On a GPU they are drawn in the forward pass for all networks together.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from dcase_sweep.ops.can_fuse import only_layers


@dataclass(frozen=True, slots=True)
class DropoutCall:
    """A call of dropout in a forward pass.

    Attributes:
        values: the values, on the meta device: their shape and layout.
        probability: the probability of dropping a value; 0 outside training.
    """

    values: Tensor
    probability: float

    def draw(self) -> Tensor:
        """Draw the factors of the values on the CPU, as ``torch.nn.functional.dropout`` draws them."""
        factors = torch.empty_like(self.values, device="cpu", dtype=torch.float32)
        if self.probability == 0:
            return factors.fill_(1.0)
        if self.probability == 1:
            return factors.zero_()
        return factors.bernoulli_(1 - self.probability).div_(1 - self.probability)


@dataclass(frozen=True, slots=True)
class ForwardPass:
    """What a forward pass does with a batch.

    Attributes:
        dropouts: the calls of dropout, in order.
        activations: number of values that the layers return.
    """

    dropouts: list[DropoutCall]
    activations: int


class _Recording(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[DropoutCall] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is functional.dropout:
            values, probability, training = _arguments(*args, **(kwargs or {}))
            layout = torch.empty_like(values, device="meta")
            self.calls.append(DropoutCall(layout, float(probability) if training else 0.0))
            return values
        return function(*args, **(kwargs or {}))


class Dropouts(TorchFunctionMode):
    """Context in which ``torch.nn.functional.dropout`` uses given masks, or draws with given probabilities.

    Args:
        given: factors of each call, in order; or with ``draws`` one tensor of probabilities ``[call]``.
        draws: whether the masks are drawn.
    """

    def __init__(self, given: Sequence[Tensor], *, draws: bool) -> None:
        super().__init__()
        self._given = given
        self._draws = draws
        self._calls = 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is not functional.dropout:
            return function(*args, **(kwargs or {}))
        values, _, _ = _arguments(*args, **(kwargs or {}))
        place, self._calls = self._calls, self._calls + 1
        if not self._given:
            return values
        if not self._draws:
            return values * self._given[place].to(values.dtype)
        probability = self._given[0][place]
        kept = (torch.rand_like(values, dtype=torch.float32) >= probability) / (1 - probability)
        return values * kept.to(values.dtype)


def _arguments(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> tuple[Tensor, float, bool]:
    return input, p, training


def trace(network: nn.Module, features: Tensor) -> ForwardPass:
    """Return what the forward pass of a network in training does with a batch. The network is not changed.

    Args:
        network: the network.
        features: a batch. Layers choose the layout of their results, which is that of the masks.
    """
    twin = copy.deepcopy(network).train()
    counted = [0]

    def count(layer: nn.Module, inputs: Any, output: Any) -> None:
        parts = output if isinstance(output, tuple) else (output,)  # of a recurrent layer
        counted[0] += sum(each.numel() for each in parts if isinstance(each, Tensor))

    for layer in twin.modules():
        if not list(layer.children()):
            layer.register_forward_hook(count)
    with torch.no_grad(), only_layers(), _Recording() as recording:
        twin(features)
    return ForwardPass(recording.calls, counted[0])


@contextmanager
def without_dropout() -> Iterator[None]:
    """Context in which dropout changes nothing."""
    with Dropouts((), draws=False):
        yield
