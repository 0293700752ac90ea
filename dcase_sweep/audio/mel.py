"""Mel filter banks in NumPy."""

import numpy as np
from numpy.typing import NDArray

# Slaney's Auditory Toolbox (1998): linear below 1 kHz, logarithmic above.
_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def slaney_mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert points on Slaney's mel scale to frequencies (Hz)."""
    logarithmic = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, _HZ_PER_MEL * mel, logarithmic)


def slaney_hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert frequencies (Hz) to points on Slaney's mel scale."""
    logarithmic = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _HZ_PER_MEL, logarithmic)


def slaney_mel_filters(*, sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float) -> NDArray[np.float32]:
    """Compute triangular filters ``[mel, bin]`` on Slaney's scale, scaled to unit area like librosa's default.

    Raises:
        ValueError: if a band contains no FFT bin, so that its energy would always be zero.
    """
    limits = slaney_hz_to_mel(np.array([f_min, f_max], dtype=np.float64))
    edges = slaney_mel_to_hz(np.linspace(limits[0], limits[1], n_mels + 2))
    bins = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)
    ramps = edges[:, None] - bins[None, :]
    widths = np.diff(edges)
    rising = -ramps[:-2] / widths[:-1, None]
    falling = ramps[2:] / widths[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    filters *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    empty = np.flatnonzero(filters.max(axis=1) == 0)
    if len(empty):
        raise ValueError(f"{n_mels} mel bands over an FFT of {n_fft}: band {empty[0]} holds no bin; use fewer bands")
    return filters.astype(np.float32)
