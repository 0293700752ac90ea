"""Recordings of any length, read in blocks as mono waveforms of one sample rate."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.problems import (
    LOUDEST,
    SHORTEST,
    SILENCE,
    check_duration,
    no_samples,
    not_finite,
    silent,
    too_loud,
)
from dcase_sweep.audio.reading import open_decoder

Block = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that can be read once, from its beginning to its end.

    Attributes:
        seconds: its length, s; None if the file does not specify it.
        blocks: its samples in blocks ``[sample]``. Iteration raises an `AudioProblem` if the recording is damaged,
            silent, not finite, or has another full scale than 1, in some cases only at its end.
    """

    seconds: float | None
    blocks: Iterator[Block]


@contextmanager
def open_recording(path: Path, *, sample_rate: int) -> Iterator[Recording]:
    """Open an audio file. Channels are averaged, and samples are resampled (soxr) to ``sample_rate`` (Hz).

    Raises:
        AudioProblem: for a file that is missing, unreadable, empty, truncated, of another type or not a recording.
    """
    with open_decoder(path) as decoder:
        frames, rate = decoder.frames, decoder.sample_rate
        yield Recording(None if frames is None else frames / rate, _prepare(decoder.blocks(), rate, sample_rate))


def recording_of(samples: Block, rate: int, *, sample_rate: int) -> Recording:
    """Return a mono waveform ``[sample]`` as a recording, like `open_recording` for a file."""
    return Recording(len(samples) / rate, _prepare([samples], rate, sample_rate))


def _prepare(blocks: Iterable[Block], rate: int, sample_rate: int) -> Iterator[Block]:
    return _resample(_check(blocks, rate), rate, sample_rate)


def _check(blocks: Iterable[Block], rate: int) -> Iterator[Block]:
    """Yield the blocks and check them like clips, except that parts of a recording may be silent."""
    frames, peak = 0, 0.0
    for block in blocks:
        if not len(block):
            continue
        loudest = max(float(block.max()), -float(block.min()))
        if not np.isfinite(loudest):
            raise not_finite(frames + int(np.argmin(np.isfinite(block))))
        if loudest > LOUDEST:
            raise too_loud(loudest)
        frames, peak = frames + len(block), max(peak, loudest)
        yield block
    if frames == 0:
        raise no_samples()
    check_duration(frames, rate, SHORTEST)
    if peak < SILENCE:
        raise silent()


def _resample(blocks: Iterator[Block], rate: int, sample_rate: int) -> Iterator[Block]:
    if rate == sample_rate:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(np.ascontiguousarray(block))
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
