"""Convolutions in float32 for CPUs, computed for a few clips at a time on each core, with the statistics of the result.

Kernels of 3 × 3 between many channels take a third of the multiplications (:mod:`dcase_sweep.ops.tiles`). Others are
PyTorch's, which are as fast as its matrix products. The sums that batch normalisation needs are computed while the
result is still in the core's cache.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from dcase_sweep.ops.statistics import Statistics, sum_channels
from dcase_sweep.ops.threads import run_together, workspace
from dcase_sweep.ops.tiles import FRAMES, MELS, POINTS, Tiles, for_convolution, for_gradient

#: Values of the input or the output, whichever has more channels, that one task processes.
VALUES_PER_BLOCK = 1 << 18
#: With fewer input or output channels the extra sums cost more than the multiplications that are saved.
LEAST_CHANNELS = 32
#: Tasks that the gradient of a kernel is summed in, at most. Each keeps 24 products of its size.
_GROUPS = 16


def _split(maps: Tensor, channels: int) -> list[slice]:
    """Split the batch into slices of at least one clip, for maps of so many channels."""
    clips, frames, mels, _ = maps.shape
    step = max(1, VALUES_PER_BLOCK // max(1, frames * mels * channels))
    return [slice(first, min(first + step, clips)) for first in range(0, clips, step)]


def takes_tiles(weight: Tensor) -> bool:
    """Whether a kernel ``[out, in, frame, mel]`` is faster in tiles."""
    return min(weight.shape[:2]) >= LEAST_CHANNELS and weight.shape[2:] == (3, 3)


def _kernel_factors(dtype: torch.dtype) -> Tensor:
    """Factors ``[product, value of the kernel]`` that turn a kernel into its products."""
    return torch.kron(torch.tensor(FRAMES.of_kernel, dtype=dtype), torch.tensor(MELS.of_kernel, dtype=dtype))


def multiply_tiles(
    maps: Tensor, weight: Tensor, bias: Tensor | None, *, measure: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """Convolve contiguous ``[batch, frame, mel, in]`` with ``[out, in, 3, 3]`` to ``[batch, frame, mel, out]``.

    Zero padding keeps the size of the maps. The second result has the sums of :func:`sum_channels` for every part of
    the batch, if they are to be measured.
    """
    (_, frames, mels, inputs), outputs, dtype = maps.shape, len(weight), maps.dtype
    kernel = weight.permute(2, 3, 1, 0).reshape(-1, inputs * outputs)
    products = (_kernel_factors(dtype) @ kernel).view(POINTS, inputs, outputs)
    result = maps.new_empty(*maps.shape[:3], outputs)

    def multiply(some: slice) -> Tensor | None:
        tiles, part = Tiles(some.stop - some.start, frames, mels), result[some]
        spread, collect = workspace(for_convolution, tiles, inputs, outputs, dtype)
        torch.bmm(spread.write(maps[some], FRAMES.of_maps, MELS.of_maps), products, out=collect.products)
        if bias is not None:
            collect.constant.add_(bias)
        collect.read(tiles, part)
        return sum_channels(part.view(-1, outputs)) if measure else None

    sums = run_together([partial(multiply, some) for some in _split(maps, max(inputs, outputs))])
    return result, [part for part in sums if part is not None]


def weight_gradient(maps: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the gradients of ``[out, in, 3, 3]`` and of the bias from that of the output, in tiles."""
    (_, frames, mels, outputs), inputs, dtype = gradient.shape, maps.shape[3], maps.dtype

    def multiply(parts: list[slice]) -> tuple[Tensor, Tensor]:
        products, bias = maps.new_zeros(POINTS, inputs, outputs), maps.new_zeros(outputs)
        for some in parts:
            tiles = Tiles(some.stop - some.start, frames, mels)
            of_maps, of_gradient = workspace(for_gradient, tiles, inputs, outputs, dtype)
            patches = of_maps.write(maps[some], FRAMES.of_maps, MELS.of_maps)
            products.baddbmm_(
                patches.transpose(1, 2), of_gradient.write(gradient[some], FRAMES.of_gradient, MELS.of_gradient)
            )
            bias += gradient[some].sum((0, 1, 2))
        return products, bias

    parts = _split(maps, max(inputs, outputs))
    size = -(-len(parts) // _GROUPS)
    groups = [parts[first : first + size] for first in range(0, len(parts), size)]
    sums, biases = zip(*run_together([partial(multiply, group) for group in groups]), strict=True)
    kernel = _kernel_factors(dtype).t() @ sum(sums, torch.zeros(1)).flatten(1)
    return kernel.view(3, 3, inputs, outputs).permute(3, 2, 0, 1), sum(biases, torch.zeros(1))


def _multiply_directly(maps: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Convolve as :func:`multiply_tiles` does, with a kernel of any odd size, by PyTorch's operator."""
    result = maps.new_empty(*maps.shape[:3], len(weight))
    edges = [size // 2 for size in weight.shape[2:]]

    def multiply(some: slice) -> Tensor:
        part = result[some]
        part.copy_(functional.conv2d(maps[some].permute(0, 3, 1, 2), weight, bias, padding=edges).permute(0, 2, 3, 1))
        return sum_channels(part.view(-1, len(weight)))

    return result, run_together([partial(multiply, some) for some in _split(maps, max(weight.shape[:2]))])


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor, measure: bool) -> tuple[Tensor, ...]:
        ctx.save_for_backward(maps, weight)
        if takes_tiles(weight):
            result, sums = multiply_tiles(maps, weight, bias, measure=measure)
        else:
            result, sums = _multiply_directly(maps, weight, bias)
        ctx.mark_non_differentiable(*sums)
        return result, *sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        for_maps: Tensor | None = None
        if takes_tiles(weight):
            if ctx.needs_input_grad[0]:
                for_maps = multiply_tiles(gradient, weight.transpose(0, 1).flip(2, 3), None)[0]
            return for_maps, *weight_gradient(maps, gradient), None
        edges = [size // 2 for size in weight.shape[2:]]
        which = [ctx.needs_input_grad[0], True, True]
        given, arguments = gradient.permute(0, 3, 1, 2), ([1, 1], edges, [1, 1], False, [0, 0], 1, which)
        for_maps, for_weight, for_bias = torch.ops.aten.convolution_backward(
            given, maps.permute(0, 3, 1, 2), weight, [len(weight)], *arguments
        )
        return None if for_maps is None else for_maps.permute(0, 2, 3, 1), for_weight, for_bias, None


def is_faster(maps: Tensor, weight: Tensor, *, measure: bool) -> bool:
    """Whether :func:`convolve` is faster than PyTorch's convolution, followed by a pass for the statistics."""
    return (
        maps.dtype == weight.dtype
        and maps.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
        and (measure or takes_tiles(weight))
    )


def convolve(maps: Tensor, weight: Tensor, bias: Tensor, *, measure: bool) -> tuple[Tensor, Statistics | None]:
    """Convolve ``[batch, frame, mel, in]`` with a kernel ``[out, in, frame, mel]`` to ``[batch, frame, mel, out]``.

    The kernel has odd sizes. Zero padding keeps the size of the maps. The gradient may be computed once. The statistics
    of the result are measured if asked for; they get no gradient here.
    """
    result, *sums = _Convolution.apply(maps.contiguous(), weight, bias, measure)
    return result, Statistics.of_sums(sums, result.numel() // len(weight)) if measure else None
