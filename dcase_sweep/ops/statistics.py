"""Mean and variance of each channel of maps, for batch normalisation on a CPU."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from dcase_sweep.ops.gate import wide, widened
from dcase_sweep.ops.threads import run_together, working_memory, workspace

#: Values of the maps that one task sums.
VALUES_PER_SUM = 1 << 19


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean and biased variance ``[channel]`` of every channel over ``count`` values, in float32 or wider.

    ``are_of_batch`` is true if they were computed from the maps themselves, so that gradients flow through them.
    """

    mean: Tensor
    variance: Tensor
    count: int
    are_of_batch: bool

    @staticmethod
    def of_sums(parts: Sequence[Tensor], count: int) -> "Statistics":
        """Add the sums of :func:`sum_channels` in float64, in their order."""
        mean, square = sum((part.double() for part in parts), torch.zeros(1)) / count
        variance = (square - mean.square()).clamp_(min=0)
        dtype = parts[0].dtype
        return Statistics(mean.to(dtype), variance.to(dtype), count, are_of_batch=True)


def _memory(rows: int, channels: int, dtype: torch.dtype, wide_type: torch.dtype) -> tuple[Tensor, Tensor]:
    """Reserve memory for rows in the wide type, which rows of this type do not need, and for their squares."""
    shape = rows, channels
    values, squares = working_memory([((0, 0) if dtype == wide_type else shape, wide_type), (shape, wide_type)])
    return values, squares


def sum_channels(rows: Tensor) -> Tensor:
    """Sum ``[position, channel]`` and its squares over positions, to ``[2, channel]`` in float32 or wider.

    The rows must not be in working memory.
    """
    memory, squares = workspace(_memory, *rows.shape, rows.dtype, wide(rows.dtype))
    values = widened(rows, memory)
    torch.square(values, out=squares)
    return torch.stack([values.sum(0), squares.sum(0)])


def batch_statistics(maps: Tensor) -> Statistics:
    """Measure each channel of contiguous maps ``[batch, frame, mel, channel]``."""
    channels = maps.shape[-1]
    parts = maps.view(-1, channels).split(max(1, VALUES_PER_SUM // channels))
    return Statistics.of_sums(run_together([partial(sum_channels, part) for part in parts]), maps.numel() // channels)
