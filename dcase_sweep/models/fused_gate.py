"""Batch normalisation, gated linear unit, dropout and average pooling as one operation, for CPUs.

Layer by layer, every one of these reads and writes the whole map, and training keeps each result for the backward
pass. Here one clip or a few at a time go through all of them on one core, in memory that stays in the cache, and the
backward pass computes them again from the maps before the normalisation, which are all that is kept. The result is
that of the layers one by one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dcase_sweep.models.dropout import Decisions
from dcase_sweep.models.threads import run_together, working_memory

#: Values of a map that go through at once; working memory is about 16 bytes for each.
VALUES_AT_ONCE = 1 << 19


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean and biased variance of every channel, and of how many values: ``[channel]``, at least float32.

    ``are_of_batch`` tells whether they come from the maps themselves and so take part in the backward pass.
    """

    mean: Tensor
    variance: Tensor
    count: int
    are_of_batch: bool


@dataclass(frozen=True, slots=True)
class Block:
    """Parameters and constants of one block; the pool is over ``(frame, mel)``, dropout is 0 outside of training.

    ``weight`` and ``bias`` ``[channel]`` are those of the normalisation, ``gate_weight`` ``[channel, channel]`` and
    ``gate_bias`` ``[channel]`` those of the linear map that is gated.
    """

    weight: Tensor
    bias: Tensor
    gate_weight: Tensor
    gate_bias: Tensor
    epsilon: float
    pool: tuple[int, int]
    dropout: float


def _wide(dtype: torch.dtype) -> torch.dtype:
    """The type to sum and normalise in."""
    return torch.promote_types(dtype, torch.float32)


def _parts(maps: Tensor) -> list[slice]:
    """Slices of the batch of about ``VALUES_AT_ONCE`` values, at least one clip each."""
    clips = len(maps)
    step = max(1, VALUES_AT_ONCE * clips // max(1, maps.numel()))
    return [slice(first, min(first + step, clips)) for first in range(0, clips, step)]


def batch_statistics(maps: Tensor) -> Statistics:
    """Statistics of contiguous maps ``[batch, frame, mel, channel]`` over all but the channels."""
    channels, wide = maps.shape[-1], _wide(maps.dtype)

    def sums_of(part: Tensor) -> Tensor:
        (values,) = working_memory([(part.shape, wide)])
        values = values.copy_(part).view(-1, channels)
        return torch.stack([values.sum(0), values.square_().sum(0)]).double()

    sums = sum(run_together([partial(sums_of, maps[part]) for part in _parts(maps)]), torch.zeros(1))
    count = maps.numel() // channels
    mean, square = sums / count
    variance = (square - mean.square()).clamp_(min=0)
    return Statistics(mean.to(wide), variance.to(wide), count, are_of_batch=True)


@dataclass(frozen=True, slots=True)
class _Sums:
    """The gradients for the gate's parameters, and those for the normalised maps, summed alone and times the maps."""

    gate_weight: Tensor
    gate_bias: Tensor
    normalised: Tensor
    product: Tensor

    @staticmethod
    def of(parts: Sequence["_Sums"]) -> "_Sums":
        """Added up in float64, in the order of the parts."""
        return _Sums(
            sum((part.gate_weight.double() for part in parts), torch.zeros(1)),
            sum((part.gate_bias.double() for part in parts), torch.zeros(1)),
            sum((part.normalised.double() for part in parts), torch.zeros(1)),
            sum((part.product.double() for part in parts), torch.zeros(1)),
        )


class _Layers:
    """The layers behind a convolution with their constants in the right types, for any part of the batch."""

    def __init__(self, maps: Tensor, block: Block, statistics: Statistics) -> None:
        self.wide, mels = _wide(maps.dtype), maps.shape[2]
        factor = block.weight.to(self.wide) * (statistics.variance + block.epsilon).rsqrt()
        offset = block.bias.to(self.wide) - statistics.mean * factor
        # One long row of factors, because a loop over a few channels alone is slow.
        self.factor, self.offset = factor.repeat(mels), offset.repeat(mels)
        self.gate_weight, self.gate_bias = block.gate_weight.to(maps.dtype), block.gate_bias.to(maps.dtype)
        self.pool = block.pool

    def gate(self, maps: Tensor, decisions: Decisions | None, memory: Sequence[Tensor]) -> None:
        """Writes the normalised maps, their linear map, and their sigmoid behind dropout (not scaled)."""
        wide, normalised, linear, sigmoid = memory
        channels = maps.shape[-1]
        rows = wide.copy_(maps).view(-1, len(self.factor))
        torch.addcmul(self.offset, rows, self.factor, out=rows)
        normalised.copy_(wide)
        torch.addmm(self.gate_bias, normalised.view(-1, channels), self.gate_weight.t(), out=linear.view(-1, channels))
        torch.sigmoid(normalised, out=sigmoid)
        if decisions is not None:
            decisions.zero_dropped_(sigmoid)

    def forward(self, maps: Tensor, decisions: Decisions | None, pooled: Tensor) -> None:
        """Writes gated and pooled maps."""
        memory = working_memory([(maps.shape, self.wide), *[(maps.shape, maps.dtype)] * 3])
        self.gate(maps, decisions, memory)
        _, _, linear, sigmoid = memory
        gated = linear.mul_(sigmoid).permute(0, 3, 1, 2)
        torch.ops.aten.avg_pool2d.out(gated, list(self.pool), out=pooled.permute(0, 3, 1, 2))

    def backward(self, maps: Tensor, decisions: Decisions | None, gradient: Tensor, for_normalised: Tensor) -> _Sums:
        """Writes the gradient for the normalised maps and returns what the parameters get from this part.

        Write y for the normalised maps, l = y Wᵀ + b, s = σ(y) behind dropout, and h for the gradient behind the
        gate, spread over the pool's windows. Then l gets h s, and y gets (h s) W + h l s (1 - s). Where dropout
        struck, s = 0 and so are both.
        """
        memory = working_memory([*[(maps.shape, self.wide)] * 2, *[(maps.shape, maps.dtype)] * 4])
        wide_maps, wide, normalised, linear, sigmoid, for_linear = memory
        channels = maps.shape[-1]
        self.gate(maps, decisions, [wide, normalised, linear, sigmoid])
        self._spread_times(gradient, sigmoid, for_linear)
        linear.mul_(for_linear)
        torch.addcmul(linear, linear, sigmoid, value=-1, out=linear)
        rows, result = for_linear.view(-1, channels), for_normalised.view(-1, channels)
        torch.addmm(linear.view(-1, channels), rows, self.gate_weight, out=result)
        gate_weight = rows.t() @ normalised.view(-1, channels)
        wide, wide_maps = wide.view(-1, channels), wide_maps.copy_(maps).view(-1, channels)
        gate_bias = wide.copy_(rows).sum(0)
        return _Sums(gate_weight, gate_bias, wide.copy_(result).sum(0), wide.mul_(wide_maps).sum(0))

    def _spread_times(self, gradient: Tensor, sigmoid: Tensor, product: Tensor) -> None:
        """Writes the pooled maps' gradient, spread over each window, times the sigmoid; 0 beyond the last window."""
        frames, mels = sigmoid.shape[1:3]
        over_frames, over_mels = self.pool
        whole = frames - frames % over_frames
        # Channels twice in a row are the map with every mel band twice.
        spread = torch.cat([gradient] * over_mels, dim=-1).view(*gradient.shape[:2], -1, gradient.shape[-1])
        if spread.shape[2] < mels:
            spread = torch.nn.functional.pad(spread, (0, 0, 0, mels - spread.shape[2]))
        product[:, whole:] = 0
        windows = sigmoid[:, :whole].unflatten(1, (-1, over_frames))
        torch.mul(windows, spread.unsqueeze(2), out=product[:, :whole].unflatten(1, (-1, over_frames)))


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
        parts = _parts(maps)
        drawn = [Decisions.draw(maps[part].numel(), block.dropout) if block.dropout else None for part in parts]
        run_together(
            [
                partial(layers.forward, maps[part], decisions, pooled[part])
                for part, decisions in zip(parts, drawn, strict=True)
            ]
        )
        ctx.save_for_backward(maps, weight, bias, gate_weight, gate_bias)
        ctx.drawn, ctx.constants, ctx.statistics = drawn, constants, statistics
        return pooled.mul_(_scale(drawn))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        maps, *parameters = ctx.saved_tensors
        block = Block(*parameters, *ctx.constants)
        layers = _Layers(maps, block, ctx.statistics)
        gradient = gradient * (_scale(ctx.drawn) / math.prod(block.pool))
        for_maps = torch.empty_like(maps)
        sums = _Sums.of(
            run_together(
                [
                    partial(layers.backward, maps[part], decisions, gradient[part], for_maps[part])
                    for part, decisions in zip(_parts(maps), ctx.drawn, strict=True)
                ]
            )
        )
        for_weight = _through_normalisation_(for_maps, maps, block, sums, ctx.statistics)
        return for_maps, for_weight, sums.normalised, sums.gate_weight, sums.gate_bias, None, None


def _scale(drawn: list[Decisions | None]) -> float:
    return drawn[0].scale if drawn and drawn[0] else 1.0


def _through_normalisation_(
    gradient: Tensor, maps: Tensor, block: Block, sums: _Sums, statistics: Statistics
) -> Tensor:
    """Turns the gradient for the normalised maps into that for the maps, in place; returns the one for the weight."""
    rate = (statistics.variance.double() + block.epsilon).rsqrt()
    mean = statistics.mean.double()
    for_weight = rate * (sums.product - mean * sums.normalised)
    factor = block.weight.double() * rate
    if statistics.are_of_batch:
        slope = -factor * rate * for_weight / statistics.count
        constant = -slope * mean - factor * sums.normalised / statistics.count
    else:
        slope = constant = torch.zeros_like(factor)
    mels, wide = maps.shape[2], _wide(maps.dtype)
    factor, slope, constant = (values.to(wide).repeat(mels) for values in (factor, slope, constant))

    def combine(part: slice) -> None:
        values, result = working_memory([(maps[part].shape, wide)] * 2)
        rows, result_rows = values.view(-1, len(factor)), result.view(-1, len(factor))
        values.copy_(maps[part])
        torch.addcmul(constant, rows, slope, out=result_rows)
        values.copy_(gradient[part])
        result_rows.addcmul_(rows, factor)
        gradient[part] = result

    run_together([partial(combine, part) for part in _parts(maps)])
    return for_weight


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
