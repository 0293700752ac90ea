"""Batch normalisation, gated linear unit, dropout and average pooling as one operation, for CPUs.

Layer by layer, every one of these reads and writes the whole map, and training keeps each result for the backward
pass. Here one clip or a few at a time go through all of them on one core, in memory that stays in the cache, and the
backward pass computes them again from the maps before the normalisation, which are all that is kept. The result is
that of the layers one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dcase_sweep.ops.dropout import DropoutMask
from dcase_sweep.ops.gate import Block, Gate, maps_in, spare_for, wide, widened
from dcase_sweep.ops.threads import run_together, working_memory

#: Values of a map that go through at once; working memory is about 16 bytes for each.
VALUES_PER_BLOCK = 1 << 19


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean and biased variance of every channel, and of how many values: ``[channel]``, at least float32.

    ``are_of_batch`` tells whether they come from the maps themselves and so take part in the backward pass.
    """

    mean: Tensor
    variance: Tensor
    count: int
    are_of_batch: bool


def split_batch(maps: Tensor) -> list[slice]:
    """Slices of the batch of about ``VALUES_PER_BLOCK`` values, at least one clip each."""
    clips = len(maps)
    step = max(1, VALUES_PER_BLOCK * clips // max(1, maps.numel()))
    return [slice(first, min(first + step, clips)) for first in range(0, clips, step)]


def batch_statistics(maps: Tensor) -> Statistics:
    """Statistics of contiguous maps ``[batch, frame, mel, channel]`` over all but the channels."""
    channels, wide_type = maps.shape[-1], wide(maps.dtype)

    def sum_gradients(part: Tensor) -> Tensor:
        memory, squares = working_memory([(part.shape, wide_type)] * 2)
        values = widened(part, memory)
        torch.square(values, out=squares)
        return torch.stack([each.view(-1, channels).sum(0) for each in (values, squares)]).double()

    sums = sum(run_together([partial(sum_gradients, maps[part]) for part in split_batch(maps)]), torch.zeros(1))
    count = maps.numel() // channels
    mean, square = sums / count
    variance = (square - mean.square()).clamp_(min=0)
    return Statistics(mean.to(wide_type), variance.to(wide_type), count, are_of_batch=True)


@dataclass(frozen=True, slots=True)
class Sums:
    """The gradients for the gate's parameters, and those for the normalised maps: summed, and as products.

    ``product`` is summed times what the maps come from: the maps before the normalisation, ``[channel]``, or the
    columns that a convolution makes them from, ``[channel, column]``.
    """

    gate_weight: Tensor
    gate_bias: Tensor
    normalised: Tensor
    product: Tensor

    @staticmethod
    def of(parts: Sequence["Sums"]) -> "Sums":
        """Added up in float64, in the order of the parts."""
        return Sums(
            sum((part.gate_weight.double() for part in parts), torch.zeros(1)),
            sum((part.gate_bias.double() for part in parts), torch.zeros(1)),
            sum((part.normalised.double() for part in parts), torch.zeros(1)),
            sum((part.product.double() for part in parts), torch.zeros(1)),
        )


@dataclass(frozen=True, slots=True)
class ThroughNormalisation:
    """How a gradient goes back through batch normalisation, ``[channel]`` each, float64.

    The maps get ``factor`` times the gradient for the normalised maps, plus ``slope`` times themselves, plus
    ``constant``; the normalisation's weight gets ``for_weight``.
    """

    factor: Tensor
    slope: Tensor
    constant: Tensor
    for_weight: Tensor

    @staticmethod
    def of(block: Block, statistics: Statistics, summed: Tensor, product: Tensor) -> "ThroughNormalisation":
        """From the gradient for the normalised maps, summed alone and times the maps."""
        rate = (statistics.variance.double() + block.epsilon).rsqrt()
        mean = statistics.mean.double()
        for_weight = rate * (product - mean * summed)
        factor = block.weight.double() * rate
        if not statistics.are_of_batch:
            zero = torch.zeros_like(factor)
            return ThroughNormalisation(factor, zero, zero, for_weight)
        slope = -factor * rate * for_weight / statistics.count
        return ThroughNormalisation(factor, slope, -slope * mean - factor * summed / statistics.count, for_weight)


class _Layers:
    """The layers behind a convolution with their constants in the right types, for any part of the batch."""

    def __init__(self, maps: Tensor, block: Block, statistics: Statistics) -> None:
        self.wide, mels = wide(maps.dtype), maps.shape[2]
        factor = block.weight.to(self.wide) * (statistics.variance + block.epsilon).rsqrt()
        offset = block.bias.to(self.wide) - statistics.mean * factor
        # One long row of factors, because a loop over a few channels alone is slow.
        self.factor, self.offset = factor.repeat(mels), offset.repeat(mels)
        self.gate = Gate(block, maps.dtype)

    def _normalise(self, maps: Tensor, normalised: Tensor, memory: Tensor) -> None:
        """Writes the normalised maps; the memory is for as many wide values."""
        rows = widened(maps, memory).view(-1, len(self.factor))
        target = normalised if normalised.dtype == memory.dtype else memory
        torch.addcmul(self.offset, rows, self.factor, out=target.view(-1, len(self.factor)))
        if target is memory:
            normalised.copy_(memory)

    def forward(self, maps: Tensor, mask: DropoutMask | None, pooled: Tensor) -> None:
        """Writes gated and pooled maps."""
        like = tuple(maps.shape), maps.dtype
        memory, linear, sigmoid, spare = working_memory([(maps.shape, self.wide), like, like, spare_for(*like)])
        normalised = maps_in(spare, *like)
        self._normalise(maps, normalised, memory)
        self.gate.forward(normalised, mask, pooled, linear=linear, sigmoid=sigmoid, spare=spare)

    def backward(self, maps: Tensor, mask: DropoutMask | None, gradient: Tensor, for_normalised: Tensor) -> Sums:
        """Writes the gradient for the normalised maps and returns what the parameters get from this part."""
        like, like_wide = (tuple(maps.shape), maps.dtype), (maps.shape, self.wide)
        normalised, linear, sigmoid, spare, memory, products = working_memory(
            [*[like] * 3, spare_for(*like), *[like_wide] * 2]
        )
        self._normalise(maps, normalised, memory)
        gate_weight, gate_bias = self.gate.backward(
            normalised,
            mask,
            gradient,
            for_normalised,
            linear=linear,
            sigmoid=sigmoid,
            spare=spare,
            wide_memory=memory,
        )
        channels = maps.shape[-1]
        through = widened(for_normalised, products)
        summed = through.view(-1, channels).sum(0)
        torch.mul(through, widened(maps, memory), out=products)
        return Sums(gate_weight, gate_bias, summed, products.view(-1, channels).sum(0))


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
        parts = split_batch(maps)
        drawn = [DropoutMask.draw(maps[part].numel(), block.dropout) if block.dropout else None for part in parts]
        run_together(
            [partial(layers.forward, maps[part], mask, pooled[part]) for part, mask in zip(parts, drawn, strict=True)]
        )
        ctx.save_for_backward(maps, weight, bias, gate_weight, gate_bias)
        ctx.drawn, ctx.constants, ctx.statistics = drawn, constants, statistics
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        maps, *parameters = ctx.saved_tensors
        block = Block(*parameters, *ctx.constants)
        layers = _Layers(maps, block, ctx.statistics)
        for_maps = torch.empty_like(maps)
        sums = Sums.of(
            run_together(
                [
                    partial(layers.backward, maps[part], mask, gradient[part], for_maps[part])
                    for part, mask in zip(split_batch(maps), ctx.drawn, strict=True)
                ]
            )
        )
        through = ThroughNormalisation.of(block, ctx.statistics, sums.normalised, sums.product)
        _normalisation_backward_(for_maps, maps, through)
        return for_maps, through.for_weight, sums.normalised, sums.gate_weight, sums.gate_bias, None, None


def _normalisation_backward_(gradient: Tensor, maps: Tensor, through: ThroughNormalisation) -> None:
    """Turns the gradient for the normalised maps into that for the maps, in place."""
    mels, wide_type = maps.shape[2], wide(maps.dtype)
    factor, slope, constant = (
        values.to(wide_type).repeat(mels) for values in (through.factor, through.slope, through.constant)
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

    The type of the maps is the type of the result and of the matrix products; normalisation and sums are in float32 or
    wider. The gate is (W y + b) · σ(y) of the normalised maps y. The gradient is exact and may be taken once.
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
