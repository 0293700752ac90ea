"""The first block of a network on spectrograms as one operation, with its convolution, for CPUs.

Its maps are the largest of the network, many times larger than the spectrogram, and the spectrogram needs no gradient.
So neither the maps nor their gradient are stored. The convolution is a matrix product with the patches of the
spectrogram and is computed again where it is needed. The statistics of the maps follow from those of the patches, and
the gradients of all parameters from sums over one pass of the batch. The result equals that of the layers.
"""

import itertools
import math
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dcase_sweep.ops.dropout import DropoutMask
from dcase_sweep.ops.fused_gate import Sums
from dcase_sweep.ops.gate import Block, Gate, GateMemory
from dcase_sweep.ops.normalisation import NormalisationGradient
from dcase_sweep.ops.patches import Moments, Patches, PatchMemory
from dcase_sweep.ops.statistics import Statistics
from dcase_sweep.ops.threads import run_together, working_memory, workspace

#: Values of the maps that one task processes.
VALUES_PER_BLOCK = 1 << 19


@dataclass(frozen=True, slots=True)
class _Memory:
    """Working memory for the maps of some frames of a clip, and for the patches that they are computed from."""

    patches: PatchMemory
    gate: GateMemory

    @staticmethod
    def make(
        kernel: tuple[int, int], shape: tuple[int, int, int, int], dtype: torch.dtype, pool: tuple[int, int]
    ) -> "_Memory":
        _, frames, mels, _ = shape
        patches, *gate = working_memory(
            [((kernel[0] * kernel[1] + 1, frames * mels), dtype), *GateMemory.shapes(shape, dtype)]
        )
        return _Memory(PatchMemory.of(patches, kernel, frames, mels), GateMemory.of(gate, pool))


@dataclass(frozen=True, slots=True)
class _Part:
    """Some frames of a clip.

    Attributes:
        patches: their patches, as :meth:`Patches.at` returns them.
        pooled: their pooled maps or the gradient of these, ``[1, pooled frame, pooled mel, channel]``.
        shape: the shape of their maps, ``(1, frame, mel, channel)``.
    """

    patches: Tensor
    pooled: Tensor
    shape: tuple[int, int, int, int]


class _FirstBlock:
    """The layers of the block, for some frames of a clip at a time."""

    def __init__(self, patches: Patches, weight: Tensor, bias: Tensor, block: Block, statistics: Statistics) -> None:
        self.patches, self.dtype, self.channels = patches, weight.dtype, len(weight)
        factor = block.weight.double() * (statistics.variance.double() + block.epsilon).rsqrt()
        # Convolution and normalisation are one matrix product with the patches, and so is the linear map of the result.
        kernel = weight.flatten(1) * factor.unsqueeze(1)
        offset = block.bias + (bias - statistics.mean.double()) * factor
        normalised = torch.cat([kernel.t(), offset.unsqueeze(0)])
        linear = normalised @ block.gate_weight.double().t()
        linear[-1] += block.gate_bias
        #: ``[patch + 1, channel]``; the last row is that of the ones.
        self.normalised, self.linear = normalised.to(self.dtype), linear.to(self.dtype)
        self.gate = Gate(block, self.dtype)

    def parts(self, pooled: Tensor) -> list[_Part]:
        """Split the batch; the frames of each part are whole windows of the pool, except at the end of a clip."""
        clips, frames, mels = self.patches.shape
        window = self.gate.pool[0]
        step = max(1, VALUES_PER_BLOCK // (mels * self.channels * window)) * window
        parts = []
        for clip, start in itertools.product(range(clips), range(0, frames, step)):
            stop = min(start + step, frames)
            of_pooled = pooled[clip : clip + 1, start // window : stop // window]
            shape = 1, stop - start, mels, self.channels
            parts.append(_Part(self.patches.at(clip, slice(start, stop)), of_pooled, shape))
        return parts

    def _multiply(self, part: _Part) -> _Memory:
        """Compute the normalised maps of a part and their linear map."""
        memory = workspace(_Memory.make, self.patches.kernel, part.shape, self.dtype, self.gate.pool)
        memory.patches.write(part.patches)
        torch.mm(memory.patches.rows, self.normalised, out=memory.gate.normalised.rows)
        torch.mm(memory.patches.rows, self.linear, out=memory.gate.linear.rows)
        return memory

    def forward(self, part: _Part, mask: DropoutMask | None) -> None:
        """Write the gated and pooled maps of a part."""
        self.gate.forward(self._multiply(part).gate, mask, part.pooled)

    def backward(self, part: _Part, mask: DropoutMask | None) -> Tensor:
        """Sum patches times the gradients of the linear map and of the normalised maps, ``[2, patch + 1, channel]``."""
        memory = self._multiply(part)
        for_normalised = memory.gate.sigmoid.rows
        self.gate.backward(memory.gate, mask, part.pooled, for_normalised)
        sums = self.normalised.new_empty(2, *self.normalised.shape)
        for rows, result in zip((memory.gate.spare.rows, for_normalised), sums, strict=True):
            torch.mm(memory.patches.all, rows, out=result)
        return sums

    def sums(self, parts: list[Tensor]) -> Sums:
        """Compute the sums for the gradients of the parameters from those of all parts, in float64."""
        linear, normalised = sum((part.double() for part in parts), torch.zeros(1))
        return Sums(linear.t() @ self.normalised.double(), linear[-1], normalised[-1], normalised[:-1].t())


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
        parts = layers.parts(pooled)
        masks: list[DropoutMask | None] = []
        drawn = DropoutMask.draw_into(masks, [math.prod(part.shape) for part in parts], block.dropout)
        # Drawing is work for one thread, so each mask is drawn while the other threads compute.
        run_together(map(partial, repeat(layers.forward), parts, drawn), len(parts))
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
        parts = zip(layers.parts(gradient), ctx.masks, strict=True)
        sums = layers.sums(run_together([partial(layers.backward, part, mask) for part, mask in parts]))
        kernel = weight.flatten(1).double()
        # The maps are kernel · patches + bias, so sums of the maps follow from sums of the patches.
        product = (sums.product * kernel).sum(1) + bias * sums.normalised
        norm_gradient = NormalisationGradient.compute(
            block.weight, block.epsilon, ctx.statistics, sums.normalised, product
        )
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
