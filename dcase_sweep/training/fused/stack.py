"""The networks of several trainings as one: their tensors are slices of larger ones."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from dcase_sweep.ops.can_fuse import only_layers
from dcase_sweep.training.fused.dropout import Dropouts


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    """Copy tensors of one shape into one ``[network, ...]``. Each keeps its order of dimensions in memory."""
    first = tensors[0]
    strides = first.stride()
    if first.numel() != 1 + sum((size - 1) * stride for size, stride in zip(first.shape, strides, strict=True)):
        strides = torch.empty(first.shape, device="meta").stride()  # a slice must be dense
    stacked = torch.empty_strided(
        (len(tensors), *first.shape), (first.numel(), *strides), dtype=first.dtype, device=first.device
    )
    for place, tensor in enumerate(tensors):
        stacked[place].copy_(tensor)
    return stacked


class Stack:
    """Networks of one architecture whose parameters and buffers are slices of stacked tensors.

    The networks remain usable. What changes a slice in place, such as an optimizer, changes the stack.

    Args:
        networks: the networks, of which the first one's code is used.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        self.networks = networks
        self._parameters: dict[str, Tensor] = {}
        self._buffers: dict[str, Tensor] = {}
        with torch.no_grad():
            for name, _ in networks[0].named_parameters():
                members = [network.get_parameter(name) for network in networks]
                stacked = _stack([each.detach() for each in members])
                for place, each in enumerate(members):
                    each.data = stacked[place]
                self._parameters[name] = stacked.requires_grad_(members[0].requires_grad)
            for name, _ in networks[0].named_buffers():
                stacked = _stack([network.get_buffer(name) for network in networks])
                for place, network in enumerate(networks):
                    _set_buffer(network, name, stacked[place])
                self._buffers[name] = stacked
        self._addresses = self._read_addresses()

    def is_current(self) -> bool:
        """Whether the tensors of all networks are still slices of the stack, with gradients or without as before."""
        return self._addresses == self._read_addresses()

    def _read_addresses(self) -> list[Any]:
        return [
            [(each.data_ptr(), each.requires_grad) for each in (*network.parameters(), *network.buffers())]
            for network in self.networks
        ]

    def zero_grad(self) -> None:
        """Remove the gradients of the stack."""
        for stacked in self._parameters.values():
            stacked.grad = None

    def share_gradients(self) -> None:
        """Let the gradient of each network's parameters be its slice of the stack's gradient."""
        for name, stacked in self._parameters.items():
            for place, network in enumerate(self.networks):
                network.get_parameter(name).grad = None if stacked.grad is None else stacked.grad[place]

    def compute(
        self,
        step: Callable[..., tuple[Tensor, Tensor]],
        inputs: Sequence[Tensor],
        dropouts: Sequence[Tensor],
        *,
        draws: bool,
    ) -> tuple[Tensor, Tensor]:
        """Compute the step of every network.

        Args:
            step: function of a call of the network and the tensors of its batch, which returns two tensors.
            inputs: the batches, each tensor ``[network, ...]``.
            dropouts: the masks or the probabilities of dropout, see `Dropouts`.
            draws: whether the masks are drawn here.

        Returns:
            The two tensors ``[network, ...]``.
        """
        template = self.networks[0]

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], *rest: Tensor) -> tuple[Tensor, Tensor]:
            def call(features: Tensor) -> Any:
                return functional_call(template, (parameters, buffers), (features,))

            with Dropouts(rest[len(inputs) :], draws=draws):
                return step(call, *rest[: len(inputs)])

        with only_layers():
            losses, reported = vmap(one, randomness="different" if draws else "error")(
                self._parameters, self._buffers, *inputs, *dropouts
            )
        return losses, reported


def _set_buffer(network: nn.Module, name: str, value: Tensor) -> None:
    path, _, last = name.rpartition(".")
    setattr(network.get_submodule(path), last, value)


@torch.no_grad()
def take_out(network: nn.Module) -> None:
    """Give a network tensors of its own again."""
    for parameter in network.parameters():
        parameter.data = parameter.detach().clone()
        parameter.grad = None
    for name, buffer in list(network.named_buffers()):
        _set_buffer(network, name, buffer.clone())
