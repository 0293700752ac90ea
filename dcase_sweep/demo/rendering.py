"""Rendering of waveforms from power over time and frequency."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

#: Samples or curves; waveforms and maps that are passed on are float32.
Signal = NDArray[np.floating[Any]]

#: Length of an analysis frame, s; half of it is the time resolution of all noise-like textures.
FRAME_SECONDS = 0.023
LOWEST_BAND_HZ, HIGHEST_BAND_HZ, BANDS = 40.0, 20_000.0, 48
WAVETABLE_SIZE = 4096


@dataclass(frozen=True)
class Grid:
    """The time frames and frequency bands of the power maps of textures.

    Power maps are [frame, band], power per Hz; frame k is centred at k * hop samples, bands are spaced evenly in
    log frequency.
    """

    samples: int
    sample_rate: int

    @cached_property
    def hop(self) -> int:
        return 2 ** round(np.log2(FRAME_SECONDS * self.sample_rate / 2))

    @cached_property
    def frames(self) -> int:
        return -(-self.samples // self.hop) + 1

    @property
    def seconds(self) -> float:
        return self.samples / self.sample_rate

    @property
    def frame_rate(self) -> float:
        return self.sample_rate / self.hop

    @cached_property
    def times(self) -> Signal:
        """Seconds, [frame]."""
        return (np.arange(self.frames) / self.frame_rate).astype(np.float32)

    @cached_property
    def bands(self) -> Signal:
        """Centre frequencies in Hz, [band]."""
        return np.geomspace(LOWEST_BAND_HZ, HIGHEST_BAND_HZ, BANDS).astype(np.float32)

    @cached_property
    def bandwidths(self) -> Signal:
        """Width of each band in Hz, [band]; 0 above the Nyquist frequency."""
        return np.where(self.bands < self.sample_rate / 2, np.gradient(self.bands), 0).astype(np.float32)

    def sample_curve(self, frame_curve: Signal) -> Signal:
        """Interpolate a curve over frames to samples."""
        ramp = np.arange(self.hop, dtype=np.float32) / self.hop
        begin, step = frame_curve[:-1, None].astype(np.float32), np.diff(frame_curve)[:, None].astype(np.float32)
        return (begin + step * ramp).reshape(-1)[: self.samples]


@lru_cache(maxsize=8)
def _bin_weights(hop: int, sample_rate: int) -> tuple[NDArray[np.intp], Signal]:
    """For every FFT bin, the band below it and the weight of the band above it."""
    frequency = np.arange(hop + 1) * sample_rate / (2 * hop)
    position = np.log(np.maximum(frequency, LOWEST_BAND_HZ) / LOWEST_BAND_HZ)
    position *= (BANDS - 1) / np.log(HIGHEST_BAND_HZ / LOWEST_BAND_HZ)
    below = np.minimum(position.astype(np.intp), BANDS - 2)
    return below, np.minimum(position - below, 1).astype(np.float32)


def _gains(grid: Grid, power: Signal) -> Signal:
    """Amplitude gain of every FFT bin, [frame, bin], from a power map [frame, band]."""
    below, weight = _bin_weights(grid.hop, grid.sample_rate)
    gains = power[:, below]
    gains += weight * np.diff(power, axis=1)[:, below]
    gains[:, 0] = 0
    return np.sqrt(gains, out=gains)


def shape(grid: Grid, excitations: Sequence[tuple[Signal, Signal]]) -> Signal:
    """Sum excitations (waveform, power map), each filtered over time with its map, [sample].

    An excitation of unit power spectral density (white noise of variance `sample_rate / 2`) gets exactly the power of
    its map. Uses a half-overlapping short-time Fourier transform with sine windows.
    """
    hop = grid.hop
    window = np.sin(np.pi * (np.arange(2 * hop) + 0.5) / (2 * hop)).astype(np.float32)
    spectrum = np.zeros((grid.frames, hop + 1), np.complex64)
    for waveform, power in excitations:
        padded = np.zeros((grid.frames + 1) * hop, np.float32)
        padded[hop : hop + len(waveform)] = waveform[: grid.frames * hop]
        framed = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop] * window
        spectrum += scipy.fft.rfft(framed) * _gains(grid, power)
    blocks = scipy.fft.irfft(spectrum, overwrite_x=True) * window
    out = np.zeros((grid.frames + 1, hop), np.float32)
    out[:-1] += blocks[:, :hop]
    out[1:] += blocks[:, hop:]
    return out.reshape(-1)[hop : hop + grid.samples]


def white_noise(grid: Grid, rng: np.random.Generator) -> Signal:
    """Gaussian noise with a power spectral density of one per Hz, [sample]."""
    return rng.standard_normal(grid.samples, np.float32) * np.float32(np.sqrt(grid.sample_rate / 2))


def harmonic_tone(sample_rate: int, frequency: Signal, amplitudes: Signal, start: float = 0.0) -> Signal:
    """A harmonic tone with the fundamental `frequency` (Hz, [sample]) and the `amplitudes` of its harmonics from the
    first.

    Harmonics that would exceed the Nyquist frequency at the highest pitch are omitted. `start` is the initial phase in
    cycles. The cost is one table look-up per sample, independent of the number of harmonics.
    """
    audible = amplitudes[: max(1, int(sample_rate / 2 / max(float(frequency.max()), 1.0)))]
    numbers = np.arange(1, len(audible) + 1)
    spectrum = np.zeros(WAVETABLE_SIZE // 2 + 1, np.complex128)
    # Schroeder phases keep the crest factor low; harmonics in phase would produce clicks.
    spectrum[1 : len(audible) + 1] = audible * np.exp(-1j * np.pi * numbers * (numbers - 1) / len(audible))
    table = np.fft.irfft(spectrum, norm="forward").astype(np.float32)
    cycles = np.cumsum(frequency, dtype=np.float64) / sample_rate + start
    return table[(cycles * WAVETABLE_SIZE).astype(np.int64) & (WAVETABLE_SIZE - 1)]
