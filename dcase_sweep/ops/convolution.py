"""Convolution that computes the gradient of its kernel with half the multiplications, for CPUs and many channels.

PyTorch computes this gradient at half the speed of its other matrix products. Here four frames at a time take six
products instead of twelve: F(4, 3) of Winograd (Arithmetic Complexity of Computations, 1980; Lavin and Gray, 2016). It
is applied along frames only, where neighbours are whole rows of memory and the sums before and after the products cost
little. In float32 the result is within a few roundings of the direct computation. The convolution itself and the
gradient of its input are PyTorch's, which are as fast as its matrix products.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from dcase_sweep.ops.threads import run_together, working_memory

#: Frames of the output that are computed together, and the frames of the input that they need.
_OUT, _IN = 4, 6
#: Values of the output that one task processes.
VALUES_PER_BLOCK = 1 << 19
#: With fewer input or output channels the extra sums cost more than the multiplications that are saved.
LEAST_CHANNELS = 32

_OF_MAPS = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_OF_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_OF_PRODUCTS = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


def _combine(factors: Sequence[float], values: Sequence[Tensor], result: Tensor) -> None:
    """Write the sum of values times factors to ``result``; one of the factors is 1."""
    lead = factors.index(1)
    others = [place for place, factor in enumerate(factors) if factor and place != lead]
    if not others:
        result.copy_(values[lead])
        return
    torch.add(values[lead], values[others[0]], alpha=factors[others[0]], out=result)
    for place in others[1:]:
        result.add_(values[place], alpha=factors[place])


class _Part:
    """The transformed input patches of some clips ``[clip, frame, mel, channel]``.

    The patches and ``products``, a tensor of the given shape, are in working memory.
    """

    def __init__(self, maps: Tensor, mels_of_kernel: int, products: tuple[int, ...]) -> None:
        clips, frames, mels, channels = maps.shape
        steps, wider = -(-frames // _OUT), mels + mels_of_kernel - 1
        self.step_shape, self.patch_size = (clips, steps, mels), mels_of_kernel * channels
        shapes = [
            (clips, steps * _OUT + 2, wider, channels),
            (clips, steps, wider, channels),
            (clips, steps, mels, self.patch_size),
            products,
        ]
        self.padded, self.transformed, self.patches, self.products = working_memory(
            [(shape, maps.dtype) for shape in shapes]
        )
        edge = mels_of_kernel // 2
        self.padded.zero_()
        self.padded[:, 1 : frames + 1, edge : edge + mels] = maps

    def transform(self, product: int) -> Tensor:
        """Compute ``[row, mel of the kernel * channel]`` for one of the six products; the next call overwrites it."""
        clips, steps, mels = self.step_shape
        frames = [self.padded[:, place : place + steps * _OUT - 3 : _OUT] for place in range(_IN)]
        _combine(_OF_MAPS[product], frames, self.transformed)
        channels = self.transformed.shape[-1]
        neighbours = self.transformed.as_strided(self.patches.shape, (*self.transformed.stride()[:2], channels, 1))
        return self.patches.copy_(neighbours).view(clips * steps * mels, -1)


def _parts(clips: int, values: int) -> list[slice]:
    """Split the batch into slices of at least one clip each; ``values`` is the number of values of a clip."""
    step = max(1, VALUES_PER_BLOCK // max(1, values))
    return [slice(first, min(first + step, clips)) for first in range(0, clips, step)]


def weight_gradient(maps: Tensor, gradient: Tensor, shape: Sequence[int]) -> Tensor:
    """Compute the gradient of a kernel of this shape from that of the output ``[batch, frame, mel, out]``."""
    clips, frames, mels, outputs = gradient.shape
    inputs, mels_of_kernel = shape[1], shape[3]
    steps = -(-frames // _OUT)
    if frames % _OUT:
        gradient = functional.pad(gradient, (0, 0, 0, 0, 0, steps * _OUT - frames))

    def multiply(some: slice) -> Tensor:
        part = _Part(maps[some], mels_of_kernel, (some.stop - some.start, steps, mels, outputs))
        rows, given = part.products, [gradient[some, place::_OUT] for place in range(_OUT)]
        products = rows.new_empty(_IN, part.patch_size, outputs)
        for place, product in enumerate(products):
            _combine([factors[place] for factors in _OF_PRODUCTS], given, rows)
            torch.mm(part.transform(place).t(), rows.view(-1, outputs), out=product)
        return products

    parts = _parts(clips, frames * mels * outputs)
    sums = sum(run_together([partial(multiply, some) for some in parts]), torch.zeros(1))
    of_kernel = torch.tensor(_OF_KERNEL, dtype=maps.dtype)
    return torch.einsum("pk,pmio->oikm", of_kernel, sums.view(_IN, mels_of_kernel, inputs, outputs))


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(maps, weight)
        return functional.conv2d(maps.permute(0, 3, 1, 2), weight, bias, padding="same").permute(0, 2, 3, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        for_maps = None
        if ctx.needs_input_grad[0]:
            edges = [size // 2 for size in weight.shape[2:]]
            for_maps = torch.ops.aten.convolution_backward(
                gradient.permute(0, 3, 1, 2),
                maps.permute(0, 3, 1, 2),
                weight,
                None,
                [1, 1],
                edges,
                [1, 1],
                False,
                [0, 0],
                1,
                [True, False, False],
            )[0].permute(0, 2, 3, 1)
        return for_maps, weight_gradient(maps, gradient, weight.shape), gradient.flatten(0, 2).sum(0)


def is_faster(maps: Tensor, weight: Tensor) -> bool:
    """Whether :func:`convolve` accepts a kernel ``[out, in, frame, mel]`` and is faster than PyTorch for it."""
    return (
        min(weight.shape[:2]) >= LEAST_CHANNELS
        and weight.shape[2] == 3
        and maps.dtype == weight.dtype
        and maps.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
    )


def convolve(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve ``[batch, frame, mel, in]`` with a kernel ``[out, in, 3, mel]`` to ``[batch, frame, mel, out]``.

    The kernel has an odd number of mel bands. Zero padding keeps the size of the maps. The gradient may be computed
    once.
    """
    result: Tensor = _Convolution.apply(maps.contiguous(), weight, bias)
    return result
