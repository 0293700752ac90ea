"""Batch normalisation, gated linear unit, dropout and average pooling as one operation, for CPUs.

Run one by one, each of these layers reads and writes all maps, and training stores each result for the backward pass.
Here each core takes a few clips through all layers, in memory that stays in its cache. Only the maps before the
normalisation are stored; the backward pass computes the rest again. The result equals that of the layers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dcase_sweep.ops.dropout import DropoutMask
from dcase_sweep.ops.gate import Block, Gate, GateMemory, wide, widened
from dcase_sweep.ops.normalisation import NormalisationGradient, scale
from dcase_sweep.ops.statistics import Statistics
from dcase_sweep.ops.threads import run_together, working_memory, workspace

#: Values of the maps that one task processes; it uses about 16 bytes of working memory for each.
VALUES_PER_BLOCK = 1 << 19


def split_batch(maps: Tensor) -> list[slice]:
    """Split the batch into slices of about ``VALUES_PER_BLOCK`` values, at least one clip each."""
    clips = len(maps)
    step = max(1, VALUES_PER_BLOCK * clips // max(1, maps.numel()))
    return [slice(first, min(first + step, clips)) for first in range(0, clips, step)]


@dataclass(frozen=True, slots=True)
class Sums:
    """Gradients of a part of the batch, summed over its positions.

    Attributes:
        gate_weight: gradient of the gate's weight, ``[channel, channel]``.
        gate_bias: gradient of the gate's bias, ``[channel]``.
        normalised: sum of the gradient of the normalised maps, ``[channel]``.
        product: sum of that gradient times the maps before the normalisation, ``[channel]``, or times the patches that
            a convolution computes them from, ``[channel, patch]``.
    """

    gate_weight: Tensor
    gate_bias: Tensor
    normalised: Tensor
    product: Tensor

    @staticmethod
    def add(parts: Sequence["Sums"]) -> "Sums":
        """Add parts in float64, in their order."""
        return Sums(
            sum((part.gate_weight.double() for part in parts), torch.zeros(1)),
            sum((part.gate_bias.double() for part in parts), torch.zeros(1)),
            sum((part.normalised.double() for part in parts), torch.zeros(1)),
            sum((part.product.double() for part in parts), torch.zeros(1)),
        )


@dataclass(frozen=True, slots=True)
class _Memory:
    """Working memory for a part of the batch.

    Attributes:
        gate: that of the gate.
        normalised: the normalised maps, ``[clip * frame, mel * channel]``.
        wide: memory in the type of :func:`wide`, ``[position, channel]``; in this type it is not used.
        products: likewise; in this type it shares the memory of the linear map.
        wide_frames: ``wide`` as ``[clip * frame, mel * channel]``.
    """

    gate: GateMemory
    normalised: Tensor
    wide: Tensor
    products: Tensor
    wide_frames: Tensor

    @staticmethod
    def make(shape: tuple[int, ...], dtype: torch.dtype, pool: tuple[int, int], for_backward: bool) -> "_Memory":
        """Reserve the memory for maps of a shape; only the backward pass keeps the normalised maps."""
        shapes = GateMemory.shapes(shape, dtype)
        if for_backward:
            shapes.append((shape, dtype))
        if dtype != wide(dtype):
            shapes += [(shape, wide(dtype))] * (2 if for_backward else 1)
        linear, sigmoid, masks, *others = working_memory(shapes)
        gate = GateMemory.of((linear, sigmoid, masks), pool, others.pop(0) if for_backward else None)
        first, last = (others[0], others[-1]) if others else (linear, linear)
        frames = -1, shape[2] * shape[3]
        wide_rows, products = first.view(-1, shape[3]), last.view(-1, shape[3])
        return _Memory(gate, gate.normalised.whole.view(frames), wide_rows, products, first.view(frames))


@dataclass(frozen=True, slots=True)
class _Part:
    """Some clips: the shape of their maps, these as ``[clip * frame, mel * channel]``, and the pooled ones.

    In the backward pass ``pooled`` is the gradient of the pooled maps, and ``gradient`` is where that of the normalised
    maps is written, as ``[position, channel]``.
    """

    shape: tuple[int, ...]
    frames: Tensor
    rows: Tensor
    pooled: Tensor
    gradient: Tensor | None = None

    @staticmethod
    def split(maps: Tensor, pooled: Tensor, gradient: Tensor | None = None) -> "list[_Part]":
        """Split the batch. All views are created here, because in the tasks they would cost Python's lock."""
        _, _, mels, channels = maps.shape
        parts = []
        for some in split_batch(maps):
            part = maps[some]
            rows = None if gradient is None else gradient[some].view(-1, channels)
            frames = part.view(-1, mels * channels)
            parts.append(_Part(tuple(part.shape), frames, part.view(-1, channels), pooled[some], rows))
        return parts


class _Layers:
    """The layers after a convolution, with their constants in the right types, for any part of the batch."""

    def __init__(self, maps: Tensor, block: Block, statistics: Statistics) -> None:
        self.wide, mels = wide(maps.dtype), maps.shape[2]
        factor, offset = scale(block.weight, block.bias, block.epsilon, statistics, self.wide)
        # Repeated to one long row, because a loop over a few channels is slow.
        self.factor, self.offset = factor.repeat(mels), offset.repeat(mels)
        self.gate = Gate(block, maps.dtype)

    def _normalise(self, part: _Part, *, for_backward: bool) -> _Memory:
        """Compute the normalised maps of a part and their linear map."""
        dtype = part.frames.dtype
        memory = workspace(_Memory.make, part.shape, dtype, self.gate.pool, for_backward)
        if dtype == self.wide:
            torch.addcmul(self.offset, part.frames, self.factor, out=memory.normalised)
        else:
            values = memory.wide_frames.copy_(part.frames)
            memory.normalised.copy_(torch.addcmul(self.offset, values, self.factor, out=values))
        self.gate.multiply(memory.gate)
        return memory

    def forward(self, part: _Part, mask: DropoutMask | None) -> None:
        """Write the gated and pooled maps."""
        self.gate.forward(self._normalise(part, for_backward=False).gate, mask, part.pooled)

    def backward(self, part: _Part, mask: DropoutMask | None) -> Sums:
        """Write the gradient of the normalised maps and return this part's sums for the parameters."""
        assert part.gradient is not None
        memory = self._normalise(part, for_backward=True)
        self.gate.backward(memory.gate, mask, part.pooled, part.gradient)
        rows = memory.gate.spare.rows
        gate_weight = rows.t() @ memory.gate.normalised.rows
        gate_bias = widened(rows, memory.wide).sum(0)
        gradient = widened(part.gradient, memory.products)
        summed = gradient.sum(0)
        torch.mul(gradient, widened(part.rows, memory.wide), out=memory.products)
        return Sums(gate_weight, gate_bias, summed, memory.products.sum(0))


class _NormaliseGatePool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        maps: Tensor,
        weight: Tensor,
        bias: Tensor,
        gate_weight: Tensor,
        gate_bias: Tensor,
        constants: tuple[float, tuple[int, int], float],
        statistics: Statistics,
    ) -> Tensor:
        block = Block(weight, bias, gate_weight, gate_bias, *constants)
        layers = _Layers(maps, block, statistics)
        clips, frames, mels, channels = maps.shape
        pooled = maps.new_empty(clips, frames // block.pool[0], mels // block.pool[1], channels)
        parts = _Part.split(maps, pooled)
        masks: list[DropoutMask | None] = []
        drawn = DropoutMask.draw_into(masks, [math.prod(part.shape) for part in parts], block.dropout)
        # Drawing is work for one thread, so each mask is drawn while the other threads compute.
        run_together(map(partial, repeat(layers.forward), parts, drawn), len(parts))
        ctx.save_for_backward(maps, weight, bias, gate_weight, gate_bias)
        ctx.masks, ctx.constants, ctx.statistics = masks, constants, statistics
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        maps, *parameters = ctx.saved_tensors
        block = Block(*parameters, *ctx.constants)
        layers = _Layers(maps, block, ctx.statistics)
        for_maps = torch.empty_like(maps)
        parts = zip(_Part.split(maps, gradient, for_maps), ctx.masks, strict=True)
        sums = Sums.add(run_together([partial(layers.backward, part, mask) for part, mask in parts]))
        norm_gradient = NormalisationGradient.compute(
            block.weight, block.epsilon, ctx.statistics, sums.normalised, sums.product
        )
        _normalisation_backward_(for_maps, maps, norm_gradient)
        return for_maps, norm_gradient.for_weight, sums.normalised, sums.gate_weight, sums.gate_bias, None, None


def _normalisation_backward_(gradient: Tensor, maps: Tensor, norm_gradient: NormalisationGradient) -> None:
    """Replace the gradient of the normalised maps by that of the maps, in place."""
    mels, wide_type = maps.shape[2], wide(maps.dtype)
    factor, slope, constant = (
        values.to(wide_type).repeat(mels)
        for values in (norm_gradient.factor, norm_gradient.slope, norm_gradient.constant)
    )

    def combine(part: slice) -> None:
        wide_maps, wide_gradient, result = working_memory([(maps[part].shape, wide_type)] * 3)
        rows = result.view(-1, len(factor))
        torch.addcmul(constant, widened(maps[part], wide_maps).view_as(rows), slope, out=rows)
        direct = widened(gradient[part], wide_gradient).view_as(rows)
        if gradient.dtype == wide_type:
            torch.addcmul(rows, direct, factor, out=direct)
        else:
            gradient[part] = rows.addcmul_(direct, factor).view_as(result)

    run_together([partial(combine, part) for part in split_batch(maps)])


def normalise_gate_pool(maps: Tensor, block: Block, statistics: Statistics) -> Tensor:
    """Batch normalisation, gated linear unit, dropout and average pooling of ``[batch, frame, mel, channel]``.

    The result and the matrix products have the type of the maps; normalisation and sums are computed in float32 or
    wider. The gate is (W y + b) · σ(y) of the normalised maps y. The gradient is exact and may be computed once.
    """
    with torch.autocast("cpu", enabled=False):
        pooled: Tensor = _NormaliseGatePool.apply(
            maps.contiguous(),
            block.weight,
            block.bias,
            block.gate_weight,
            block.gate_bias,
            (block.epsilon, block.pool, block.dropout),
            statistics,
        )
    return pooled
