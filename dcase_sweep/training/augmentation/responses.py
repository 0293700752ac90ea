"""Augmentation with impulse responses of recording devices."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcase_sweep.audio.problems import AudioProblem
from dcase_sweep.audio.reading import open_decoder
from dcase_sweep.training.augmentation.ranges import check_positive, check_range
from dcase_sweep.training.clip_threads import map_clips

#: Samples of a drawn response, and the lowest frequency at which a gain of its own is drawn.
_TAPS, _LOWEST_HZ = 512, 50.0
#: Samples of a response before its peak that are kept.
_BEFORE_PEAK = 32
#: A folder with more files is not one of responses of devices.
_MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class DeviceResponse:
    """Filters each clip, with ``probability``, with the impulse response of a recording device.

    Impulse response augmentation (Morocutti et al., "Device-robust acoustic scene classification via impulse response
    augmentation", EUSIPCO 2023). The responses are those of a folder, or are drawn for each clip: ``points`` gains of
    up to ±``decibels`` at frequencies from 50 Hz to half the sample rate, between which they are interpolated over the
    logarithm of the frequency. Every response has the energy 1, and no response delays the sound.

    Args:
        sample_rate: sample rate in Hz; that of the task unless it is set.
        probability: probability that a clip is filtered.
        folder: folder with WAV files of impulse responses; None = drawn responses.
        seconds: length of a response from a folder after its peak, s.
        decibels: largest gain of a drawn response.
        points: number of gains of a drawn response.

    Raises:
        ValueError: for a value outside its range, and for a folder without responses or with a file that is none.
    """

    domain: ClassVar[str] = "waveforms"
    sample_rate: int
    probability: float = 0.5
    folder: str | None = None
    seconds: float = 0.1
    decibels: float = 6.0
    points: int = 8
    _responses: NDArray[np.float32] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        check_range("probability", self.probability, 0, 1)
        check_positive("seconds", self.seconds)
        check_range("seconds", self.seconds, 0, 10)
        check_range("decibels", self.decibels, 0)
        check_range("points", self.points, 2, 100)
        if self.folder is not None:
            object.__setattr__(self, "_responses", read_responses(self.folder, self.sample_rate, self.seconds))

    def __call__(self, features: Tensor, targets: Any, rng: np.random.Generator) -> tuple[Tensor, Any]:
        rows = np.flatnonzero(rng.random(len(features)) < self.probability)
        if not len(rows):
            return features, targets
        if self._responses is None:
            responses, delay = self._draw(len(rows), rng), _TAPS // 2
        else:
            responses, delay = self._responses[rng.integers(0, len(self._responses), len(rows))], _BEFORE_PEAK
        index = torch.from_numpy(rows).to(features.device, non_blocking=True)
        filters = torch.from_numpy(responses).to(features.device, non_blocking=True)
        chosen = features[index]
        if features.device.type == "cpu":
            parts = range(len(rows))
            filtered = torch.cat(map_clips(lambda n: convolve(chosen[n : n + 1], filters[n : n + 1], delay), parts))
        else:
            filtered = convolve(chosen, filters, delay)
        return features.index_copy(0, index, filtered), targets

    def _draw(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw responses ``[response, sample]`` whose peak is in their middle."""
        gains = rng.uniform(-self.decibels, self.decibels, (count, self.points))
        bins = np.fft.rfftfreq(_TAPS, 1 / self.sample_rate)
        knots = np.geomspace(min(_LOWEST_HZ, self.sample_rate / 4), self.sample_rate / 2, self.points)
        at = np.log(np.maximum(bins, knots[0]))
        levels = np.stack([np.interp(at, np.log(knots), each) for each in gains])
        centred = np.roll(np.fft.irfft(10 ** (levels / 20), n=_TAPS), _TAPS // 2, axis=1) * np.hanning(_TAPS + 1)[:-1]
        return _normalise(centred)


def read_responses(folder: str, sample_rate: int, seconds: float) -> NDArray[np.float32]:
    """Read the impulse responses in a folder ``[response, sample]``; the peak of each is at the same sample.

    Args:
        folder: the folder; its WAV files are read, not those of folders in it.
        sample_rate: sample rate in Hz, to which responses are resampled.
        seconds: length after the peak, s.

    Raises:
        ValueError: in one line, for a folder without WAV files or with one that is no impulse response.
    """
    where = Path(folder).expanduser()
    try:
        paths = sorted(path for path in where.iterdir() if path.suffix.lower() == ".wav")
    except OSError as error:
        raise ValueError(f"folder={folder}: {error.strerror}; expected a folder with WAV files") from None
    if not 0 < len(paths) <= _MOST_FILES:
        found = "no WAV file" if not paths else f"{len(paths):,} WAV files"
        raise ValueError(f"folder={folder}: {found}; expected impulse responses of devices, 1 to {_MOST_FILES:,}")
    length = _BEFORE_PEAK + max(1, round(seconds * sample_rate))
    return _normalise(np.stack([_read_response(path, sample_rate, length) for path in paths]))


def _read_response(path: Path, sample_rate: int, length: int) -> NDArray[np.float32]:
    """Read one response, resampled and cut or padded to a length."""
    try:
        with open_decoder(path) as decoder:
            rate = decoder.sample_rate
            samples = decoder.read(round(2 * length * rate / sample_rate) + rate)
    except AudioProblem as problem:
        raise ValueError(f"folder={path.parent}: {path.name}: {problem}") from None
    if rate != sample_rate and len(samples):
        import soxr

        samples = soxr.resample(samples, rate, sample_rate).astype(np.float32, copy=False)
    if not len(samples) or not np.isfinite(samples).all() or not samples.any():
        raise ValueError(f"folder={path.parent}: {path.name}: silent or not finite; expected an impulse response")
    peak = int(np.argmax(np.abs(samples)))
    padded = np.pad(samples, (_BEFORE_PEAK, length))
    return padded[peak : peak + length].astype(np.float32)


def _normalise(responses: NDArray[Any]) -> NDArray[np.float32]:
    """Scale responses ``[response, sample]`` to the energy 1, so that they do not change the level of noise."""
    energy = np.square(responses, dtype=np.float64).sum(axis=1, keepdims=True)
    return (responses / np.sqrt(energy)).astype(np.float32)


def convolve(waveforms: Tensor, responses: Tensor, delay: int) -> Tensor:
    """Convolve each waveform ``[batch, sample]`` with its response ``[batch, tap]``, and remove a delay in samples."""
    from scipy.fft import next_fast_len

    samples = waveforms.shape[1]
    size = next_fast_len(samples + responses.shape[1] - 1, real=True)
    spectra = torch.fft.rfft(waveforms, size).mul_(torch.fft.rfft(responses, size))
    return torch.fft.irfft(spectra, size)[:, delay : delay + samples]
