"""Recordings that cannot be used are rejected with the reason."""

import io
import os
import re
import resource
import socket
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dcase_sweep.audio.reading import AudioProblem, inspect_audio, read_waveform
from dcase_sweep.data.files import check_headers, check_samples
from tests.audio.wav_files import RATE, noise, wav

GIB = 2**30


def check(path: Path) -> str:
    """The one problem of a file."""
    with pytest.raises(AudioProblem) as caught:
        read_waveform(path, sample_rate=RATE, seconds=1.0)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("frames", [1, 2, 319])
@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_16", "FLOAT"])
def test_a_recording_shorter_than_a_frame_of_analysis_is_rejected(tmp_path: Path, frames: int, subtype: str) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(frames), RATE, subtype=subtype)

    assert f"{frames} sample" in check(path)
    assert "expected at least one frame of analysis, 40 ms" in check(path)


def test_the_shortest_recording_that_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(320), RATE, subtype="PCM_24")

    assert read_waveform(path, sample_rate=RATE, seconds=1.0).was_padded


@pytest.mark.parametrize("rate", [1, 7, 999, 768_001, 2_147_483_647])
@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_16"])
def test_impossible_sample_rates_are_rejected(tmp_path: Path, rate: int, subtype: str) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(), rate, subtype=subtype)

    assert f"a sample rate of {rate:,} Hz; expected 1,000 to 768,000 Hz" in check(path)


def test_sample_rates_of_other_containers(tmp_path: Path) -> None:
    path = tmp_path / "clip.flac"
    soundfile.write(path, noise(), 10)

    assert "a sample rate of 10 Hz" in check(path)


@pytest.mark.parametrize("peak", [11.0, 32_768.0, 1e29, -1e29, 3e38])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_floating_point_samples_of_another_scale_are_rejected(tmp_path: Path, peak: float, subtype: str) -> None:
    path = tmp_path / "clip.wav"
    samples = noise()
    samples[5] = peak
    soundfile.write(path, samples, RATE, subtype=subtype)

    assert f"samples of up to {abs(peak):.3g}; expected full scale at 1.0" in check(path)


def test_floating_point_samples_a_little_over_full_scale_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(8_000, 4.0), RATE, subtype="FLOAT")

    assert np.abs(read_waveform(path, sample_rate=RATE, seconds=1.0).samples).max() > 3.9


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_samples_that_are_not_finite_are_rejected(tmp_path: Path, value: float) -> None:
    path = tmp_path / "clip.wav"
    samples = noise()
    samples[3] = value
    soundfile.write(path, samples, RATE, subtype="DOUBLE")

    assert "sample 3 is not a finite number" in check(path)


@pytest.mark.parametrize("channels", [65, 1_024])
def test_too_many_channels_are_rejected(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.zeros((4_000, channels)), RATE, subtype="PCM_16")

    assert f"{channels:,} channels; expected 1 to 64" in check(path)


def test_containers_that_garbage_can_be_mistaken_for_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(), RATE, format="MAT5", subtype="PCM_16")

    assert "a file of type MAT5; expected WAV, FLAC or OGG; convert it" in check(path)


def test_folders_and_pipes_are_rejected(tmp_path: Path) -> None:
    folder, pipe, loop, end = (tmp_path / name for name in ("folder", "pipe", "loop", "end"))
    folder.mkdir()
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    end.symlink_to("nothing")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket"))

    assert "not a file but a folder" in check(folder)
    assert "not a file but a pipe" in check(pipe)
    assert "not a file but a socket" in check(tmp_path / "socket")
    assert "not a file but a device" in check(Path("/dev/zero"))
    assert "cannot be read (Too many levels of symbolic links)" in check(loop)
    assert "no such file" in check(end)
    assert "no such file" in check(pipe / "clip.wav")
    listening.close()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nul\0.wav", r"nul\\x00.wav: a name that no file can have"),
        ("half\ud800.wav", r"half\\ud800.wav: a name that no file can have"),
        ("esc\x1b[2J.wav", r"esc\\x1b\[2J.wav: listed but not on disk"),
        (10_000 * "x" + ".wav", r"x... \(10,[0-9]{3} characters\) ...x+.wav: cannot be read \(File name too long\)"),
    ],
)
def test_names_are_shown_on_one_printable_line(tmp_path: Path, name: str, says: str) -> None:
    for problems in (check_headers(tmp_path, [name]), check_samples(tmp_path, [name], sample_rate=RATE, seconds=1.0)):
        assert len(problems) == 1
        assert re.search(says, problems[0])
        assert problems[0].isprintable()
        assert len(problems[0]) < 500


def test_a_name_that_is_not_unicode_is_read(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.flac")
    soundfile.write(tmp_path / "clip.flac", noise(8_000), RATE)
    (tmp_path / "clip.flac").rename(path)

    assert read_waveform(path, sample_rate=RATE, seconds=1.0).samples.any()


def _encoded(layout: str, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, noise(80_000), RATE, format=layout, subtype=subtype)
    return buffer.getvalue()


def _begins() -> dict[str, bytes]:
    """How files begin that are garbage from there on."""
    halves = {
        f"half of {layout}": (layout, None) for layout in ("FLAC", "OGG", "MP3", "AIFF", "AU", "W64", "RF64", "CAF")
    }
    halves["half of Opus"] = ("OGG", "OPUS")
    begins = {name: _encoded(*layout) for name, layout in halves.items()}
    begins = {name: content[: len(content) // 2] for name, content in begins.items()}
    layout = wav(b"", bits=16)[:36]
    nameless = begins["half of FLAC"]
    begins["half of FLAC without a length"] = nameless[:21] + bytes([nameless[21] & 0xF0]) + bytes(4) + nameless[26:]
    return begins | {
        "nothing": b"",
        "RIFF and WAVE": b"RIFF\xff\xff\xff\x7fWAVE",
        "a format": layout,
        "a format and an empty list": layout + b"LIST\0\0\0\0",
        "FORM and AIFF": b"FORM\0\0\0\0AIFF",
        "fLaC": b"fLaC",
        "OggS": b"OggS",
        "ID3": b"ID3\4\0\0\x7f\x7f\x7f\x7f",
        "an MPEG header": b"\xff\xfb\x90\x64",
        "caff": b"caff\0\1\0\0",
        "RF64": b"RF64\xff\xff\xff\xffWAVE",
        "W64": bytes.fromhex("726966662e91cf11a5d628db04c10000") + bytes(8) + b"wave\xf3\xac\xd3\x11",
        "AU": b".snd",
    }


@pytest.mark.parametrize("begin", _begins())
def test_two_gibibytes_of_zeros_are_rejected_quickly(tmp_path: Path, begin: str) -> None:
    path = tmp_path / "clip"
    path.write_bytes(_begins()[begin])
    with path.open("r+b") as handle:
        handle.truncate(2 * GIB)
    before, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    # Formats without checksums say as many samples as before; these are sound and then silence.
    is_read = begin in ("half of AIFF", "half of AU", "half of W64", "half of RF64", "half of CAF")
    if is_read:
        assert read_waveform(path, sample_rate=RATE, seconds=1.0).samples.any()
    else:
        check(path)

    assert time.process_time() - before < 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 256 * 1024  # KiB


@pytest.mark.parametrize(
    ("begin", "repeated"),
    [
        (wav(b"", bits=16)[:36], b"LIST\0\0\0\0"),
        (b"RIFF\0\0\0\0WAVE", b"abcd\0\0\0\0"),
        (b"FORM\x7f\0\0\0AIFF", b"ANNO\0\0\0\0"),
        (_encoded("W64")[:80], b"LIST" + bytes(12) + b"\x18" + bytes(7)),
        (b"fLaC" + b"\0" + _encoded("FLAC")[5:42], b"\1\0\0\0"),
        (b"", b"\xff\xfb\x90\x64"),
        (b"", _encoded("OGG", "VORBIS")[:58]),
        (_encoded("CAF")[:60], b"free" + bytes(8)),
        (b"", b"ID3\4\0\0\0\0\0\0"),
    ],
    ids=["WAV", "no format", "AIFF", "W64", "FLAC", "MP3", "Ogg", "CAF", "ID3"],
)
def test_millions_of_empty_blocks_are_rejected_quickly(tmp_path: Path, begin: bytes, repeated: bytes) -> None:
    path = tmp_path / "clip"
    path.write_bytes(begin + repeated * (64 * 2**20 // len(repeated)))
    before = time.process_time()

    check(path)

    assert time.process_time() - before < 1


def test_garbage_is_rejected_in_one_line_for_any_first_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    path = tmp_path / "clip"
    begins = [content[:64] for content in _begins().values()]
    told = 0
    for number in range(300):
        path.write_bytes(begins[number % len(begins)] + rng.bytes(int(rng.integers(1, 100_000))))
        for problem in check_samples(tmp_path, ["clip"], sample_rate=RATE, seconds=1.0):
            told += 1
            assert problem.isprintable()
        with suppress(AudioProblem):
            inspect_audio(path)
    assert told > 150


def test_the_header_of_a_large_file_is_checked_before_its_contents_are_hashed(tmp_path: Path) -> None:
    with (tmp_path / "clip.wav").open("wb") as file:
        file.write(b"RIFF\xff\xff\xff\x7fWAVE")
        file.truncate(65 * 2**20)

    def known(name: str) -> None:
        raise AssertionError(f"{name} was hashed")

    (problem,) = check_samples(tmp_path, ["clip.wav"], sample_rate=RATE, seconds=1.0, known=known)

    assert "a WAV file that does not say its format" in problem
