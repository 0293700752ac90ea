"""Windows of recordings of any length; only a few windows of samples are kept at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.problems import SHORTEST
from dcase_sweep.audio.reading import Padding, to_length
from dcase_sweep.utils.errors import UserError

#: Share of a window that the next one has in common with it.
OVERLAP = 0.5
_HIGHEST_OVERLAP = 0.95


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a recording.

    Attributes:
        start: its first sample, counted from the beginning of the recording.
        samples: ``[sample]``, as many as a clip has.
    """

    start: int
    samples: NDArray[np.float32]


class Windows:
    """Cuts a recording into overlapping windows of the length of a clip.

    A recording that is shorter than a clip is extended as clips are in training. The last window of a longer one ends
    with the recording; it is left out where the window before it leaves less than one frame.

    Args:
        blocks: the samples of the recording, ``[sample]`` each.
        length: samples of a window.
        overlap: of neighbouring windows, as a share of a window.
        grid: windows begin at multiples of so many samples.
        padding: how a short recording is extended.
        sample_rate: Hz.

    Attributes:
        samples: how many were read so far.
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
        kept = np.zeros(0, np.float32)  # from the beginning of the last window on
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
    """Return the overlap.

    Raises:
        UserError: if it is not possible.
    """
    if not 0 <= overlap <= _HIGHEST_OVERLAP:
        raise UserError(f"overlap={overlap:g}: expected a number from 0 to {_HIGHEST_OVERLAP:g}")
    return overlap
