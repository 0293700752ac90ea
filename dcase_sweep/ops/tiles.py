"""Maps in tiles of 4 × 2 values (frame, mel), on which a convolution takes 24 products instead of 72.

Winograd's algorithm runs along frames and mel bands, for a part of the batch that fits the cache. Sums over frames are
sums of whole rows of memory, and those over mel bands of all channels at a position.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dcase_sweep.ops.threads import working_memory
from dcase_sweep.ops.winograd import FOUR, TWO, Factors

FRAMES, MELS = FOUR, TWO
#: Products for each tile.
POINTS = FRAMES.points * MELS.points

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tiles:
    """Sizes of a part of the batch, and how many tiles cover it."""

    clips: int
    frames: int
    mels: int

    @property
    def counts(self) -> tuple[int, int, int]:
        """Tiles ``(clip, frame, mel)``; the last ones reach beyond maps whose sizes are no multiples."""
        return self.clips, -(-self.frames // FRAMES.outputs), -(-self.mels // MELS.outputs)

    @property
    def are_exact(self) -> bool:
        """Whether no tile reaches beyond the maps."""
        return self.frames % FRAMES.outputs == 0 and self.mels % MELS.outputs == 0

    def split(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """View exact maps ``[clip, frame, mel, channel]`` at each frame of a tile, ``[clip, tile, mel * channel]``."""
        clips, over_frames, _ = self.counts
        return outputs.view(clips, over_frames, FRAMES.outputs, -1).unbind(2)


def _carve(memory: Tensor, shapes: Sequence[Shape]) -> list[Tensor]:
    """Create tensors of these shapes one after the other in a flat tensor."""
    sizes = [math.prod(shape) for shape in shapes]
    parts = memory[: sum(sizes)].split(sizes)
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def _sizes(shapes: Sequence[Shape]) -> int:
    return sum(math.prod(shape) for shape in shapes)


@dataclass(frozen=True, slots=True)
class Spread:
    """Memory and views for a part of the batch, and for what its values are at all points of both axes.

    Attributes:
        inner: where the values are written, ``[clip, frame, mel, channel]``.
        borders: the zeros around them.
        frames: the values at each place of a tile along frames, ``[clip, tile, mel * channel]`` each.
        by_frame: the values at each point, likewise.
        mels: these at each place of a tile along mel bands, ``[point, clip, tile, tile, channel]`` each.
        by_mel: these at each point, likewise.
        points: the same values, ``[point, tile, channel]``.
        spare: memory for two more of ``by_frame``, and for two more of ``by_mel``.
    """

    inner: Tensor
    borders: tuple[Tensor, ...]
    frames: tuple[Tensor, ...]
    by_frame: tuple[Tensor, ...]
    mels: tuple[Tensor, ...]
    by_mel: tuple[Tensor, ...]
    points: Tensor
    spare: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]

    @staticmethod
    def shapes(tiles: Tiles, channels: int, overlap: int) -> tuple[list[Shape], Shape]:
        """Shapes of the memory that is free again once the points are written, and of the points."""
        clips, over_frames, over_mels = tiles.counts
        frames, mels = over_frames * FRAMES.outputs + overlap, over_mels * MELS.outputs + overlap
        before = [
            (clips, frames, mels, channels),
            (FRAMES.points + 2, clips, over_frames, mels, channels),
            (2, FRAMES.points, *tiles.counts, channels),
        ]
        return before, (FRAMES.points, MELS.points, *tiles.counts, channels)

    @staticmethod
    def of(tiles: Tiles, channels: int, overlap: int, memory: Tensor, for_points: Tensor) -> "Spread":
        """Create the views; neighbouring tiles share ``overlap`` values along each axis."""
        before, of_points = Spread.shapes(tiles, channels, overlap)
        padded, spread, for_mels = _carve(memory, before)
        (points,) = _carve(for_points, [of_points])
        _, over_frames, over_mels = tiles.counts
        edge = overlap // 2
        after_frames, after_mels = tiles.frames + edge, tiles.mels + edge
        borders = padded[:, :edge], padded[:, after_frames:], padded[:, :, :edge], padded[:, :, after_mels:]
        frames, mels = padded.flatten(2), spread[: FRAMES.points]
        return Spread(
            padded[:, edge:after_frames, edge:after_mels],
            tuple(border for border in borders if border.numel()),
            tuple(
                frames[:, place:][:, :: FRAMES.outputs][:, :over_frames] for place in range(FRAMES.outputs + overlap)
            ),
            mels.flatten(3).unbind(),
            tuple(
                mels[:, :, :, place:][:, :, :, :: MELS.outputs][:, :, :, :over_mels]
                for place in range(MELS.outputs + overlap)
            ),
            points.unbind(1),
            points.view(POINTS, -1, channels),
            (spread[FRAMES.points :].flatten(3).unbind(), for_mels.unbind()),
        )

    def write(self, values: Tensor, of_frames: Factors, of_mels: Factors) -> Tensor:
        """Compute the points of values ``[clip, frame, mel, channel]``."""
        for border in self.borders:
            border.zero_()
        self.inner.copy_(values)
        FRAMES.spread(of_frames, self.frames, self.by_frame, self.spare[0])
        MELS.spread(of_mels, self.mels, self.by_mel, self.spare[1])
        return self.points


@dataclass(frozen=True, slots=True)
class Collect:
    """Memory and views for products at all points of both axes, and for the outputs that they give.

    Attributes:
        products: ``[point, tile, channel]``.
        constant: the product that every output contains once.
        mels: the products at each point of the mel bands, ``[point, clip, tile, tile, channel]`` each.
        by_mel: the outputs at each place of a tile along mel bands, likewise.
        frames: these at each point of the frames, ``[clip, tile, mel * channel]`` each.
        by_frame: the outputs at each place of a tile along frames, likewise.
        outputs: the same outputs, ``[clip, frame, mel, channel]``.
        spare: memory for one pair of ``mels``, and for two pairs of ``frames``.
    """

    products: Tensor
    constant: Tensor
    mels: tuple[Tensor, ...]
    by_mel: tuple[Tensor, ...]
    frames: tuple[Tensor, ...]
    by_frame: tuple[Tensor, ...]
    outputs: Tensor
    spare: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]

    @staticmethod
    def shapes(tiles: Tiles, channels: int) -> tuple[Shape, list[Shape]]:
        """Shapes of the products, and of the other memory."""
        clips, over_frames, over_mels = tiles.counts
        rows = MELS.outputs * channels
        return (FRAMES.points, MELS.points, *tiles.counts, channels), [
            (FRAMES.points, clips, over_frames, over_mels, rows),
            (clips, over_frames, FRAMES.outputs, over_mels, rows),
            (len(MELS.scales), FRAMES.points, *tiles.counts, channels),
            (len(FRAMES.scales), clips, over_frames, over_mels, rows),
        ]

    @staticmethod
    def of(tiles: Tiles, channels: int, for_products: Tensor, memory: Tensor) -> "Collect":
        """Create the views."""
        of_products, after = Collect.shapes(tiles, channels)
        (products,) = _carve(for_products, [of_products])
        by_mel, outputs, for_mels, for_frames = _carve(memory, after)
        clips, over_frames, over_mels = tiles.counts
        whole = outputs.view(clips, over_frames * FRAMES.outputs, over_mels * MELS.outputs, channels)
        return Collect(
            products.view(POINTS, -1, channels),
            products[1, 1],
            products.unbind(1),
            by_mel.view(*by_mel.shape[:-1], MELS.outputs, channels).unbind(-2),
            by_mel.flatten(3).unbind(),
            outputs.flatten(3).unbind(2),
            whole[:, : tiles.frames, : tiles.mels],
            (for_mels.unbind(), for_frames.flatten(3).unbind()),
        )

    def read(self, tiles: Tiles, outputs: Tensor) -> None:
        """Write the outputs ``[clip, frame, mel, channel]``; the products are overwritten."""
        MELS.collect(self.mels, self.by_mel, self.spare[0])
        FRAMES.collect(self.frames, tiles.split(outputs) if tiles.are_exact else self.by_frame, self.spare[1])
        if not tiles.are_exact:
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
