"""Networks compiled by `torch.compile` for the batches that they are trained on."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import nn


class CompiledCall:
    """Calls a network compiled for batches of one size in training, and as it is for all others.

    `torch.compile` would compile again, for a size or for any size, when the last batch of an epoch is smaller and when
    clips are validated, and that takes longer than it saves.

    Args:
        network: ``[batch, ...]`` → its outputs; its weights stay where they are.
        batch_size: of a full batch.
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
    """Calls of networks that are trained together.

    What earlier trainings of this process left in the compiler is forgotten: it takes a batch size that differs from
    theirs for one that varies, compiles for any size, and gives up after eight networks of one class.
    """
    torch.compiler.reset()
    return [CompiledCall(network, batch_size) for network in networks]
