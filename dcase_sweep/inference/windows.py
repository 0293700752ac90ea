"""Overlapping windows of recordings of any length. Only a few windows are in memory at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.problems import SHORTEST
from dcase_sweep.audio.reading import Padding, to_length
from dcase_sweep.utils.errors import UserError

#: Default fraction of a window that overlaps with the next one.
OVERLAP = 0.5
_HIGHEST_OVERLAP = 0.95


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a recording.

    Attributes:
        start: index of its first sample in the recording.
        samples: ``[sample]``, with the length of a clip.
    """

    start: int
    samples: NDArray[np.float32]


class Windows:
    """Iterates over overlapping windows of a recording; each has the length of a clip.

    A recording that is shorter than a clip is extended as in training. The last window of a longer recording ends with
    the recording. It is omitted if it would add less than one frame.

    Args:
        blocks: the samples of the recording in blocks ``[sample]``.
        length: number of samples in a window.
        overlap: fraction of a window that overlaps with the next one.
        grid: windows start at multiples of this number of samples.
        padding: how a short recording is extended.
        sample_rate: sample rate, Hz.

    Attributes:
        samples: number of samples read so far.
    """

    def __init__(
        self,
        blocks: Iterable[NDArray[np.float32]],
        *,
        length: int,
        overlap: float,
        grid: int,
        padding: Padding,
        sample_rate: int,
    ) -> None:
        self._blocks = blocks
        self._length = length
        self._grid = grid
        self._step = max((length - round(length * check_overlap(overlap))) // grid, 1) * grid
        self._padding = padding
        self._tolerance = max(grid if grid > 1 else 0, round(SHORTEST * sample_rate))
        self.samples = 0

    def __iter__(self) -> Iterator[Window]:
        kept = np.zeros(0, np.float32)  # the samples from the start of the last window on
        origin, start = 0, 0
        for block in self._blocks:
            self.samples += len(block)
            kept = np.concatenate([kept, block])
            while start + self._length <= self.samples:
                kept, origin = kept[start - origin :], start
                yield Window(start, kept[: self._length].copy())
                start += self._step
        if start == 0:
            yield Window(0, to_length(kept, self._length, self._padding))
        elif self.samples - (start - self._step + self._length) > self._tolerance:
            start = -(-(self.samples - self._length) // self._grid) * self._grid
            yield Window(start, to_length(kept[start - origin :], self._length, "zeros"))


def check_overlap(overlap: float) -> float:
    """Check and return an overlap.

    Raises:
        UserError: if it is out of range.
    """
    if not 0 <= overlap <= _HIGHEST_OVERLAP:
        raise UserError(f"overlap={overlap:g}: expected a number from 0 to {_HIGHEST_OVERLAP:g}")
    return overlap
