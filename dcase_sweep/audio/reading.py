"""Audio files to mono waveforms of one rate and one length."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.wav import decode_pcm24, wav_chunks

Padding = Literal["repeat", "zeros"]
#: A clip whose loudest sample lies under this is digital silence (-120 dB of full scale).
SILENCE = 1e-6


class AudioProblem(Exception):
    """What is wrong with one file: found, expected, what to do. The caller adds the file's name."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file's header says."""

    sample_rate: int
    channels: int
    frames: int
    #: Where the samples begin, for the one layout that is read without a decoder: 24-bit mono WAV.
    pcm24_offset: int | None = None


@dataclass(frozen=True, slots=True)
class Waveform:
    """One clip, mono, at the wanted rate and length."""

    samples: NDArray[np.float32]
    was_padded: bool = False
    was_cut: bool = False
    was_resampled: bool = False


@contextmanager
def _opened(path: Path) -> Iterator[tuple[FileIO, int]]:
    """The file and its size in bytes; what the system refuses becomes a problem of the file."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise AudioProblem("not a file; expected audio")
        if status.st_size == 0:
            raise AudioProblem("0 bytes; expected audio; download it again")
        # Each small call to the system gives Python's lock away, so there are few: no buffer, one file, one header.
        with path.open("rb", buffering=0) as handle:
            yield handle, status.st_size
    except (FileNotFoundError, NotADirectoryError):
        raise AudioProblem("listed but not on disk; restore the file or remove its row") from None
    except OSError as error:
        reason = error.strerror or error
        raise AudioProblem(f"cannot be read ({reason}); check the file's permissions and its disk") from None


def inspect_audio(path: Path) -> AudioInfo:
    """What the header says, without decoding the samples.

    Raises:
        AudioProblem: for a missing, unreadable, empty, truncated or foreign file.
    """
    with _opened(path) as (handle, size):
        return _inspect(path, handle, size)


def _inspect(path: Path, handle: FileIO, size: int) -> AudioInfo:
    wav = wav_chunks(handle, size)
    missing = wav.missing_bytes(size) if wav else 0
    if wav and missing:
        raise AudioProblem(f"truncated: {missing} of {wav.data_bytes} bytes of samples missing; download it again")
    if wav and wav.is_mono_pcm24:
        info = AudioInfo(wav.sample_rate, 1, wav.data_bytes // 3, wav.data_offset)
    else:
        info = _inspect_by_libsndfile(path)
    if info.frames == 0:
        raise AudioProblem("no samples after the header; download it again")
    if info.sample_rate == 0:
        raise AudioProblem("a sample rate of 0 Hz; expected audio; download it again")
    return info


def _inspect_by_libsndfile(path: Path) -> AudioInfo:
    import soundfile

    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, RuntimeError):
        raise AudioProblem("not audio that libsndfile can read; expected WAV, FLAC or OGG") from None
    return AudioInfo(info.samplerate, info.channels, info.frames)


def _decode(path: Path, handle: FileIO, info: AudioInfo, frames: int) -> NDArray[np.float32]:
    """The first samples ``[sample]`` of the file, channels averaged."""
    if info.pcm24_offset is None:
        return _decode_by_libsndfile(path, frames)
    samples = decode_pcm24(handle, info.pcm24_offset, frames)
    if samples is None:
        raise AudioProblem("truncated while it was read; expected it to stay as it is")
    return samples


def _decode_by_libsndfile(path: Path, frames: int) -> NDArray[np.float32]:
    import soundfile

    try:
        samples, _ = soundfile.read(str(path), frames=frames, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise AudioProblem(f"cannot be decoded ({error}); download it again") from None
    if len(samples) < frames:
        raise AudioProblem(f"truncated: {len(samples)} of {frames} samples could be decoded; download it again")
    mono: NDArray[np.float32] = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
    return mono


def _to_length(samples: NDArray[np.float32], length: int, padding: Padding) -> NDArray[np.float32]:
    if len(samples) > length:
        return samples[:length]
    return np.resize(samples, length) if padding == "repeat" else np.pad(samples, (0, length - len(samples)))


def _refuse_no_sound(samples: NDArray[np.float32]) -> None:
    """Refuse what is not finite or digital silence.

    The energy is one fast pass: a clip with more than silence's can hold nothing else, so only others are searched.
    """
    energy = float(np.dot(samples, samples))
    if np.isfinite(energy) and energy > len(samples) * SILENCE**2:
        return
    peak = max(float(samples.max()), -float(samples.min()))
    if not np.isfinite(peak):
        raise AudioProblem(f"sample {int(np.argmin(np.isfinite(samples)))} is not a finite number; expected audio")
    if peak < SILENCE:
        raise AudioProblem("silent from beginning to end; expected a recording")


def read_waveform(path: Path, *, sample_rate: int, seconds: float, padding: Padding = "repeat") -> Waveform:
    """One file as ``[sample]`` float32 in [-1, 1]: channels averaged, resampled (soxr), cut or padded to length.

    A short clip is repeated, or followed by silence (``zeros``), where a repetition would play events a second time.

    Raises:
        AudioProblem: for a file that cannot be read, is empty, truncated, foreign or silent, or holds NaN or infinity.
    """
    with _opened(path) as (handle, size):
        info = _inspect(path, handle, size)
        # What lies behind the clip's end is never decoded; a hundredth of a second more serves the resampler's filter.
        samples = _decode(path, handle, info, min(info.frames, int(np.ceil((seconds + 0.01) * info.sample_rate))))
    _refuse_no_sound(samples)
    if info.sample_rate != sample_rate:
        import soxr

        samples = soxr.resample(samples, info.sample_rate, sample_rate).astype(np.float32, copy=False)
    length, found = round(sample_rate * seconds), round(info.frames * sample_rate / info.sample_rate)
    if len(samples) != length:
        # Resampling may leave one sample too few or too many; that is not a clip of another length.
        samples = _to_length(samples, length, padding)
    return Waveform(samples, found < length, found > length, info.sample_rate != sample_rate)
