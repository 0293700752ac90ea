"""The first block of a network on spectrograms as one operation, with its convolution, for CPUs.

Its maps are the largest of the network, many times larger than the spectrogram, and the spectrogram needs no gradient.
So neither the maps nor their gradient are stored. The convolution is a matrix product with the patches of the
spectrogram and is computed again where it is needed. The statistics of the maps follow from those of the patches, and
the gradients of all parameters from sums over one pass of the batch. The result equals that of the layers.
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
from dcase_sweep.ops.fused_gate import NormalisationGradient, Statistics, Sums
from dcase_sweep.ops.gate import Block, Gate, maps_in, spare_for
from dcase_sweep.ops.threads import run_together, working_memory

#: Values of the maps that one task processes.
VALUES_PER_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Patches:
    """The patches of spectrograms ``[batch, frame, mel]`` that a convolution multiplies with its kernel.

    ``padded`` holds the spectrograms with zero padding, ``kernel`` the odd sizes ``(frame, mel)``.
    """

    padded: Tensor
    kernel: tuple[int, int]

    @staticmethod
    def extract(spectrograms: Tensor, kernel: tuple[int, int]) -> "Patches":
        """Pad spectrograms for a convolution that keeps their size."""
        frames, mels = (size // 2 for size in kernel)
        return Patches(functional.pad(spectrograms, (mels, mels, frames, frames)), kernel)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the maps, ``(batch, frame, mel)``."""
        clips, frames, mels = self.padded.shape
        return clips, frames - self.kernel[0] + 1, mels - self.kernel[1] + 1

    @property
    def size(self) -> int:
        """Number of values in a patch."""
        return self.kernel[0] * self.kernel[1]

    def write(self, clip: int, frames: slice, patches: Tensor) -> None:
        """Write the patches at some frames of a clip, ``[patch, frame * mel]``."""
        rows, mels = frames.stop - frames.start, self.shape[2]
        offsets = itertools.product(*map(range, self.kernel))
        for values, (frame, mel) in zip(patches.view(self.size, rows, mels), offsets, strict=True):
            first = frames.start + frame
            values.copy_(self.padded[clip, first : first + rows, mel : mel + mels])


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums of the patches over all positions, ``[patch]``, and of their products, ``[patch, patch]``, in float64."""

    sums: Tensor
    products: Tensor
    count: int

    @staticmethod
    def compute(patches: Patches) -> "Moments":
        """Sum over a whole batch."""
        clips, frames, mels = patches.shape

        def sum_clip(clip: int) -> Tensor:
            shape = patches.size + 1, frames * mels
            (values,) = working_memory([(shape, patches.padded.dtype)])
            patches.write(clip, slice(0, frames), values[:-1])
            values[-1] = 1
            return (values @ values.t()).double()

        products = sum(run_together([partial(sum_clip, clip) for clip in range(clips)]), torch.zeros(1))
        return Moments(products[-1, :-1], products[:-1, :-1], clips * frames * mels)

    def statistics(self, weight: Tensor, bias: Tensor) -> Statistics:
        """Compute the statistics of the maps that a convolution ``[channel, 1, frame, mel]`` gives."""
        kernel = weight.flatten(1).double()
        mean = self.sums / self.count
        covariance = self.products / self.count - mean.outer(mean)
        variance = ((kernel @ covariance) * kernel).sum(1).clamp_(min=0)
        dtype = weight.dtype
        return Statistics((kernel @ mean + bias).to(dtype), variance.to(dtype), self.count, are_of_batch=True)


class _FirstBlock:
    """The layers of the block, for some frames of a clip at a time."""

    def __init__(self, patches: Patches, weight: Tensor, bias: Tensor, block: Block, statistics: Statistics) -> None:
        self.patches, self.dtype, self.channels = patches, weight.dtype, len(weight)
        factor = block.weight.double() * (statistics.variance.double() + block.epsilon).rsqrt()
        # Convolution and normalisation are computed as one matrix product.
        self.weight = (weight.flatten(1) * factor.unsqueeze(1)).to(self.dtype)
        self.offset = (block.bias + (bias - statistics.mean.double()) * factor).to(self.dtype)
        self.gate = Gate(block, self.dtype)

    def parts(self) -> Iterator[tuple[int, slice]]:
        """Yield clips and frames of each; the frames are whole windows of the pool."""
        clips, frames, mels = self.patches.shape
        window = self.gate.pool[0]
        step = max(1, VALUES_PER_BLOCK // (mels * self.channels * window)) * window
        starts = range(0, frames, step)
        for clip, start in itertools.product(range(clips), starts):
            yield clip, slice(start, min(start + step, frames))

    def pooled(self, maps: Tensor, clip: int, frames: slice) -> Tensor:
        """Return the pooled maps of a part, ``[1, frame, mel, channel]``."""
        window = self.gate.pool[0]
        return maps[clip : clip + 1, frames.start // window : frames.stop // window]

    def size(self, frames: slice) -> int:
        """Number of values in the maps of a part."""
        return (frames.stop - frames.start) * self.patches.shape[2] * self.channels

    def _normalise(self, clip: int, frames: slice, patches: Tensor, normalised: Tensor) -> None:
        self.patches.write(clip, frames, patches)
        torch.addmm(self.offset, patches.t(), self.weight.t(), out=normalised.view(-1, self.channels))

    def _like(self, frames: slice) -> tuple[tuple[int, ...], torch.dtype]:
        """Shape and type of the maps of a part."""
        return (1, frames.stop - frames.start, self.patches.shape[2], self.channels), self.dtype

    def _patches_like(self, frames: slice) -> tuple[tuple[int, int], torch.dtype]:
        """Shape and type of the patches of a part."""
        return (self.patches.size, self.size(frames) // self.channels), self.dtype

    def forward(self, clip: int, frames: slice, mask: DropoutMask | None, pooled: Tensor) -> None:
        """Write the gated and pooled maps of a part."""
        like = self._like(frames)
        patches, linear, sigmoid, spare = working_memory([self._patches_like(frames), like, like, spare_for(*like)])
        normalised = maps_in(spare, *like)
        self._normalise(clip, frames, patches, normalised)
        target = self.pooled(pooled, clip, frames)
        self.gate.forward(normalised, mask, target, linear=linear, sigmoid=sigmoid, spare=spare)

    def backward(self, clip: int, frames: slice, mask: DropoutMask | None, gradient: Tensor) -> Sums:
        """Compute the sums of a part for the gradients of the parameters."""
        like = self._like(frames)
        patches, normalised, linear, sigmoid, result, spare = working_memory(
            [self._patches_like(frames), *[like] * 4, spare_for(*like)]
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
        masks = [DropoutMask.draw(layers.size(part), block.dropout) if block.dropout else None for _, part in parts]
        run_together([partial(layers.forward, *part, mask, pooled) for part, mask in zip(parts, masks, strict=True)])
        ctx.save_for_backward(weight, bias, norm_weight, norm_bias, gate_weight, gate_bias)
        ctx.constants, ctx.patches, ctx.moments, ctx.statistics = constants, patches, moments, statistics
        ctx.masks = masks
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, bias, *of_block = ctx.saved_tensors
        block = Block(*of_block, *ctx.constants)
        layers = _FirstBlock(ctx.patches, weight, bias, block, ctx.statistics)
        tasks = [
            partial(layers.backward, *part, mask, gradient)
            for part, mask in zip(layers.parts(), ctx.masks, strict=True)
        ]
        sums = Sums.add(run_together(tasks))
        kernel = weight.flatten(1).double()
        # The maps are kernel · patches + bias, so sums of the maps follow from sums of the patches.
        product = (sums.product * kernel).sum(1) + bias * sums.normalised
        norm_gradient = NormalisationGradient.compute(block, ctx.statistics, sums.normalised, product)
        for_weight = norm_gradient.factor.unsqueeze(1) * sums.product
        for_bias = norm_gradient.factor * sums.normalised
        if ctx.moments is not None:
            moments: Moments = ctx.moments
            maps_times_patches = kernel @ moments.products + bias.double().outer(moments.sums)
            for_weight += norm_gradient.slope.unsqueeze(1) * maps_times_patches + norm_gradient.constant.outer(
                moments.sums
            )
            # The normalisation subtracts whatever the bias adds.
            for_bias = torch.zeros_like(for_bias)
        gradients = for_bias, norm_gradient.for_weight, sums.normalised, sums.gate_weight, sums.gate_bias
        return (for_weight.view(weight.shape), *gradients, None, None, None, None)


def convolve_normalise_gate_pool(
    patches: Patches, weight: Tensor, bias: Tensor, block: Block, statistics: Statistics, moments: Moments | None
) -> Tensor:
    """Convolve spectrograms, normalise, gate, drop out and pool; return ``[batch, frame, mel, channel]``.

    Everything is computed in the type of the weight, float32 or wider. The spectrograms get no gradient. If
    ``statistics`` were measured on the batch, ``moments`` are those of the patches; otherwise they are None. The
    gradient may be computed once.
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
