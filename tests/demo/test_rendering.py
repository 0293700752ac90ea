"""Waveforms rendered from power maps: levels, pitches and times."""

import numpy as np
import pytest
import scipy.signal

from dcase_sweep.demo.rendering import Grid, harmonic_tone, shape, white_noise

GRID = Grid(samples=5 * 44_100, sample_rate=44_100)


def test_white_noise_through_a_flat_map_keeps_one_unit_of_power_per_hz() -> None:
    noise = white_noise(GRID, np.random.default_rng(0))
    shaped = shape(GRID, [(noise, np.full((GRID.frames, len(GRID.bands)), 4.0, np.float32))])

    frequency, density = scipy.signal.welch(shaped, GRID.sample_rate, nperseg=4096)
    inside = (frequency > 300) & (frequency < 18_000)
    assert shaped.shape == (GRID.samples,)
    assert density[inside].mean() == pytest.approx(4.0, rel=0.03)


def test_power_appears_at_the_time_and_frequency_of_the_map() -> None:
    power = np.zeros((GRID.frames, len(GRID.bands)), np.float32)
    power[np.abs(GRID.times - 2.0) < 0.1, np.abs(GRID.bands - 3_000).argmin()] = 1.0
    shaped = shape(GRID, [(white_noise(GRID, np.random.default_rng(0)), power)])

    when = np.arange(GRID.samples) / GRID.sample_rate
    assert np.average(when, weights=shaped**2) == pytest.approx(2.0, abs=0.02)
    frequency, density = scipy.signal.welch(shaped, GRID.sample_rate, nperseg=4096)
    assert np.average(frequency, weights=density) == pytest.approx(3_000, rel=0.1)


def test_harmonic_tone_has_its_pitch_and_leaves_out_what_would_alias() -> None:
    tone = harmonic_tone(8_000, np.full(8_000, 1_500.0, np.float32), np.ones(5, np.float32))

    spectrum = np.abs(np.fft.rfft(tone))
    assert np.flatnonzero(spectrum > 0.01 * spectrum.max()).tolist() == [1_500, 3_000]
