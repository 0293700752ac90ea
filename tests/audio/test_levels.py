"""Measured levels of recordings with known levels."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from dcase_sweep.audio.levels import measure_levels
from dcase_sweep.audio.reading import AudioProblem

RATE = 16_000


def write(path: Path, samples: "np.ndarray", subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, RATE, subtype=subtype)
    return path


def test_a_sine_has_its_level(tmp_path: Path) -> None:
    sine = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(5 * RATE) / RATE)

    levels = measure_levels(write(tmp_path / "sine.wav", sine))

    assert levels.seconds == 5
    assert (levels.sample_rate, levels.channels) == (RATE, 1)
    assert levels.decibel == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)
    assert levels.peak == pytest.approx(0.5, abs=1e-3)
    assert (levels.clipped, levels.silent) == (0, 0)


def test_clipping_and_silence_are_shares_of_the_recording(tmp_path: Path) -> None:
    sine = np.clip(2 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE), -1, 1)

    levels = measure_levels(write(tmp_path / "half.wav", np.concatenate([sine, np.zeros(RATE)])))

    assert levels.clipped == pytest.approx(
        2 / 3 / 2, abs=0.01
    )  # of a sine of twice full scale, two thirds are above it
    assert levels.silent == pytest.approx(0.5, abs=0.01)


def test_a_constant_offset_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    offset = np.full(RATE, 0.3)
    offset[: RATE // 2] += 0.01 * np.sin(np.arange(RATE // 2))
    soundfile.write(path, offset, RATE, subtype="FLOAT")

    assert measure_levels(path).silent == pytest.approx(0.5, abs=0.01)


def test_a_single_loud_sample_is_not_clipping(tmp_path: Path) -> None:
    samples = np.full(RATE, 0.1)
    samples[[10, 500, 501]] = 1.0

    assert measure_levels(write(tmp_path / "click.wav", samples)).clipped == 0


@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT"])
def test_blocks_make_no_difference(tmp_path: Path, subtype: str) -> None:
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, 200_001)

    levels = measure_levels(write(tmp_path / "long.wav", samples, subtype))

    assert levels.seconds == pytest.approx(200_001 / RATE)
    assert levels.rms == pytest.approx(float(np.sqrt((samples**2).mean())), rel=1e-4)


def test_samples_that_are_not_numbers_are_a_problem(tmp_path: Path) -> None:
    samples = np.zeros(RATE)
    samples[7] = np.nan

    with pytest.raises(AudioProblem, match="sample 7 is not a finite number"):
        measure_levels(write(tmp_path / "nan.wav", samples, "FLOAT"))


def test_channels_are_measured_one_by_one(tmp_path: Path) -> None:
    left = np.full(RATE, 0.5)

    levels = measure_levels(write(tmp_path / "stereo.wav", np.stack([left, -left], axis=1)))

    assert levels.channels == 2
    assert levels.rms == pytest.approx(0.5, abs=1e-3)  # the mean of the channels is silent


def test_recordings_that_training_rejects_are_rejected(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.wav", np.full(RATE, 0.1))
    (tmp_path / "cut.wav").write_bytes(whole.read_bytes()[:-1000])

    with pytest.raises(AudioProblem, match=r"truncated|expected"):
        measure_levels(tmp_path / "cut.wav")
    with pytest.raises(AudioProblem, match=r"samples of up to 3e\+04; expected full scale at 1\.0"):
        measure_levels(write(tmp_path / "loud.wav", np.full(RATE, 30_000.0), "FLOAT"))
    with pytest.raises(AudioProblem, match="at least one frame of analysis"):
        measure_levels(write(tmp_path / "short.wav", np.full(100, 0.1)))


def test_a_recorder_that_was_switched_off_leaves_a_length_of_0(tmp_path: Path) -> None:
    content = bytearray(write(tmp_path / "whole.wav", np.full(RATE, 0.1)).read_bytes())
    content[40:44] = bytes(4)
    (tmp_path / "open.wav").write_bytes(content)

    assert measure_levels(tmp_path / "open.wav").seconds == 1
