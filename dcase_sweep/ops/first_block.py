"""The first block of a network of spectrograms as one operation, its convolution included, for CPUs.

Its maps are the largest of the network, many times the spectrogram that they come from, and nothing needs a gradient
for the spectrogram. So neither they nor their gradient are ever written to memory: the convolution is a product of few
patches, computed again where it is needed; the maps' statistics follow from those of the patches; and so do the
gradients of all parameters, from sums that one pass over the batch gives. The result is that of the layers one by one.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from dcase_sweep.ops.dropout import DropoutMask
from dcase_sweep.ops.fused_gate import Statistics, Sums, ThroughNormalisation
from dcase_sweep.ops.gate import Block, Gate, maps_in, spare_for
from dcase_sweep.ops.threads import run_together, working_memory

#: Values of a map that go through at once.
VALUES_PER_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Patches:
    """What a convolution sees of spectrograms ``[batch, frame, mel]``: at each place as many values as its kernel has.

    ``padded`` holds the spectrograms within zeros, ``kernel`` the odd sizes ``(frame, mel)``.
    """

    padded: Tensor
    kernel: tuple[int, int]

    @staticmethod
    def of(spectrograms: Tensor, kernel: tuple[int, int]) -> "Patches":
        """For a convolution that keeps the size."""
        frames, mels = (size // 2 for size in kernel)
        return Patches(functional.pad(spectrograms, (mels, mels, frames, frames)), kernel)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the maps: ``(batch, frame, mel)``."""
        clips, frames, mels = self.padded.shape
        return clips, frames - self.kernel[0] + 1, mels - self.kernel[1] + 1

    @property
    def number(self) -> int:
        """How many patches there are."""
        return self.kernel[0] * self.kernel[1]

    def write(self, clip: int, frames: slice, patches: Tensor) -> None:
        """Writes those of some frames of a clip, each column in one piece: ``[column, frame * mel]``."""
        rows, mels = frames.stop - frames.start, self.shape[2]
        places = itertools.product(*map(range, self.kernel))
        for column, (frame, mel) in zip(patches.view(self.number, rows, mels), places, strict=True):
            first = frames.start + frame
            column.copy_(self.padded[clip, first : first + rows, mel : mel + mels])


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over all places of the patches, ``[column]``, and of their products, ``[column, column]``, in float64."""

    sums: Tensor
    products: Tensor
    count: int

    @staticmethod
    def of(patches: Patches) -> "Moments":
        """Of a whole batch."""
        clips, frames, mels = patches.shape

        def of_clip(clip: int) -> Tensor:
            shape = patches.number + 1, frames * mels
            (values,) = working_memory([(shape, patches.padded.dtype)])
            patches.write(clip, slice(0, frames), values[:-1])
            values[-1] = 1
            return (values @ values.t()).double()

        products = sum(run_together([partial(of_clip, clip) for clip in range(clips)]), torch.zeros(1))
        return Moments(products[-1, :-1], products[:-1, :-1], clips * frames * mels)

    def statistics(self, weight: Tensor, bias: Tensor) -> Statistics:
        """Those of the maps that a convolution ``[channel, 1, frame, mel]`` makes."""
        kernel = weight.flatten(1).double()
        mean = self.sums / self.count
        covariance = self.products / self.count - mean.outer(mean)
        variance = ((kernel @ covariance) * kernel).sum(1).clamp_(min=0)
        dtype = weight.dtype
        return Statistics((kernel @ mean + bias).to(dtype), variance.to(dtype), self.count, are_of_batch=True)


class _FirstBlock:
    """The block's layers, for some frames of a clip at a time."""

    def __init__(self, patches: Patches, weight: Tensor, bias: Tensor, block: Block, statistics: Statistics) -> None:
        self.patches, self.dtype, self.channels = patches, weight.dtype, len(weight)
        factor = block.weight.double() * (statistics.variance.double() + block.epsilon).rsqrt()
        # Convolution and normalisation are one product.
        self.weight = (weight.flatten(1) * factor.unsqueeze(1)).to(self.dtype)
        self.offset = (block.bias + (bias - statistics.mean.double()) * factor).to(self.dtype)
        self.gate = Gate(block, self.dtype)

    def parts(self) -> Iterator[tuple[int, slice]]:
        """Clips, and frames of each by whole windows of the pool."""
        clips, frames, mels = self.patches.shape
        window = self.gate.pool[0]
        step = max(1, VALUES_PER_BLOCK // (mels * self.channels * window)) * window
        starts = range(0, frames, step)
        for clip, start in itertools.product(range(clips), starts):
            yield clip, slice(start, min(start + step, frames))

    def pooled(self, maps: Tensor, clip: int, frames: slice) -> Tensor:
        """The pooled maps of a part, ``[1, frame, mel, channel]``."""
        window = self.gate.pool[0]
        return maps[clip : clip + 1, frames.start // window : frames.stop // window]

    def size(self, frames: slice) -> int:
        """How many values of maps a part has."""
        return (frames.stop - frames.start) * self.patches.shape[2] * self.channels

    def _normalise(self, clip: int, frames: slice, patches: Tensor, normalised: Tensor) -> None:
        self.patches.write(clip, frames, patches)
        torch.addmm(self.offset, patches.t(), self.weight.t(), out=normalised.view(-1, self.channels))

    def _like(self, frames: slice) -> tuple[tuple[int, ...], torch.dtype]:
        """Shape and type of a part's maps."""
        return (1, frames.stop - frames.start, self.patches.shape[2], self.channels), self.dtype

    def _columns_like(self, frames: slice) -> tuple[tuple[int, int], torch.dtype]:
        return (self.patches.number, self.size(frames) // self.channels), self.dtype

    def forward(self, clip: int, frames: slice, mask: DropoutMask | None, pooled: Tensor) -> None:
        """Writes gated and pooled maps."""
        like = self._like(frames)
        patches, linear, sigmoid, spare = working_memory([self._columns_like(frames), like, like, spare_for(*like)])
        normalised = maps_in(spare, *like)
        self._normalise(clip, frames, patches, normalised)
        target = self.pooled(pooled, clip, frames)
        self.gate.forward(normalised, mask, target, linear=linear, sigmoid=sigmoid, spare=spare)

    def backward(self, clip: int, frames: slice, mask: DropoutMask | None, gradient: Tensor) -> Sums:
        """What the parameters get from a part."""
        like = self._like(frames)
        patches, normalised, linear, sigmoid, result, spare = working_memory(
            [self._columns_like(frames), *[like] * 4, spare_for(*like)]
        )
        self._normalise(clip, frames, patches, normalised)
        gate_weight, gate_bias = self.gate.backward(
            normalised,
            mask,
            self.pooled(gradient, clip, frames),
            result,
            linear=linear,
            sigmoid=sigmoid,
            spare=spare,
            wide_memory=sigmoid,
        )
        rows = result.view(-1, self.channels)
        return Sums(gate_weight, gate_bias, rows.sum(0), (patches @ rows).t())


class _ConvolveNormaliseGatePool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        bias: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        gate_weight: Tensor,
        gate_bias: Tensor,
        constants: tuple[float, tuple[int, int], float],
        patches: Patches,
        moments: Moments | None,
        statistics: Statistics,
    ) -> Tensor:
        block = Block(norm_weight, norm_bias, gate_weight, gate_bias, *constants)
        layers = _FirstBlock(patches, weight, bias, block, statistics)
        clips, frames, mels = patches.shape
        pooled = weight.new_empty(clips, frames // block.pool[0], mels // block.pool[1], len(weight))
        parts = list(layers.parts())
        drawn = [DropoutMask.draw(layers.size(part), block.dropout) if block.dropout else None for _, part in parts]
        run_together([partial(layers.forward, *part, mask, pooled) for part, mask in zip(parts, drawn, strict=True)])
        ctx.save_for_backward(weight, bias, norm_weight, norm_bias, gate_weight, gate_bias)
        ctx.constants, ctx.patches, ctx.moments, ctx.statistics = constants, patches, moments, statistics
        ctx.drawn = drawn
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, bias, *of_block = ctx.saved_tensors
        block = Block(*of_block, *ctx.constants)
        layers = _FirstBlock(ctx.patches, weight, bias, block, ctx.statistics)
        tasks = [
            partial(layers.backward, *part, mask, gradient)
            for part, mask in zip(layers.parts(), ctx.drawn, strict=True)
        ]
        sums = Sums.of(run_together(tasks))
        kernel = weight.flatten(1).double()
        # The maps are kernel · patches + bias, and with them all that is summed over their places.
        product = (sums.product * kernel).sum(1) + bias * sums.normalised
        through = ThroughNormalisation.of(block, ctx.statistics, sums.normalised, product)
        for_weight = through.factor.unsqueeze(1) * sums.product
        for_bias = through.factor * sums.normalised
        if ctx.moments is not None:
            moments: Moments = ctx.moments
            with_columns = kernel @ moments.products + bias.double().outer(moments.sums)
            for_weight += through.slope.unsqueeze(1) * with_columns + through.constant.outer(moments.sums)
            # The normalisation takes away whatever the bias adds.
            for_bias = torch.zeros_like(for_bias)
        gradients = for_bias, through.for_weight, sums.normalised, sums.gate_weight, sums.gate_bias
        return (for_weight.view(weight.shape), *gradients, None, None, None, None)


def convolve_normalise_gate_pool(
    patches: Patches, weight: Tensor, bias: Tensor, block: Block, statistics: Statistics, moments: Moments | None
) -> Tensor:
    """Convolution of one channel, normalisation, gate, dropout and pool: ``[batch, frame, mel, channel]``.

    Everything is in the type of the weight, float32 or wider, and no gradient goes to the spectrograms. ``moments`` are
    those of the patches where ``statistics`` are the batch's. The gradient may be taken once.
    """
    pooled: Tensor = _ConvolveNormaliseGatePool.apply(
        weight,
        bias,
        block.weight,
        block.bias,
        block.gate_weight,
        block.gate_bias,
        (block.epsilon, block.pool, block.dropout),
        patches,
        moments,
        statistics,
    )
    return pooled
