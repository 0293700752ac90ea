"""Maps in tiles, on which a convolution takes a quarter or a third of the products.

A tile has 4 × 4 values (frame, mel) and takes 36 products instead of 144, or where that is cheaper, 4 × 2 values and 24
products instead of 72. Winograd's algorithm runs along frames and mel bands, for a part of the batch that fits the
cache. Sums over frames are sums of whole rows of memory, and those over mel bands of all channels at a position.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dcase_sweep.ops import winograd
from dcase_sweep.ops.threads import working_memory
from dcase_sweep.ops.winograd import FOUR, TWO, Axis

#: The algorithm along frames.
FRAMES = FOUR

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tiles:
    """Sizes of a part of the batch, and how many tiles cover it."""

    clips: int
    frames: int
    mels: int

    @property
    def along_mels(self) -> Axis:
        """The algorithm along mel bands that takes fewer products, with a last tile that reaches beyond the maps."""
        return min((TWO, FOUR), key=lambda axis: -(-self.mels // axis.outputs) * axis.points)

    @property
    def points(self) -> int:
        """Products for each tile."""
        return FRAMES.points * self.along_mels.points

    @property
    def counts(self) -> tuple[int, int, int]:
        """Tiles ``(clip, frame, mel)``; the last ones reach beyond maps whose sizes are no multiples."""
        return self.clips, -(-self.frames // FRAMES.outputs), -(-self.mels // self.along_mels.outputs)

    @property
    def are_exact(self) -> bool:
        """Whether no tile reaches beyond the maps."""
        return self.frames % FRAMES.outputs == 0 and self.mels % self.along_mels.outputs == 0

    def split(self, maps: Tensor) -> Tensor:
        """View exact maps ``[clip, frame, mel, channel]`` as ``[place in a tile, clip, tile, mel * channel]``."""
        clips, over_frames, _ = self.counts
        return maps.view(clips, over_frames, FRAMES.outputs, -1).permute(2, 0, 1, 3)


def _carve(memory: Tensor, shapes: Sequence[Shape]) -> list[Tensor]:
    """Create tensors of these shapes one after the other in a flat tensor."""
    sizes = [math.prod(shape) for shape in shapes]
    parts = memory[: sum(sizes)].split(sizes)
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def _sizes(shapes: Sequence[Shape]) -> int:
    return sum(math.prod(shape) for shape in shapes)


def _tile(values: Tensor, axis: int, size: int, step: int) -> Tensor:
    """View values at each place of overlapping tiles along an axis, ``[place, ..., tile, ...]``."""
    return values.unfold(axis, size, step).movedim(-1, 0)


@dataclass(frozen=True, slots=True)
class Spread:
    """Memory for a part of the batch, and for what its values are at all points of both axes.

    Attributes:
        inner: where the values are written, ``[clip, frame, mel, channel]``.
        borders: the zeros around them.
        along_frames: computes from these the values at each point of the frames.
        along_mels: computes from the latter the values at each point of both axes.
        by_frame: the values at each point of the frames, ``[point, clip, tile, mel * channel]``.
        spare: memory for values of the same shape, as many as a tile has outputs.
        points: the values at each point of both axes, ``[point, tile, channel]``.
    """

    inner: Tensor
    borders: tuple[Tensor, ...]
    along_frames: winograd.Spread
    along_mels: winograd.Spread
    by_frame: Tensor
    spare: Tensor
    points: Tensor

    @staticmethod
    def shapes(tiles: Tiles, channels: int, overlap: int) -> tuple[list[Shape], Shape]:
        """Shapes of the memory that is free again once the points are written, and of the points."""
        (clips, over_frames, over_mels), axis = tiles.counts, tiles.along_mels
        frames, mels = over_frames * FRAMES.outputs + overlap, over_mels * axis.outputs + overlap
        by_frame = clips, over_frames, mels, channels
        spare = FRAMES.outputs * math.prod(by_frame), axis.outputs * FRAMES.points * math.prod(tiles.counts) * channels
        before = [(clips, frames, mels, channels), (FRAMES.points, *by_frame), (max(spare),)]
        return before, (FRAMES.points, axis.points, *tiles.counts, channels)

    @staticmethod
    def of(tiles: Tiles, channels: int, overlap: int, memory: Tensor, for_points: Tensor) -> "Spread":
        """Create the views; neighbouring tiles of maps share ``overlap`` values along each axis, gradients none."""
        before, of_points = Spread.shapes(tiles, channels, overlap)
        padded, by_frame, spare = _carve(memory, before)
        (points,) = _carve(for_points, [of_points])
        edge, axis = overlap // 2, tiles.along_mels
        after_frames, after_mels = tiles.frames + edge, tiles.mels + edge
        borders = padded[:, :edge], padded[:, after_frames:], padded[:, :, :edge], padded[:, :, after_mels:]
        frames = _tile(padded.flatten(2), 1, FRAMES.outputs + overlap, FRAMES.outputs)
        mels = _tile(by_frame, 3, axis.outputs + overlap, axis.outputs)
        (for_frames,) = _carve(spare, [(FRAMES.outputs, *frames.shape[1:])])
        (for_mels,) = _carve(spare, [(axis.outputs, *mels.shape[1:])])
        rows, columns = by_frame.flatten(3), points.transpose(0, 1)
        return Spread(
            padded[:, edge:after_frames, edge:after_mels],
            tuple(border for border in borders if border.numel()),
            FRAMES.spread_maps(frames, rows, for_frames)
            if overlap
            else FRAMES.spread_gradient(frames, rows, for_frames),
            axis.spread_maps(mels, columns, for_mels) if overlap else axis.spread_gradient(mels, columns, for_mels),
            rows,
            for_frames,
            points.view(tiles.points, -1, channels),
        )

    def write(self, values: Tensor) -> Tensor:
        """Compute the points of maps or of a gradient ``[clip, frame, mel, channel]``."""
        for border in self.borders:
            border.zero_()
        self.inner.copy_(values)
        self.along_frames()
        self.along_mels()
        return self.points

    def write_gradient(self, tiles: Tiles, gradient: Tensor) -> Tensor:
        """Compute the points of a gradient, which is not copied if its size is a multiple of a tile's."""
        if not tiles.are_exact:
            return self.write(gradient)
        FRAMES.spread_gradient(tiles.split(gradient), self.by_frame, self.spare)()
        self.along_mels()
        return self.points


@dataclass(frozen=True, slots=True)
class Collect:
    """Memory for products at all points of both axes, and for the outputs that they give.

    Attributes:
        products: ``[point, tile, channel]``.
        along_mels: computes from these the outputs along mel bands.
        by_mel: where these are written, ``[point, clip, tile, tile, channel]`` for each place of a tile.
        along_frames: computes from the latter the outputs.
        by_frame: where these are written, ``[clip, tile, mel * channel]`` for each place of a tile.
        outputs: the same, ``[clip, frame, mel, channel]``.
    """

    products: Tensor
    along_mels: winograd.Collect
    by_mel: tuple[Tensor, ...]
    along_frames: winograd.Collect
    by_frame: tuple[Tensor, ...]
    outputs: Tensor

    @staticmethod
    def shapes(tiles: Tiles, channels: int) -> tuple[Shape, list[Shape]]:
        """Shapes of the products, and of the other memory."""
        (clips, over_frames, over_mels), axis = tiles.counts, tiles.along_mels
        rows = over_mels * axis.outputs * channels
        spare = max(FRAMES.outputs, FRAMES.points) * clips * over_frames * rows // 2
        return (FRAMES.points, axis.points, *tiles.counts, channels), [
            (FRAMES.points, clips, over_frames, rows),
            (clips, over_frames, FRAMES.outputs, rows),
            (spare,),
        ]

    @staticmethod
    def of(tiles: Tiles, channels: int, for_products: Tensor, memory: Tensor) -> "Collect":
        """Create the views."""
        of_products, after = Collect.shapes(tiles, channels)
        (products,) = _carve(for_products, [of_products])
        by_mel, outputs, spare = _carve(memory, after)
        axis, (clips, over_frames, over_mels) = tiles.along_mels, tiles.counts
        frames = outputs.permute(2, 0, 1, 3)
        mels = by_mel.view(FRAMES.points, *tiles.counts, axis.outputs, channels).movedim(-2, 0)
        (for_frames,) = _carve(spare, [(FRAMES.outputs // 2, *frames.shape[1:])])
        (for_mels,) = _carve(spare, [(axis.outputs // 2, *mels.shape[1:])])
        whole = outputs.view(clips, over_frames * FRAMES.outputs, over_mels * axis.outputs, channels)
        return Collect(
            products.view(tiles.points, -1, channels),
            axis.collect(products.transpose(0, 1), for_mels),
            mels.unbind(),
            FRAMES.collect(by_mel, for_frames),
            frames.unbind(),
            whole[:, : tiles.frames, : tiles.mels],
        )

    def read(self, tiles: Tiles, outputs: Tensor) -> None:
        """Write the outputs ``[clip, frame, mel, channel]``; the products are overwritten."""
        self.along_mels(self.by_mel)
        if tiles.are_exact:
            self.along_frames(tiles.split(outputs).unbind())
        else:
            self.along_frames(self.by_frame)
            outputs.copy_(self.outputs)


def for_convolution(tiles: Tiles, inputs: int, outputs: int, dtype: torch.dtype) -> tuple[Spread, Collect]:
    """Reserve memory for a convolution; the products take the place of what they do not need."""
    before, points = Spread.shapes(tiles, inputs, 2)
    products, after = Collect.shapes(tiles, outputs)
    sizes = max(_sizes(before), _sizes([products])), max(_sizes([points]), _sizes(after))
    first, second = working_memory([((size,), dtype) for size in sizes])
    return Spread.of(tiles, inputs, 2, first, second), Collect.of(tiles, outputs, first, second)


def for_gradient(tiles: Tiles, inputs: int, outputs: int, dtype: torch.dtype) -> tuple[Spread, Spread]:
    """Reserve memory for the maps and the gradient of the output."""
    (of_maps, points), (of_gradient, others) = Spread.shapes(tiles, inputs, 2), Spread.shapes(tiles, outputs, 0)
    sizes = max(_sizes(of_maps), _sizes(of_gradient)), _sizes([points]), _sizes([others])
    memory, first, second = working_memory([((size,), dtype) for size in sizes])
    return Spread.of(tiles, inputs, 2, memory, first), Spread.of(tiles, outputs, 0, memory, second)
