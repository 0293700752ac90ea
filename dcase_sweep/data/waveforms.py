"""The waveforms of training clips, for a training that computes its features itself."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TrainingWaveforms:
    """Packed waveforms of the training clips.

    Attributes:
        packed: waveforms as `audio.packed` packs them ``[clip, sample + 2]``, possibly memory-mapped.
        position: row of a clip in the data set → row of its waveform, -1 for a clip without one ``[clip]``.
    """

    packed: NDArray[np.int16]
    position: NDArray[np.int64]

    @classmethod
    def of(cls, packed: NDArray[np.int16], rows: NDArray[np.int64], clips: int) -> "TrainingWaveforms":
        """Make the waveforms of some clips of a data set.

        Args:
            packed: waveforms ``[clip, sample + 2]`` in the order of ``rows``.
            rows: their rows in the data set.
            clips: number of clips of the data set.
        """
        position = np.full(clips, -1, dtype=np.int64)
        position[rows] = np.arange(len(rows))
        return cls(packed, position)

    def find(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of waveforms for rows of the data set."""
        return self.position[rows]
