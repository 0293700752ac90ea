"""Networks compiled by `torch.compile` for full training batches."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import nn


class CompiledCall:
    """Calls a compiled network for full training batches, and the network itself for all others.

    Otherwise `torch.compile` would compile the network again for the smaller last batch of an epoch and for validation,
    which takes longer than it saves.

    Args:
        network: ``[batch, ...]`` → outputs. Its weights are shared with the compiled network.
        batch_size: size of a full batch.
    """

    def __init__(self, network: nn.Module, batch_size: int) -> None:
        self.network = network
        self.batch_size = batch_size
        self._compiled = torch.compile(network, dynamic=False)

    def __call__(self, features: torch.Tensor) -> Any:
        is_full = self.network.training and len(features) == self.batch_size
        return self._compiled(features) if is_full else self.network(features)

    def __deepcopy__(self, memo: dict[int, Any]) -> "CompiledCall":
        return CompiledCall(deepcopy(self.network, memo), self.batch_size)


def compile_calls(networks: Sequence[nn.Module], batch_size: int) -> list[CompiledCall]:
    """Return compiled calls of networks that are trained together.

    The state of the compiler from earlier trainings in this process is reset. With it, the compiler would treat another
    batch size as a variable one, and stop compiling after eight networks of the same class.
    """
    torch.compiler.reset()
    return [CompiledCall(network, batch_size) for network in networks]
