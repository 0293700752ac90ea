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


def slaney_mel_edges(*, n_mels: int, f_min: float, f_max: float) -> NDArray[np.float64]:
    """Lower edge of the first band, centre of each, upper edge of the last on Slaney's scale, in Hz ``[mel + 2]``."""
    limits = slaney_hz_to_mel(np.array([f_min, f_max], dtype=np.float64))
    return slaney_mel_to_hz(np.linspace(limits[0], limits[1], n_mels + 2))


def htk_mel_edges(*, n_mels: int, f_min: float, f_max: float) -> NDArray[np.float64]:
    """The same on HTK's scale, 2595 log10(1 + f / 700)."""
    limits = 2595 * np.log10(1 + np.array([f_min, f_max]) / 700)
    edges: NDArray[np.float64] = 700 * (10 ** (np.linspace(limits[0], limits[1], n_mels + 2) / 2595) - 1)
    return edges


def slaney_mel_filters(*, sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float) -> NDArray[np.float32]:
    """Compute triangular filters ``[mel, bin]`` on Slaney's scale, scaled to unit area like librosa's default.

    Raises:
        ValueError: if a band contains no FFT bin, so that its energy would always be zero.
    """
    edges = slaney_mel_edges(n_mels=n_mels, f_min=f_min, f_max=f_max)
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
