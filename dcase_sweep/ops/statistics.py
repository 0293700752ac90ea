"""Mean and variance of each channel of maps, for batch normalisation on a CPU."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

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


def update_running(norm: nn.BatchNorm2d, measured: Statistics | None, bias: Tensor | None = None) -> Statistics:
    """Update the running statistics with those of the batch, or return them where these were not measured.

    The measured and the returned statistics are of maps without a bias ``[channel]`` that the normalised ones have.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        if measured is None:
            mean = norm.running_mean if bias is None else norm.running_mean - bias
            return Statistics(mean, norm.running_var, 1, are_of_batch=False)
        mean = measured.mean if bias is None else measured.mean + bias
        unbiased = measured.variance * (measured.count / max(1, measured.count - 1))
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked.add_(1)
        momentum = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), momentum)
        norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), momentum)
    return measured
