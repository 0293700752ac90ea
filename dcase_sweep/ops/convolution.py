"""Convolutions in float32 for CPUs, computed for a few clips at a time on each core, with the statistics of the result.

Kernels of 3 × 3 between many channels take a quarter or a third of the multiplications
(:mod:`dcase_sweep.ops.tiles`). Others are PyTorch's, which are as fast as its matrix products. The sums that batch
normalisation needs are computed while the result is still in the core's cache. No bias is added: normalisation with the
batch's mean subtracts it again, and that with another mean can subtract it from this mean.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from dcase_sweep.ops.can_fuse import computes_in_full
from dcase_sweep.ops.statistics import Statistics, sum_channels
from dcase_sweep.ops.threads import run_together, workspace
from dcase_sweep.ops.tiles import FRAMES, Tiles, for_convolution, for_gradient

#: Values of the input or the output, whichever has more channels, that one task processes.
VALUES_PER_BLOCK = 1 << 18
#: With fewer input or output channels the extra sums cost more than the multiplications that are saved.
LEAST_CHANNELS = 32
#: Tasks that the gradient of a kernel is summed in, at most. Each keeps up to 36 products of its size.
_GROUPS = 16


def _split(maps: Tensor, channels: int) -> list[slice]:
    """Split the batch into slices of at least one clip, for maps of so many channels."""
    clips, frames, mels, _ = maps.shape
    step = max(1, VALUES_PER_BLOCK // max(1, frames * mels * channels))
    return [slice(first, min(first + step, clips)) for first in range(0, clips, step)]


def takes_tiles(weight: Tensor) -> bool:
    """Whether a kernel ``[out, in, frame, mel]`` is faster in tiles."""
    return min(weight.shape[:2]) >= LEAST_CHANNELS and weight.shape[2:] == (3, 3)


def _kernel_factors(tiles: Tiles) -> tuple[Tensor, Tensor]:
    """Factors ``[product, value of the kernel]`` that turn a kernel into its products, and weights ``[product, 1]``."""
    frames, mels = FRAMES, tiles.along_mels
    factors, weights = (
        torch.kron(torch.tensor(one, dtype=torch.float64), torch.tensor(other, dtype=torch.float64))
        for one, other in ((frames.of_kernel, mels.of_kernel), (frames.weights, mels.weights))
    )
    return factors, weights.unsqueeze(1)


def multiply_tiles(maps: Tensor, weight: Tensor, *, measure: bool = False) -> tuple[Tensor, list[Tensor]]:
    """Convolve contiguous ``[batch, frame, mel, in]`` with ``[out, in, 3, 3]`` to ``[batch, frame, mel, out]``.

    Zero padding keeps the size of the maps. The second result has the sums of :func:`sum_channels` for every part of
    the batch, if they are to be measured.
    """
    (_, frames, mels, inputs), outputs, dtype = maps.shape, len(weight), maps.dtype
    kernel = weight.permute(2, 3, 1, 0).reshape(-1, inputs * outputs)
    factors, weights = _kernel_factors(Tiles(1, frames, mels))
    products = ((factors * weights).to(dtype) @ kernel).view(-1, inputs, outputs)
    result = maps.new_empty(*maps.shape[:3], outputs)

    def multiply(some: slice) -> Tensor | None:
        tiles, part = Tiles(some.stop - some.start, frames, mels), result[some]
        spread, collect = workspace(for_convolution, tiles, inputs, outputs, dtype)
        torch.bmm(spread.write(maps[some]), products, out=collect.products)
        collect.read(tiles, part)
        return sum_channels(part.view(-1, outputs)) if measure else None

    sums = run_together([partial(multiply, some) for some in _split(maps, max(inputs, outputs))])
    return result, [part for part in sums if part is not None]


def weight_gradient(maps: Tensor, gradient: Tensor) -> Tensor:
    """Compute the gradient of ``[out, in, 3, 3]`` from that of the output, in tiles."""
    (_, frames, mels, outputs), inputs, dtype = gradient.shape, maps.shape[3], maps.dtype
    factors = _kernel_factors(Tiles(1, frames, mels))[0].to(dtype)

    def multiply(parts: list[slice]) -> Tensor:
        products = maps.new_zeros(len(factors), inputs, outputs)
        for some in parts:
            tiles = Tiles(some.stop - some.start, frames, mels)
            of_maps, of_gradient = workspace(for_gradient, tiles, inputs, outputs, dtype)
            patches = of_maps.write(maps[some]).transpose(1, 2)
            products.baddbmm_(patches, of_gradient.write_gradient(tiles, gradient[some]))
        return factors.t() @ products.flatten(1)

    parts = _split(maps, max(inputs, outputs))
    size = -(-len(parts) // _GROUPS)
    groups = [parts[first : first + size] for first in range(0, len(parts), size)]
    kernel = sum(run_together([partial(multiply, group) for group in groups]), torch.zeros(1))
    return kernel.view(3, 3, inputs, outputs).permute(3, 2, 0, 1)


def _multiply_directly(maps: Tensor, weight: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Convolve as :func:`multiply_tiles` does, with a kernel of any odd size, by PyTorch's operator."""
    result = maps.new_empty(*maps.shape[:3], len(weight))
    edges = [size // 2 for size in weight.shape[2:]]

    def multiply(some: slice) -> Tensor:
        part = result[some]
        part.copy_(functional.conv2d(maps[some].permute(0, 3, 1, 2), weight, padding=edges).permute(0, 2, 3, 1))
        return sum_channels(part.view(-1, len(weight)))

    return result, run_together([partial(multiply, some) for some in _split(maps, max(weight.shape[:2]))])


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor, measure: bool) -> tuple[Tensor, ...]:
        ctx.save_for_backward(maps, weight)
        ctx.is_measured = measure
        if takes_tiles(weight):
            result, sums = multiply_tiles(maps, weight, measure=measure)
        else:
            result, sums = _multiply_directly(maps, weight)
        ctx.mark_non_differentiable(*sums)
        return result, *sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        for_bias = gradient.new_zeros(len(weight)) if ctx.is_measured else gradient.sum((0, 1, 2))
        for_maps: Tensor | None = None
        if takes_tiles(weight):
            if ctx.needs_input_grad[0]:
                for_maps = multiply_tiles(gradient, weight.transpose(0, 1).flip(2, 3))[0]
            return for_maps, weight_gradient(maps, gradient), for_bias, None
        edges = [size // 2 for size in weight.shape[2:]]
        which = [ctx.needs_input_grad[0], True, False]
        given, arguments = gradient.permute(0, 3, 1, 2), ([1, 1], edges, [1, 1], False, [0, 0], 1, which)
        for_maps, for_weight, _ = torch.ops.aten.convolution_backward(
            given, maps.permute(0, 3, 1, 2), weight, None, *arguments
        )
        return None if for_maps is None else for_maps.permute(0, 2, 3, 1), for_weight, for_bias, None


def is_faster(maps: Tensor, weight: Tensor, *, measure: bool) -> bool:
    """Whether :func:`convolve` is faster than PyTorch's convolution, followed by a pass for the statistics."""
    return computes_in_full(maps, weight) and (measure or takes_tiles(weight))


def convolve(maps: Tensor, weight: Tensor, bias: Tensor, *, measure: bool) -> tuple[Tensor, Statistics | None]:
    """Convolve ``[batch, frame, mel, in]`` with a kernel ``[out, in, frame, mel]`` to ``[batch, frame, mel, out]``.

    The kernel has odd sizes. Zero padding keeps the size of the maps. The gradient may be computed once. The statistics
    of the result are measured if asked for; they get no gradient here.

    The bias is not added. Its gradient is that of a bias which was added, and zero if the statistics are measured,
    because the normalisation with them subtracts the bias.
    """
    result, *sums = _Convolution.apply(maps.contiguous(), weight, bias, measure)
    return result, Statistics.of_sums(sums, result.numel() // len(weight)) if measure else None
