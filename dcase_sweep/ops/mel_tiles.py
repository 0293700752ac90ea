"""Convolutions of maps ``[clip, mel, frame, channel]`` in tiles of eight mel bands, with fewer multiplications.

An algorithm of :mod:`dcase_sweep.ops.toom_cook` runs along mel bands. So a convolution with a kernel of 7 × 7 is one
along frames for each of 21 points: 21 · 7 products for eight values instead of 8 · 49. The points of a tile are matrix
products of a few rows of the maps at each frame. All points together are one convolution of PyTorch with a group of
channels for each point.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dcase_sweep.ops.threads import working_memory
from dcase_sweep.ops.toom_cook import Algorithm, algorithm_for

#: PyTorch's convolution with groups is fast for multiples of so many channels.
CHANNELS = 16
#: With fewer frames the operations are too small for what each costs.
LEAST_FRAMES = 250


def is_worthwhile(weight: Tensor, mels: int, frames: int) -> bool:
    """Whether a kernel ``[out, in, mel, frame]`` is faster in tiles, for maps of such a size.

    With 16 channels, 40 mel bands and 500 frames a convolution takes 0.8 of the time of PyTorch's, and its gradients
    0.75, with 0.38 of the products. Maps of 100 frames gain nothing, and kernels of 5 × 5 do not either.
    """
    outputs, inputs, over_mels, over_frames = weight.shape
    algorithm = algorithm_for(over_mels)
    if algorithm is None or over_frames < over_mels or outputs % CHANNELS or inputs % CHANNELS:
        return False
    tiles = -(-mels // algorithm.outputs)
    return frames >= LEAST_FRAMES and 2 * tiles * algorithm.points <= mels * over_mels


@dataclass(frozen=True, slots=True)
class _Tile:
    """Rows of maps that belong to a tile, and the matrix of each frame that applies to them.

    Attributes:
        rows: the rows.
        matrix: ``[frame, point, row]`` or ``[frame, row, point]``.
        common: how many of the rows belong to the tile before as well.
    """

    rows: slice
    matrix: Tensor
    common: int


def _cover(mels: int, frames: int, matrix: Tensor, algorithm: Algorithm, *, rows_first: bool, edge: int) -> list[_Tile]:
    """Create the tiles whose rows begin ``edge`` rows before their first output; rows outside of the maps are left out.

    The matrix is ``[point, row]``, or ``[row, point]`` if ``rows_first``.
    """
    tiles: list[_Tile] = []
    matrix, ready = matrix if rows_first else matrix.t(), 0
    for first in range(-edge, mels - edge, algorithm.outputs):
        begin, end = max(first, 0), min(first + len(matrix), mels)
        part = matrix[begin - first : end - first]
        expanded = (part if rows_first else part.t()).expand(frames, -1, -1)
        tiles.append(_Tile(slice(begin, end), expanded, max(ready - begin, 0)))
        ready = end
    return tiles


class TiledKernel:
    """A kernel ``[out, in, mel, frame]`` at each point of an algorithm, for maps with so many mel bands and frames.

    Attributes:
        algorithm: the algorithm.
        channels: numbers of input and output channels.
        forward: the kernel of a convolution with groups, ``[point * out, in, 1, frame]``.
        backward: that of the gradient of the maps, ``[point * in, out, 1, frame]``.
        padding: zero padding on each side, ``[mel, frame]``, of the convolutions with groups.
        of_maps: tiles of the maps, ``[point, row]``.
        of_result: tiles of the result, ``[row, point]``.
        of_gradient: tiles of the gradient of the result, ``[point, row]``.
        of_maps_gradient: tiles of the gradient of the maps, ``[row, point]``, which overlap.
    """

    def __init__(self, weight: Tensor, mels: int, frames: int) -> None:
        outputs, inputs, over_mels, over_frames = weight.shape
        algorithm = algorithm_for(over_mels)
        assert algorithm is not None
        self.algorithm, self.channels, self.padding = algorithm, (inputs, outputs), [0, over_frames // 2]
        points = torch.einsum("pm,oimf->poif", algorithm.of_kernel, weight.double())
        self.forward, self.backward = (
            kernel.to(weight.dtype).flatten(0, 1).unsqueeze(2).contiguous(memory_format=torch.channels_last)
            for kernel in (points, points.transpose(1, 2).flip(3))
        )
        edge, sizes = over_mels // 2, (mels, frames)
        of_maps, of_products = algorithm.of_maps.to(weight.dtype), algorithm.of_products.to(weight.dtype)
        self.of_maps = _cover(*sizes, of_maps, algorithm, rows_first=False, edge=edge)
        self.of_result = _cover(*sizes, of_products, algorithm, rows_first=True, edge=0)
        self.of_gradient = _cover(*sizes, of_products.t(), algorithm, rows_first=False, edge=0)
        self.of_maps_gradient = _cover(*sizes, of_maps.t(), algorithm, rows_first=True, edge=edge)

    def gradient(self, sums: Tensor) -> Tensor:
        """Compute the gradient of the kernel from that of ``forward``."""
        points = sums.double().view(self.algorithm.points, -1, self.channels[0], sums.shape[3])
        return torch.einsum("pm,poif->oimf", self.algorithm.of_kernel, points)


@dataclass(frozen=True, slots=True)
class _Points:
    """Memory for what a tile is at each point, and views of it.

    Attributes:
        clips: for each clip, ``[frame, point, channel]``.
        whole: ``[clip, point * channel, 1, frame]``, with the channels last in memory.
    """

    clips: tuple[Tensor, ...]
    whole: Tensor

    @staticmethod
    def of(memory: Tensor) -> "_Points":
        """Create the views of ``[clip, frame, point, channel]``."""
        return _Points(memory.unbind(), memory.flatten(2).transpose(1, 2).unsqueeze(2))

    def write(self, values: Sequence[Tensor], tile: _Tile) -> Tensor:
        """Compute the points of values ``[frame, mel, channel]`` of each clip, and return all of them."""
        for points, clip in zip(self.clips, values, strict=True):
            torch.bmm(tile.matrix, clip[:, tile.rows], out=points)
        return self.whole


@dataclass(frozen=True, slots=True)
class _Rows:
    """Memory for rows of a tile, ``[clip, mel, frame, channel]``, in which each frame is contiguous."""

    whole: Tensor
    clips: tuple[Tensor, ...]

    @staticmethod
    def make_all(memory: Tensor, shape: tuple[int, int, int], tiles: list[_Tile]) -> "dict[int, _Rows]":
        """Create the views for each number of rows, for ``(clip, frame, channel)``."""
        clips, frames, channels = shape
        views = {}
        for count in {tile.matrix.shape[1] for tile in tiles}:
            rows = memory[: clips * frames * count * channels].view(clips, frames, count, channels)
            views[count] = _Rows(rows.transpose(1, 2), rows.unbind())
        return views

    def write(self, products: Tensor, tile: _Tile) -> Tensor:
        """Compute the rows from products ``[clip, point * channel, 1, frame]`` and return them."""
        (frames, _, points), channels = tile.matrix.shape, self.whole.shape[3]
        strides = frames * points * channels, points * channels, channels, 1
        products = products.contiguous(memory_format=torch.channels_last)
        of_clips = products.as_strided((len(self.clips), frames, points, channels), strides).unbind()
        for rows, of_clip in zip(self.clips, of_clips, strict=True):
            torch.bmm(tile.matrix, of_clip, out=rows)
        return self.whole


def convolve(maps: Tensor, kernel: TiledKernel, result: Tensor) -> None:
    """Convolve contiguous ``[clip, mel, frame, in]`` to ``[clip, mel, frame, out]`` of the same size."""
    (clips, _, frames, inputs), outputs, algorithm = maps.shape, result.shape[3], kernel.algorithm
    shapes = [(clips, frames, algorithm.points, inputs), (clips * frames * algorithm.outputs * outputs,)]
    for_points, for_rows = working_memory([(shape, maps.dtype) for shape in shapes])
    points, values = _Points.of(for_points), maps.transpose(1, 2).unbind()
    rows = _Rows.make_all(for_rows, (clips, frames, outputs), kernel.of_result)
    for of_maps, of_result in zip(kernel.of_maps, kernel.of_result, strict=True):
        spread = points.write(values, of_maps)
        products = torch.conv2d(spread, kernel.forward, None, 1, kernel.padding, 1, algorithm.points)
        result[:, of_result.rows] = rows[of_result.matrix.shape[1]].write(products, of_result)


def shapes_for_gradient(clips: int, frames: int, kernel: TiledKernel) -> list[Sequence[int]]:
    """Shapes of the memory that :func:`differentiate` needs."""
    (inputs, outputs), points = kernel.channels, kernel.algorithm.points
    of_maps, of_gradient = (clips, frames, points, inputs), (clips, frames, points, outputs)
    return [of_maps, of_gradient, (clips * frames * kernel.algorithm.inputs * inputs,)]


def differentiate(
    maps: Tensor, gradient: Tensor, kernel: TiledKernel, for_maps: Tensor | None, memory: Sequence[Tensor]
) -> Tensor:
    """Write the gradient of the maps, if it is needed, and return that of ``kernel.forward``."""
    points, of_maps, of_gradient = kernel.algorithm.points, _Points.of(memory[0]), _Points.of(memory[1])
    shape = len(maps), maps.shape[2], maps.shape[3]
    rows = _Rows.make_all(memory[2], shape, kernel.of_maps_gradient)
    values, gradients = maps.transpose(1, 2).unbind(), gradient.transpose(1, 2).unbind()
    arguments = None, [1, 1], kernel.padding, [1, 1], False, [0, 0], points, [False, True, False]
    sums = torch.zeros_like(kernel.forward)
    tiles = zip(kernel.of_maps, kernel.of_gradient, kernel.of_maps_gradient, strict=True)
    for tile, tile_of_gradient, overlapping in tiles:
        spread, given = of_maps.write(values, tile), of_gradient.write(gradients, tile_of_gradient)
        sums += torch.ops.aten.convolution_backward(given, spread, kernel.forward, *arguments)[1]
        if for_maps is not None:
            products = torch.conv2d(given, kernel.backward, None, 1, kernel.padding, 1, points)
            computed = rows[overlapping.matrix.shape[1]].write(products, overlapping)
            _add(computed, for_maps[:, overlapping.rows], overlapping.common)
    return sums


def _add(rows: Tensor, results: Tensor, common: int) -> None:
    """Add the first rows to the results, which the tile before has written, and copy the others."""
    if common:
        results[:, :common] += rows[:, :common]
        rows, results = rows[:, common:], results[:, common:]
    results.copy_(rows)
