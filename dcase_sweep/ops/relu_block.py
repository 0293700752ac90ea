"""A block of convolution, batch normalisation, ReLU and max pooling as one operation, for CPUs.

Each core takes a few clips through the block. The convolution takes fewer multiplications
(:mod:`dcase_sweep.ops.mel_tiles`). The pool comes before the normalisation, where a window has one value instead of
many: the normalisation and the ReLU rise with the convolution's result, or, if the normalisation's weight is negative,
fall with it, so that they do not change which value of a window is the largest of its channel.
"""

import itertools
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from dcase_sweep.ops import mel_tiles
from dcase_sweep.ops.can_fuse import computes_in_full
from dcase_sweep.ops.mel_tiles import TiledKernel
from dcase_sweep.ops.normalisation import NormalisationGradient, scale, update_running
from dcase_sweep.ops.statistics import Statistics, sum_channels
from dcase_sweep.ops.threads import run_together, working_memory

#: Values of the input or the output, whichever has more channels, that one task processes at most.
VALUES_PER_BLOCK = 3 << 18

Pool = tuple[int, int]


def is_faster(maps: Tensor, convolution: nn.Conv2d) -> bool:
    """Whether :func:`relu_block` is faster than the layers, for maps ``[batch, channel, mel, frame]``."""
    weight = convolution.weight
    return computes_in_full(maps, weight) and mel_tiles.is_worthwhile(weight, maps.shape[2], maps.shape[3])


def relu_block(maps: Tensor, convolution: nn.Conv2d, norm: nn.BatchNorm2d, pool: Pool | None) -> Tensor:
    """Compute what the layers give one by one, within rounding, and update the running statistics as ``norm`` does.

    Use it where :func:`dcase_sweep.ops.can_fuse.can_fuse` allows it and :func:`is_faster`. The gradient may be computed
    once. Its rounding errors are two to three times those of the layers.

    Args:
        maps: ``[batch, channel, mel, frame]``, best with the channels last in memory.
        convolution: a convolution with a kernel of seven mel bands and an odd number of frames that keeps the size of
            the maps, with a bias.
        norm: batch normalisation with weights and running statistics.
        pool: window sizes of the max pool, ``(mel, frame)``, or None.

    Returns:
        Maps ``[batch, channel, mel, frame]``, smaller by the pool, in the same order in memory.
    """
    result: Tensor = _ReluBlock.apply(
        maps.permute(0, 2, 3, 1).contiguous(),
        convolution.weight,
        convolution.bias,
        norm.weight,
        norm.bias,
        norm,
        pool,
    )
    # As the layers do: dropout draws its random numbers in the order of the memory.
    is_last = maps.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if is_last else torch.contiguous_format
    return result.permute(0, 3, 1, 2).contiguous(memory_format=layout)


def _split(maps: Tensor, outputs: int) -> list[slice]:
    """Split the batch into slices of about the same length."""
    clips, mels, frames, inputs = maps.shape
    each = max(1, VALUES_PER_BLOCK // (mels * frames * max(inputs, outputs)))
    count = max(1, -(-clips // each))
    edges = [clips * place // count for place in range(count + 1)]
    return [slice(*pair) for pair in itertools.pairwise(edges)]


def _pool(maps: Tensor, pool: Pool, signs: Tensor | None, largest: Tensor, places: Tensor) -> None:
    """Write the largest values of each window, times the signs where there are any, and where they are in the maps."""
    signed = maps if signs is None else maps * signs
    values, found = functional.max_pool2d_with_indices(signed.permute(0, 3, 1, 2), pool)
    largest.copy_(values.permute(0, 2, 3, 1))
    places.copy_(found.permute(0, 2, 3, 1))


class _ReluBlock(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        maps: Tensor,
        weight: Tensor,
        bias: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        norm: nn.BatchNorm2d,
        pool: Pool | None,
    ) -> Tensor:
        (clips, mels, frames, _), outputs = maps.shape, len(weight)
        kernel, parts = TiledKernel(weight, mels, frames), _split(maps, outputs)
        convolved = maps.new_empty(clips, mels, frames, outputs)
        falls = norm_weight < 0
        signs = 1 - 2 * falls.to(maps.dtype) if bool(falls.any()) else None
        if pool is not None:
            pooled = maps.new_empty(clips, mels // pool[0], frames // pool[1], outputs)
            places = torch.empty_like(pooled, dtype=torch.int64)

        def convolve(some: slice) -> Tensor | None:
            part = convolved[some]
            mel_tiles.convolve(maps[some], kernel, part)
            if pool is not None:
                _pool(part, pool, signs, pooled[some], places[some])
            return sum_channels(part.view(-1, outputs)) if norm.training else None

        sums = [part for part in run_together([partial(convolve, some) for some in parts]) if part is not None]
        measured = Statistics.of_sums(sums, clips * mels * frames) if norm.training else None
        statistics = update_running(norm, measured, bias)
        scaling = scale(norm_weight, norm_bias, norm.eps, statistics, torch.float64)
        factor, offset = (values.to(maps.dtype) for values in scaling)
        if pool is None:
            result = torch.empty_like(convolved)
            by_frame = factor.repeat(frames), offset.repeat(frames)

            def normalise(some: slice) -> None:
                rows = result[some].flatten(2)
                torch.addcmul(by_frame[1], convolved[some].flatten(2), by_frame[0], out=rows).clamp_(min=0)

            run_together([partial(normalise, some) for some in parts])
            ctx.save_for_backward(maps, norm_weight, convolved, result)
        else:
            if signs is not None:
                pooled.mul_(signs)
            result = torch.addcmul(offset, pooled, factor).clamp_(min=0)
            ctx.save_for_backward(maps, norm_weight, convolved, result, pooled, places)
        ctx.epsilon, ctx.statistics, ctx.parts, ctx.kernel = norm.eps, statistics, parts, kernel
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        maps, norm_weight, convolved, result, *of_pool = ctx.saved_tensors
        gradient = gradient.contiguous()
        frames, source = convolved.shape[2], of_pool[0] if of_pool else convolved

        def sum_part(some: slice) -> Tensor:
            (active,) = working_memory([(gradient[some].shape, gradient.dtype)])
            _mask(gradient[some], result[some], active)
            summed = active.flatten(0, 2).sum(0)
            return torch.stack([summed, active.mul_(source[some]).flatten(0, 2).sum(0)])

        sums = run_together([partial(sum_part, some) for some in ctx.parts])
        summed, product = sum((part.double() for part in sums), torch.zeros(1))
        of_norm = NormalisationGradient.compute(norm_weight, ctx.epsilon, ctx.statistics, summed, product)
        factor, slope, constant = (
            values.to(maps.dtype) for values in (of_norm.factor, of_norm.slope, of_norm.constant)
        )
        by_frame = [values.repeat(frames) for values in (factor, slope, constant)]
        for_maps = torch.empty_like(maps) if ctx.needs_input_grad[0] else None
        kernel: TiledKernel = ctx.kernel

        def differentiate(some: slice) -> Tensor:
            part = convolved[some]
            shapes = [part.shape, gradient[some].shape, *mel_tiles.shapes_for_gradient(len(part), frames, kernel)]
            given, active, *memory = working_memory([(shape, maps.dtype) for shape in shapes])
            _mask(gradient[some], result[some], active)
            torch.addcmul(by_frame[2], part.flatten(2), by_frame[1], out=given.flatten(2))
            if of_pool:
                places = of_pool[1][some].flatten(1, 2)
                given.flatten(1, 2).scatter_add_(1, places, active.mul_(factor).flatten(1, 2))
            else:
                given.flatten(2).addcmul_(active.flatten(2), by_frame[0])
            of_part = None if for_maps is None else for_maps[some]
            return mel_tiles.differentiate(maps[some], given, kernel, of_part, memory)

        parts = run_together([partial(differentiate, some) for some in ctx.parts])
        for_weight = kernel.gradient(sum((part.double() for part in parts), torch.zeros(1)))
        # A normalisation by the batch's own statistics subtracts whatever the bias adds.
        for_bias = torch.zeros_like(summed) if ctx.statistics.are_of_batch else of_norm.factor * summed
        small = for_weight, for_bias, of_norm.for_weight, summed
        return for_maps, *(values.to(maps.dtype) for values in small), None, None


def _mask(gradient: Tensor, result: Tensor, active: Tensor) -> None:
    """Write the gradient where the ReLU's result is not zero, and zero elsewhere."""
    torch.ops.aten.threshold_backward(gradient, result, 0, grad_input=active)
