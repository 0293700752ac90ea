"""A bidirectional GRU whose frames are processed by the kernels of :mod:`.gru_kernels`."""

from functools import partial
from typing import Any

import torch
import triton
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from dcase_sweep.ops.recurrent import BidirectionalGRU
from tests.benchmarks.kernels import gru_kernels as kernels
from tests.benchmarks.kernels.products import product_constants

#: Clips that a program computes, and its warps.
CLIPS = 16
WARPS = 8
#: The units that the kernels can compute: the weights of the states must fit a program.
UNITS = (16, 32, 64, 128)


class _Layer(torch.autograd.Function):
    """Both directions of a layer: ``[clip, frame, channel]`` → ``[clip, frame, 2 * unit]``.

    Weights are ``[direction * 3 * unit, ...]``, biases ``[direction * 3 * unit]``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        input_weight: Tensor,
        hidden_weight: Tensor,
        input_bias: Tensor,
        hidden_bias: Tensor,
        keeps: bool,
    ) -> Tensor:
        clips, frames, _ = inputs.shape
        units = hidden_weight.shape[1]
        gates = functional.linear(inputs, input_weight, input_bias)
        states = inputs.new_empty(clips, frames, 2 * units)
        kept = inputs.new_empty(clips, frames, 2, 5, units) if keeps else states
        kernels.forward[(triton.cdiv(clips, CLIPS), 2)](
            gates, hidden_weight, hidden_bias, states, kept, clips, KEEP=keeps, **_constants(frames, units, inputs)
        )
        ctx.save_for_backward(inputs, input_weight, hidden_weight, kept)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, input_weight, hidden_weight, kept = ctx.saved_tensors
        clips, frames, _, _, units = kept.shape
        for_gates = kept.new_empty(clips, frames, 2, 3, units)
        for_hidden = kept.new_empty(clips, frames, 2, units)
        kernels.backward[(triton.cdiv(clips, CLIPS), 2)](
            *(gradient.contiguous(), hidden_weight, kept, for_gates, for_hidden, clips),
            **_constants(frames, units, inputs),
        )
        for_inputs = for_gates.view(clips, frames, -1) @ input_weight
        rows = for_gates.view(-1, 6 * units)
        for_input_weight = rows.t() @ inputs.reshape(len(rows), -1)
        sums = rows.sum(0, dtype=torch.float32)
        before = kept[:, :, :, 4].permute(2, 0, 1, 3).reshape(2, -1, units)
        through_both = for_gates[:, :, :, :2].permute(2, 3, 4, 0, 1).reshape(2, 2 * units, -1)
        through_new = for_hidden.permute(2, 3, 0, 1).reshape(2, units, -1)
        from_states = torch.cat([through_both, through_new], 1)
        for_hidden_weight = (from_states @ before).view(-1, units)
        of_states = torch.cat(
            [sums.view(2, 3, units)[:, :2].flatten(1), for_hidden.sum((0, 1), dtype=torch.float32)], 1
        )
        return for_inputs, for_input_weight, for_hidden_weight, sums, of_states.flatten(), None


def _constants(frames: int, units: int, inputs: Tensor) -> dict[str, Any]:
    sizes = {"T": frames, "H": units, "BLOCK": CLIPS, "num_warps": WARPS}
    return {**sizes, **product_constants(inputs.dtype)}


def compute_gru(gru: BidirectionalGRU, inputs: Tensor) -> Tensor:
    """Compute the states as the `forward` of a bidirectional GRU does."""
    device = inputs.device.type
    is_mixed = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if is_mixed else inputs.dtype
    sequence = inputs.to(dtype).contiguous()
    keeps = torch.is_grad_enabled()
    with torch.autocast(device, enabled=False):
        for layer in range(gru.num_layers):
            if layer and gru.dropout:
                sequence = functional.dropout(sequence, gru.dropout, gru.training)
            ahead, back = gru.all_weights[2 * layer : 2 * layer + 2]
            joined = [torch.cat(pair).to(dtype) for pair in zip(ahead, back, strict=True)]
            sequence = _Layer.apply(sequence, *joined, keeps)
    return sequence


def compute_by_kernels(network: nn.Module) -> None:
    """Compute the bidirectional GRUs of networks by the kernels."""
    for module in network.modules():
        if isinstance(module, BidirectionalGRU) and module.hidden_size in UNITS:
            module.forward = partial(compute_gru, module)  # type: ignore[method-assign]
