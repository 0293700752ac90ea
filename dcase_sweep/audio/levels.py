"""Levels of a recording of any length, measured in blocks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.problems import LOUDEST, SHORTEST, check_duration, no_samples, not_finite, too_loud
from dcase_sweep.audio.reading import open_decoder

#: Samples of this level count as clipped where so many of them follow each other; full scale is 1.
CLIPPED, RUN = 0.999, 3
#: Length (s) of the windows that are silent or not, and the level (dB of full scale) below which they are.
WINDOW, QUIET = 0.1, -70.0


@dataclass(frozen=True, slots=True)
class Levels:
    """The measurements of a recording.

    Attributes:
        seconds: length.
        sample_rate: Hz.
        channels: number in the file.
        peak: largest absolute value of the samples; full scale is 1.
        rms: root of the mean square of the samples of all channels.
        clipped: fraction of the samples at full scale, in runs of at least `RUN`.
        silent: fraction of the windows of `WINDOW` s below `QUIET` dB. A constant offset does not count as sound.
    """

    seconds: float
    sample_rate: int
    channels: int
    peak: float
    rms: float
    clipped: float
    silent: float

    @property
    def decibel(self) -> float:
        """The level in dB of full scale; -inf for digital silence."""
        return float(20 * np.log10(self.rms)) if self.rms else -np.inf


def measure_levels(path: Path) -> Levels:
    """Read a recording from beginning to end and measure it.

    Raises:
        AudioProblem: as `reading.read_waveform` for a clip, but for silence, which is measured.
    """
    with open_decoder(path) as decoder:
        return _measure(decoder.channel_blocks(), decoder.sample_rate, decoder.channels)


def _measure(blocks: Iterator[NDArray[np.float32]], sample_rate: int, channels: int) -> Levels:
    """Measure blocks of samples ``[frame, channel]``."""
    frames = clipped = quiet = windows = 0
    peak = energy = 0.0
    size = max(1, round(WINDOW * sample_rate))
    rest = np.zeros(0, dtype=np.float32)
    for block in blocks:
        loudest = float(np.abs(block).max())
        if not np.isfinite(loudest):
            raise not_finite(frames + int(np.argmin(np.isfinite(block).all(axis=1))))
        if loudest > LOUDEST:
            raise too_loud(loudest)
        frames += len(block)
        peak = max(peak, loudest)
        energy += float(np.square(block, dtype=np.float64).sum()) / block.shape[1]
        clipped += sum(_count_clipped(channel) for channel in block.T) if loudest >= CLIPPED else 0
        rest = np.concatenate([rest, block.mean(axis=1)])
        whole = len(rest) // size
        levels = rest[: whole * size].reshape(whole, size).var(axis=1, dtype=np.float64)
        quiet += int((levels < 10 ** (QUIET / 10)).sum())
        windows += whole
        rest = rest[whole * size :]
    if not frames:
        raise no_samples()
    check_duration(frames, sample_rate, SHORTEST)
    return Levels(
        frames / sample_rate,
        sample_rate,
        channels,
        peak,
        float(np.sqrt(energy / frames)),
        clipped / (frames * channels),
        quiet / windows if windows else float(peak < 10 ** (QUIET / 20)),
    )


def _count_clipped(block: NDArray[np.float32]) -> int:
    """Count the samples at full scale in runs of at least `RUN`."""
    full = np.concatenate([[False], np.abs(block) >= CLIPPED, [False]])
    edges = np.flatnonzero(full[1:] != full[:-1])
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= RUN].sum())
