"""Recordings read in blocks."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from dcase_sweep.audio.problems import AudioProblem
from dcase_sweep.audio.reading import read_waveform
from dcase_sweep.audio.recordings import open_recording, recording_of
from tests.audio.wav_files import RATE, noise, pcm, wav

LENGTH = 200_000  # samples, of three blocks and a part


def read(path: Path, sample_rate: int = RATE) -> tuple[np.ndarray, list[int], float | None]:
    with open_recording(path, sample_rate=sample_rate) as recording:
        blocks = list(recording.blocks)
        return np.concatenate(blocks), [len(block) for block in blocks], recording.seconds


@pytest.mark.parametrize(
    ("suffix", "subtype", "channels"),
    [
        (".wav", "PCM_24", 1),
        (".wav", "PCM_16", 2),
        (".wav", "FLOAT", 5),
        (".flac", "PCM_24", 2),
        (".aiff", "PCM_16", 1),
        (".w64", "PCM_24", 1),
        (".ogg", "VORBIS", 1),
        (".mp3", "MPEG_LAYER_III", 1),
    ],
)
def test_the_samples_of_any_format_are_those_of_the_whole_file(
    tmp_path: Path, suffix: str, subtype: str, channels: int
) -> None:
    path = tmp_path / f"long{suffix}"
    rate = 48_000 if suffix == ".mp3" else RATE
    soundfile.write(
        path,
        np.stack([noise(LENGTH, 0.1 + 0.02 * channel) for channel in range(channels)], axis=1),
        rate,
        subtype=subtype,
    )

    samples, sizes, seconds = read(path, rate)

    whole = soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1)
    assert np.allclose(samples, whole, atol=1e-6)
    assert max(sizes) <= 65_536
    assert seconds == pytest.approx(len(whole) / rate, abs=0.1)


def test_samples_are_those_that_a_clip_is_read_with(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(wav(pcm(noise(LENGTH), 24, 3), bits=24))

    clip = read_waveform(path, sample_rate=RATE, seconds=LENGTH / RATE)

    assert np.array_equal(read(path)[0], clip.samples)


@pytest.mark.parametrize("rate", [44_100, 16_000, 11_025])
def test_resampling_in_blocks_is_resampling_at_once(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(LENGTH), 32_000, subtype="FLOAT")

    samples, _, seconds = read(path, rate)

    at_once = soxr.resample(noise(LENGTH), 32_000, rate)
    assert abs(len(samples) - len(at_once)) <= 1
    shared = min(len(samples), len(at_once))
    assert np.abs(samples[:shared] - at_once[:shared]).max() < 1e-4
    assert seconds == LENGTH / 32_000


def test_a_wav_without_a_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "stream.wav"
    path.write_bytes(wav(pcm(noise(LENGTH), 16, 2), bits=16, data_length=0, riff_length=0))

    samples, sizes, seconds = read(path)

    assert np.abs(samples - noise(LENGTH)).max() < 2**-14
    assert max(sizes) <= 65_536
    assert seconds == LENGTH / RATE


def test_silence_within_a_recording_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.concatenate([noise(20_000), np.zeros(150_000)]), RATE)

    assert len(read(path)[0]) == 170_000


@pytest.mark.parametrize(
    ("samples", "line"),
    [
        (np.zeros(150_000), "silent from beginning to end"),
        (np.append(noise(150_000), np.nan), "sample 150000 is not a finite number"),
        (np.append(noise(150_000), 20.0), "samples of up to 20; expected full scale at 1"),
        (noise(100), r"100 samples at 8000 Hz \(12\.5 ms\)"),
    ],
    ids=["silent", "NaN", "too loud", "too short"],
)
def test_recordings_that_cannot_be_used_are_reported_at_the_sample(
    tmp_path: Path, samples: np.ndarray, line: str
) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, samples, RATE, subtype="FLOAT")

    with pytest.raises(AudioProblem, match=line):
        read(path)
    with pytest.raises(AudioProblem, match=line):
        list(recording_of(samples.astype(np.float32), RATE, sample_rate=RATE).blocks)


def test_a_recording_that_is_cut_off_while_it_is_read_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(wav(pcm(noise(LENGTH), 24, 3), bits=24))

    with open_recording(path, sample_rate=RATE) as recording:
        next(recording.blocks)
        with path.open("r+b") as handle:
            handle.truncate(300_000)
        with pytest.raises(AudioProblem, match="truncated while it was read"):
            list(recording.blocks)
