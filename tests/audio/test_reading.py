"""Reading of recordings in any format, and errors for unreadable ones."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from dcase_sweep.audio import libsndfile
from dcase_sweep.audio.reading import AudioProblem, inspect_audio, read_waveform


def noise(samples: int, channels: int = 1) -> np.ndarray:
    shape = (samples,) if channels == 1 else (samples, channels)
    return np.random.default_rng(1).uniform(-0.9, 0.9, shape)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT"])
@pytest.mark.parametrize("layout", ["WAV", "WAVEX"])
def test_samples_equal_those_of_libsndfile(tmp_path: Path, subtype: str, layout: str) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(4000), 8000, subtype=subtype, format=layout)
    expected, _ = soundfile.read(path, dtype="float32")

    waveform = read_waveform(path, sample_rate=8000, seconds=0.5)

    assert np.array_equal(waveform.samples, expected)
    assert not waveform.was_padded
    assert not waveform.was_cut


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_on_windows_libsndfile_reads_by_the_file_itself(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows the C library does not know Python's file descriptors."""
    path = tmp_path / "clip"
    soundfile.write(path, noise(80_000), 16_000, format=form)
    expected = read_waveform(path, sample_rate=16_000, seconds=4).samples
    monkeypatch.setattr(libsndfile, "sys", SimpleNamespace(platform="win32"))

    found = read_waveform(path, sample_rate=16_000, seconds=4).samples

    assert np.abs(expected).max() > 0.1
    assert np.array_equal(found, expected)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are listed on Linux")
def test_no_descriptor_is_left_open_or_closed_twice(tmp_path: Path) -> None:
    """Before 1.2.2 libsndfile closes the descriptor of a file that it cannot read, and another file may get it."""
    good, bad = tmp_path / "good.wav", tmp_path / "bad.wav"
    soundfile.write(good, noise(800), 8000)
    bad.write_text("no audio")
    before = os.listdir("/proc/self/fd")

    read_waveform(good, sample_rate=8000, seconds=0.1)
    with pytest.raises(AudioProblem, match="not audio that libsndfile can read"):
        read_waveform(bad, sample_rate=8000, seconds=0.1)

    assert os.listdir("/proc/self/fd") == before


def test_24_bit_extremes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    extremes = np.array([-(2**31), -(2**31) + 256, -256, 0, 256, 2**31 - 256], dtype=np.int32)
    soundfile.write(path, extremes, 8000, subtype="PCM_24")

    samples = read_waveform(path, sample_rate=8000, seconds=6 / 8000).samples

    assert samples.tolist() == [-1.0, -1 + 2**-23, -(2**-23), 0.0, 2**-23, 1 - 2**-23]


@pytest.mark.parametrize("text", [b"hello", 5_000 * b"long "], ids=["short", "longer than what is read at first"])
def test_24_bit_wav_with_chunks_before_the_samples(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(800), 8000, subtype="PCM_24")
    expected, _ = soundfile.read(path, dtype="float32")
    plain = path.read_bytes()
    path.write_bytes(
        plain[:12] + b"LIST" + len(text).to_bytes(4, "little") + text + b"\0" * (len(text) % 2) + plain[12:]
    )

    assert np.array_equal(read_waveform(path, sample_rate=8000, seconds=0.1).samples, expected)


def test_stereo_is_averaged(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    both = noise(800, channels=2)
    soundfile.write(path, both, 8000, subtype="PCM_24")

    samples = read_waveform(path, sample_rate=8000, seconds=0.1).samples

    assert np.allclose(samples, both.mean(axis=1), atol=1e-6)


def test_another_rate_is_resampled(tmp_path: Path) -> None:
    path = tmp_path / "tone.flac"
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000), 48_000)

    waveform = read_waveform(path, sample_rate=44_100, seconds=1.0)

    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    assert waveform.was_resampled
    assert not waveform.was_padded
    assert np.abs(waveform.samples - expected)[200:-200].max() < 1e-3


def test_a_short_clip_is_repeated_and_a_long_one_cut(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(600), 8000, subtype="FLOAT")

    longer = read_waveform(path, sample_rate=8000, seconds=0.1)
    shorter = read_waveform(path, sample_rate=8000, seconds=0.05)

    assert longer.was_padded
    assert np.array_equal(longer.samples[600:], longer.samples[:200])
    assert shorter.was_cut
    assert np.array_equal(shorter.samples, longer.samples[:400])


def test_a_short_clip_can_be_followed_by_silence(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(600), 8000, subtype="FLOAT")

    samples = read_waveform(path, sample_rate=8000, seconds=0.1, padding="zeros").samples

    assert samples[:600].all()
    assert not samples[600:].any()


def damaged(path: Path, how: str) -> None:
    if how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("this is no audio")
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:-500])
    elif how == "truncated flac":
        soundfile.write(path, noise(80_000), 8000, format="FLAC")
        path.write_bytes(path.read_bytes()[:-20_000])
    elif how == "no samples":
        soundfile.write(path, np.zeros(0), 8000)
    elif how in ("two bytes of samples", "no rate"):
        content = bytearray(path.read_bytes())
        at, value = (content.index(b"data") + 4, 2) if how == "two bytes of samples" else (24, 0)
        content[at : at + 4] = value.to_bytes(4, "little")
        path.write_bytes(content)
    elif how == "silent":
        soundfile.write(path, np.zeros(800), 8000)
    elif how == "nan":
        samples = noise(800)
        samples[17] = np.nan
        soundfile.write(path, samples, 8000, subtype="FLOAT")
    elif how == "missing":
        path.unlink()
    elif how == "folder":
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing", "no such file; expected an audio file"),
        ("folder", "not a file"),
        ("empty", "0 bytes"),
        ("text", "not audio"),
        ("truncated", "truncated: 500 of 2400 bytes"),
        ("no samples", "no samples"),
        ("two bytes of samples", "2 bytes of samples; expected a multiple of a frame's 3 bytes"),
        ("no rate", "a sample rate of 0 Hz"),
    ],
)
def test_problems_of_the_header_are_reported(tmp_path: Path, how: str, says: str) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(800), 8000, subtype="PCM_24")
    damaged(path, how)

    with pytest.raises(AudioProblem, match=says):
        inspect_audio(path)


@pytest.mark.parametrize(
    ("how", "says"),
    [("silent", "silent"), ("nan", "sample 17 is not a finite number"), ("truncated flac", "decode|truncated")],
)
def test_problems_of_the_samples_are_reported(tmp_path: Path, how: str, says: str) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(800), 8000, subtype="PCM_24")
    damaged(path, how)

    with pytest.raises(AudioProblem, match=says):
        read_waveform(path, sample_rate=8000, seconds=10.0)


@pytest.mark.parametrize("look", [inspect_audio, lambda path: read_waveform(path, sample_rate=8000, seconds=0.1)])
def test_a_file_without_permission_to_read_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[[Path], object]
) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(800), 8000, subtype="PCM_24")

    def refuse(self: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)

    with pytest.raises(AudioProblem, match=r"cannot be read \(Permission denied\)"):
        look(path)
