"""Reading of audio files as mono waveforms of one sample rate and length."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.containers import Length, after_id3, look_at_length
from dcase_sweep.audio.files import open_file
from dcase_sweep.audio.libsndfile import open_by_libsndfile
from dcase_sweep.audio.pcm24 import decode_pcm24, is_plain_pcm24
from dcase_sweep.audio.problems import (
    LOUDEST,
    SILENCE,
    AudioProblem,
    check_duration,
    no_samples,
    not_finite,
    silent,
    too_loud,
)
from dcase_sweep.audio.wav import WavHeader, read_wav_header

__all__ = [
    "AudioInfo",
    "AudioProblem",
    "Decoder",
    "Padding",
    "Waveform",
    "fit_waveform",
    "inspect_audio",
    "open_decoder",
    "read_waveform",
    "to_length",
]

Padding = Literal["repeat", "zeros"]
#: Bytes of the first read; the header seldom has more.
_HEAD = 4096
#: Samples that are decoded together where a recording is read in blocks.
_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """The properties of a recording."""

    sample_rate: int
    channels: int
    frames: int


@dataclass(frozen=True, slots=True)
class Waveform:
    """One mono clip at the requested sample rate and length."""

    samples: NDArray[np.float32]
    was_padded: bool = False
    was_cut: bool = False
    was_resampled: bool = False
    #: Length (s) of the recording in the file; a lower bound if the file does not give it.
    seconds: float = 0.0


class Decoder(Protocol):
    """A recording that is open. `read` and `blocks` average the channels, `channel_blocks` keeps them."""

    @property
    def sample_rate(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def frames(self) -> int | None: ...

    @property
    def is_within_one(self) -> bool: ...

    def count_frames(self) -> int: ...

    def read(self, frames: int) -> NDArray[np.float32]: ...

    def blocks(self) -> Iterator[NDArray[np.float32]]: ...

    def channel_blocks(self) -> Iterator[NDArray[np.float32]]: ...


@dataclass(frozen=True, slots=True)
class _Pcm24:
    """Decodes 24-bit mono WAV."""

    handle: FileIO
    header: WavHeader
    channels: int = 1
    is_within_one: bool = True

    @property
    def sample_rate(self) -> int:
        return self.header.format.sample_rate

    @property
    def frames(self) -> int:
        return self.header.data_length // 3

    def count_frames(self) -> int:
        return self.frames

    def read(self, frames: int) -> NDArray[np.float32]:
        samples = decode_pcm24(self.handle, self.header.data_offset, min(frames, self.frames))
        if samples is None:
            raise _truncated()
        return samples

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        for start in range(0, self.frames, _BLOCK):
            count = min(_BLOCK, self.frames - start)
            samples = decode_pcm24(self.handle, self.header.data_offset + 3 * start, count)
            if samples is None:
                raise _truncated()
            yield samples

    def channel_blocks(self) -> Iterator[NDArray[np.float32]]:
        return (block[:, None] for block in self.blocks())


def _truncated() -> AudioProblem:
    return AudioProblem("truncated while it was read; read it again when it is complete")


@contextmanager
def open_decoder(path: Path) -> Iterator[Decoder]:
    """Open a decoder for the file after checks of its header.

    Raises:
        AudioProblem: for a file that is missing, unreadable, empty, truncated, of another type or not a recording.
    """
    with open_file(path) as (handle, size):
        head = handle.read(_HEAD)
        start = after_id3(head)
        if start:
            handle.seek(start)
            head = handle.read(_HEAD)
        header = read_wav_header(head, handle, size, start)
        if header is not None:
            header.check()
            if header.data_length == 0:
                raise no_samples()
            if start == 0 and is_plain_pcm24(header, size):
                yield _Pcm24(handle, header)
                return
        length = Length() if header is not None else look_at_length(head, handle, size, start)
        with open_by_libsndfile(handle, header, length=length) as decoder:
            if decoder.frames == 0:
                raise no_samples()
            yield decoder


def _frames_to_read(seconds: float, sample_rate: int) -> int:
    """Return the number of frames to decode: those of the clip, and 10 ms more for the filter of the resampler."""
    return int(np.ceil((seconds + 0.01) * sample_rate))


def inspect_audio(path: Path) -> AudioInfo:
    """Read the properties of a recording from its header; samples are decoded only if it does not give the length.

    Raises:
        AudioProblem: for a file that is missing, unreadable, empty, truncated, of another type or not a recording.
    """
    with open_decoder(path) as decoder:
        return AudioInfo(decoder.sample_rate, decoder.channels, decoder.count_frames())


def to_length(samples: NDArray[np.float32], length: int, padding: Padding) -> NDArray[np.float32]:
    """Cut samples ``[sample]`` to a length, or repeat them or append silence."""
    if len(samples) > length:
        return samples[:length]
    return np.resize(samples, length) if padding == "repeat" else np.pad(samples, (0, length - len(samples)))


def _check_samples(samples: NDArray[np.float32], *, within_one: bool) -> None:
    """Refuse samples that are not finite, digital silence, or of another scale.

    If no sample can exceed full scale, the energy is checked first in one fast pass. Only clips with the energy of
    silence are searched further.
    """
    if within_one and float(np.dot(samples, samples)) > len(samples) * SILENCE**2:
        return
    peak = max(float(samples.max()), -float(samples.min()))
    if not np.isfinite(peak):
        raise not_finite(int(np.argmin(np.isfinite(samples))))
    if peak < SILENCE:
        raise silent()
    if peak > LOUDEST:
        raise too_loud(peak)


def read_waveform(path: Path, *, sample_rate: int, seconds: float, padding: Padding = "repeat") -> Waveform:
    """Read one file as ``[sample]`` float32: channels averaged, resampled (soxr), cut or padded to length.

    Full scale is 1. A short clip is repeated, or padded with silence (``zeros``) if a repetition would repeat events.

    Raises:
        AudioProblem: for a file that cannot be read, is empty, truncated, of another type, silent or shorter than a
            frame of analysis, contains NaN, infinity or values of another scale, or has a contradictory header.
    """
    with open_decoder(path) as decoder:
        rate, frames = decoder.sample_rate, decoder.frames
        samples = decoder.read(_frames_to_read(seconds, rate))
        within_one = decoder.is_within_one
    frames = len(samples) if frames is None else frames
    if frames == 0:
        raise no_samples()
    check_duration(frames, rate, seconds)
    _check_samples(samples, within_one=within_one)
    return _fit(samples, frames, rate, sample_rate=sample_rate, seconds=seconds, padding=padding)


def fit_waveform(
    samples: NDArray[np.float32], rate: int, *, sample_rate: int, seconds: float, padding: Padding = "repeat"
) -> Waveform:
    """Convert mono samples ``[sample]`` to the sample rate and length of a clip, like `read_waveform` for a file.

    Raises:
        AudioProblem: for samples that are silent, not finite, of another scale, or shorter than a frame of analysis.
    """
    check_duration(len(samples), rate, seconds)
    _check_samples(samples, within_one=False)
    return _fit(samples, len(samples), rate, sample_rate=sample_rate, seconds=seconds, padding=padding)


def _fit(
    samples: NDArray[np.float32], frames: int, rate: int, *, sample_rate: int, seconds: float, padding: Padding
) -> Waveform:
    if rate != sample_rate:
        import soxr

        samples = soxr.resample(samples, rate, sample_rate).astype(np.float32, copy=False)
    length, found = round(sample_rate * seconds), round(frames * sample_rate / rate)
    if len(samples) != length:
        # Resampling may give one sample too few or too many; this does not count as another length.
        samples = to_length(samples, length, padding)
    return Waveform(samples, found < length, found > length, rate != sample_rate, frames / rate)
