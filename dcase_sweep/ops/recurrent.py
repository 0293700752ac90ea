"""Bidirectional gated recurrent layers that use two CPU cores."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from dcase_sweep.ops.can_fuse import can_fuse
from dcase_sweep.ops.dropout import dropout
from dcase_sweep.ops.threads import run_together


@dataclass(frozen=True, slots=True)
class _Direction:
    """The parameters of one direction of a layer, with the rows of the weights in PyTorch's order: reset, update, new.

    Matrix products over all frames are computed in ``type``, the recurrence in the type of the parameters.
    """

    is_reverse: bool
    type: torch.dtype
    input_weight: Tensor
    hidden_weight: Tensor
    input_bias: Tensor
    hidden_bias: Tensor

    def in_time(self, frames: Tensor) -> list[Tensor]:
        """List the frames of ``[frame, ...]`` in the order in which this direction processes them."""
        return list(frames.unbind(0))[:: -1 if self.is_reverse else 1]

    def forward(self, inputs: Tensor) -> "_States":
        """Compute the states after each frame of ``[frame, batch, channel]``, and what the backward pass needs."""
        frames, clips, _ = inputs.shape
        units = self.hidden_weight.shape[1]
        weight, bias = self.hidden_weight.t().contiguous(), self.hidden_bias[2 * units :]
        gates = nn.functional.linear(inputs.to(self.type), self.input_weight.to(self.type)).to(weight.dtype)
        gates += torch.cat([self.input_bias[: 2 * units] + self.hidden_bias[: 2 * units], self.input_bias[2 * units :]])
        states = weight.new_empty(frames, clips, units)
        new_from_hidden = torch.empty_like(states)
        from_hidden = weight.new_empty(clips, 3 * units)
        from_hidden_both, from_hidden_new = from_hidden[:, : 2 * units], from_hidden[:, 2 * units :]
        twice = weight.new_empty(clips, units)
        state = weight.new_zeros(clips, units)
        for reset, update, both, new, hidden, after in zip(
            *(self.in_time(part) for part in gates[..., : 2 * units].chunk(2, dim=2)),
            *(self.in_time(part) for part in (gates[..., : 2 * units], gates[..., 2 * units :])),
            self.in_time(new_from_hidden),
            self.in_time(states),
            strict=True,
        ):
            torch.mm(state, weight, out=from_hidden)
            both.add_(from_hidden_both).sigmoid_()
            torch.add(from_hidden_new, bias, out=hidden)
            torch.addcmul(new, reset, hidden, out=twice)
            # tanh(x) = 2 σ(2 x) - 1, several times as fast as PyTorch's tanh.
            torch.sub(twice.mul_(2).sigmoid_().mul_(2), 1, out=new)
            state = torch.lerp(new, state, update, out=after)
        return _States(states, gates, new_from_hidden)

    def before(self, states: Tensor) -> Tensor:
        """Return the state before each frame, from the states after each frame."""
        start = torch.zeros_like(states[:1])
        return torch.cat([states[1:], start] if self.is_reverse else [start, states[:-1]])

    def backward(self, states: "_States", inputs: Tensor, gradient: Tensor) -> tuple[Tensor, ...]:
        """Compute the gradients of inputs and parameters from that of the states ``[frame, batch, unit]``."""
        units = gradient.shape[2]
        before = self.before(states.states)
        factors = states.factors(before)
        weight = self.hidden_weight.roll(units, 0)  # rows: new, reset, update
        carried = torch.zeros_like(before[0])
        through_update = torch.empty_like(carried)
        for from_above, update, factor in zip(
            *(self.in_time(part)[::-1] for part in (gradient, states.gates[..., units : 2 * units], factors)),
            strict=True,
        ):
            carried += from_above
            torch.mul(carried, update, out=through_update)
            for_gates = factor.mul_(carried.unsqueeze(1)).flatten(1)
            torch.addmm(through_update, for_gates[:, : 3 * units], weight, out=carried)
        for_hidden, for_input = (part.flatten(2).flatten(0, 1) for part in (factors[:, :, :3], factors[:, :, 1:]))
        low = for_input.to(self.type)
        for_inputs = (low @ self.input_weight.to(self.type)).view(inputs.shape)
        for_input_weight = low.t() @ inputs.to(self.type).flatten(0, 1)
        for_hidden_weight = for_hidden.to(self.type).t() @ before.to(self.type).flatten(0, 1)
        return (
            for_inputs,
            for_input_weight.to(weight.dtype),
            for_hidden_weight.to(weight.dtype).roll(-units, 0),
            for_input.sum(0),
            for_hidden.sum(0).roll(-units, 0),
        )


@dataclass(frozen=True, slots=True)
class _States:
    """States after each frame, gates, and the state's part of the new gate: ``[frame, batch, ...]``."""

    states: Tensor
    gates: Tensor
    new_from_hidden: Tensor

    def factors(self, before: Tensor) -> Tensor:
        """Compute the factors that turn the gradient of a state into that of each gate, ``[frame, batch, 4, unit]``.

        With h' = n + z (h - n) and n = tanh(a + r b), the order is: b (new gate, hidden weights), reset, update, a (new
        gate, input weights). The first three are one matrix for the hidden weights, the last three one for the input's.
        """
        reset, update, new = self.gates.chunk(3, dim=2)
        for_new = (1 - update) * (1 - new.square())
        for_reset = for_new * self.new_from_hidden * reset * (1 - reset)
        return torch.stack([for_new * reset, for_reset, (before - new) * update * (1 - update), for_new], dim=2)


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, product_type: torch.dtype, *parameters: Tensor) -> Tensor:
        directions = _directions(parameters, product_type)
        states = run_together([partial(direction.forward, inputs) for direction in directions])
        ctx.save_for_backward(inputs, *parameters)
        ctx.states, ctx.product_type = states, product_type
        return torch.cat([direction.states for direction in states], dim=2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, *parameters = ctx.saved_tensors
        tasks = [
            partial(direction.backward, states, inputs, part)
            for direction, states, part in zip(
                _directions(parameters, ctx.product_type), ctx.states, gradient.chunk(2, dim=2), strict=True
            )
        ]
        ahead, back = run_together(tasks)
        return ((ahead[0] + back[0]).to(inputs.dtype), None, *ahead[1:], *back[1:])


def _directions(parameters: Any, product_type: torch.dtype) -> list[_Direction]:
    return [
        _Direction(False, product_type, *parameters[:4]),
        _Direction(True, product_type, *parameters[4:]),
    ]


class BidirectionalGRU(nn.GRU):
    """``torch.nn.GRU`` in both directions, batch first, with the same parameter names and the same results.

    On a CPU each direction runs on its own core. PyTorch's layer splits the matrix product of each frame among the
    cores, and that product is too small for two.

    Args:
        inputs: number of input channels.
        units: number of units of a layer in each direction.
        layers: number of layers.
        dropout: probability of dropout between layers; without effect if there is one layer.
        fast_cpu: use this implementation on a CPU; False always uses PyTorch's.
    """

    def __init__(self, inputs: int, units: int, layers: int, *, dropout: float = 0.0, fast_cpu: bool = True) -> None:
        # PyTorch warns of dropout with one layer, which the check of the configuration says in one line.
        between = dropout if layers > 1 else 0.0
        super().__init__(inputs, units, layers, batch_first=True, dropout=between, bidirectional=True)
        self.fast_cpu = fast_cpu

    def forward(self, inputs: Tensor) -> Tensor:  # type: ignore[override]
        """Compute states ``[batch, frame, 2 * unit]``, forward direction first, of ``[batch, frame, channel]``."""
        if not self.fast_cpu or not can_fuse(inputs):
            states: Tensor = super().forward(inputs)[0]
            return states
        is_mixed = torch.is_autocast_enabled("cpu")
        product_type = torch.get_autocast_dtype("cpu") if is_mixed else self.weight_ih_l0.dtype
        sequence = inputs.transpose(0, 1).contiguous()
        with torch.autocast("cpu", enabled=False):
            for layer in range(self.num_layers):
                ahead, back = self.all_weights[2 * layer : 2 * layer + 2]
                sequence = dropout(sequence, self.dropout if layer else 0.0, self.training)
                sequence = _Layer.apply(sequence, product_type, *ahead, *back)
        return sequence.transpose(0, 1)
