"""Layouts of WAV files: read at the correct level, or rejected."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dcase_sweep.audio.pcm24 import is_plain_pcm24
from dcase_sweep.audio.reading import AudioProblem, read_waveform
from dcase_sweep.audio.wav import read_wav_header
from tests.audio.wav_files import RATE, chunk, extension, noise, pcm, wav

LOUD = noise()
PLAIN = pcm(LOUD, 24, 3)
LIST = chunk(b"LIST", b"INFOISFT\x05\0\0\0abcde\0")


def read(path: Path, content: bytes) -> np.ndarray:
    path.write_bytes(content)
    return read_waveform(path, sample_rate=RATE, seconds=0.25).samples


def is_read_here(path: Path) -> bool:
    """Whether the file is read by this package's own reader."""
    size = path.stat().st_size
    with path.open("rb", buffering=0) as handle:
        header = read_wav_header(handle.read(4096), handle, size)
        return header is not None and is_plain_pcm24(header, size)


@pytest.mark.parametrize("seed", range(8))
def test_24_bits_in_the_upper_3_of_4_bytes_are_read(tmp_path: Path, seed: int) -> None:
    samples = np.random.default_rng(seed).uniform(-0.26, 0.26, 6_000)
    path = _written(tmp_path, wav(pcm(samples, 24, 4), bits=24, align=4))

    found = read_waveform(path, sample_rate=RATE, seconds=0.75).samples

    assert np.abs(found - samples).max() < 1e-6


@pytest.mark.parametrize(("length", "at_top"), [(900, True), (900, False), (6_000, False)])
@pytest.mark.parametrize("seed", range(8))
def test_24_bits_in_4_bytes_are_rejected_otherwise(tmp_path: Path, length: int, at_top: bool, seed: int) -> None:
    """libsndfile reads samples in the lower 3 bytes as noise or 48 dB too low, and short clips always as noise."""
    samples = np.random.default_rng(seed).uniform(-0.26, 0.26, length)
    path = _written(tmp_path, wav(pcm(samples, 24, 4, at_top=at_top), bits=24, align=4))

    with pytest.raises(
        AudioProblem, match="24-bit samples that do not fill their 4 bytes from above, or cannot be told"
    ):
        read_waveform(path, sample_rate=RATE, seconds=length / RATE)


def _written(folder: Path, content: bytes) -> Path:
    path = folder / "clip.wav"
    path.write_bytes(content)
    return path


def test_quiet_24_bits_in_4_bytes_cannot_be_distinguished_from_a_lower_level(tmp_path: Path) -> None:
    quiet = wav(pcm(noise(6_000, 1e-3), 24, 4), bits=24, align=4)

    with pytest.raises(AudioProblem, match="cannot be told"):
        read_waveform(_written(tmp_path, quiet), sample_rate=RATE, seconds=0.75)


@pytest.mark.parametrize("bits", [8, 12, 16, 20, 24, 32])
@pytest.mark.parametrize("is_extensible", [False, True])
def test_samples_in_the_upper_bits_of_their_bytes_are_read(tmp_path: Path, bits: int, is_extensible: bool) -> None:
    width = (bits + 7) // 8
    data = (128 + np.round(LOUD * 127)).astype(np.uint8).tobytes() if bits == 8 else pcm(LOUD, bits, width)
    layout = {"tag": 0xFFFE, "bits": 8 * width, "extended": extension(bits)} if is_extensible else {"bits": bits}

    assert np.abs(read(tmp_path / "clip.wav", wav(data, **layout)) - LOUD).max() < 2.0 ** (1.1 - min(bits, 24))


@pytest.mark.parametrize(("bits", "width"), [(12, 2), (20, 3), (20, 4), (24, 4)])
def test_samples_in_the_lower_bits_of_their_bytes_are_rejected(tmp_path: Path, bits: int, width: int) -> None:
    data = pcm(LOUD, bits, width, at_top=False)
    content = wav(data, tag=0xFFFE, bits=8 * width, extended=extension(bits))

    with pytest.raises(AudioProblem, match=f"{bits}-bit samples that do not fill their {width} bytes from above"):
        read(tmp_path / "clip.wav", content)


def test_24_valid_bits_in_32_are_read(tmp_path: Path) -> None:
    content = wav(pcm(LOUD, 24, 4), tag=0xFFFE, bits=32, extended=extension(24))

    assert np.abs(read(tmp_path / "clip.wav", content) - LOUD).max() < 1e-6


@pytest.mark.parametrize(
    ("layout", "says"),
    [
        ({"bits": 24, "align": 8}, "frames of 8 bytes for 1 × 24 bits; expected 3"),
        ({"bits": 24, "align": 6}, "frames of 6 bytes for 1 × 24 bits; expected 3"),
        ({"bits": 24, "align": 2}, "frames of 2 bytes"),
        ({"bits": 24, "align": 0}, "frames of 0 bytes"),
        ({"bits": 24, "channels": 2, "align": 3}, "frames of 3 bytes for 2 × 24 bits; expected 6"),
        ({"bits": 20, "align": 4}, "frames of 4 bytes for 1 × 20 bits; expected 3"),
        ({"bits": 16, "align": 4}, "frames of 4 bytes for 1 × 16 bits; expected 2"),
        ({"bits": 16, "align": 2, "channels": 2}, "frames of 2 bytes for 2 × 16 bits; expected 4"),
        ({"bits": 32, "align": 3}, "frames of 3 bytes"),
        ({"bits": 24, "align": 4, "tag": 0xFFFE, "extended": extension(24)}, "frames of 4 bytes"),
        ({"bits": 20, "align": 4, "tag": 0xFFFE, "extended": extension(20)}, "frames of 4 bytes"),
        ({"bits": 32, "align": 8, "tag": 3}, "frames of 8 bytes for 1 × 32 bits; expected 4"),
        ({"bits": 64, "align": 4, "tag": 3}, "frames of 4 bytes"),
        ({"bits": 16, "tag": 3}, "floating point samples of 16 bits"),
        ({"bits": 24, "tag": 0xFFFE, "extended": extension(24, sub_format=3)}, "floating point samples of 24 bits"),
        ({"bits": 24, "tag": 3, "align": 3}, "floating point samples of 24 bits"),
        ({"bits": 7, "align": 1}, "PCM samples of 7 bits"),
        ({"bits": 7, "align": 3}, "PCM samples of 7 bits"),
        ({"bits": 8, "align": 1, "tag": 0xFFFE, "extended": extension(7)}, "PCM samples of 7 bits"),
        ({"bits": 1, "align": 1}, "PCM samples of 1 bits"),
        ({"bits": 0, "align": 3}, "PCM samples of 0 bits"),
        ({"bits": 40}, "PCM samples of 40 bits"),
        ({"bits": 16, "tag": 7, "align": 2}, "mu-law samples of 16 bits"),
        ({"bits": 24, "extended": extension(24, sub_format=3)}, r"format 1 \(PCM\) by its tag and of format 3"),
        ({"bits": 24, "channels": 0, "align": 3}, "0 channels"),
        ({"bits": 24, "channels": 65_535, "align": 3}, "65,535 channels; expected 1 to 64"),
        ({"bits": 24, "rate": 1}, "a sample rate of 1 Hz; expected 1,000 to 768,000 Hz"),
        ({"bits": 24, "rate": 0}, "a sample rate of 0 Hz"),
        ({"bits": 24, "rate": 4_000_000_000}, "a sample rate of 4,000,000,000 Hz"),
        ({"bits": 24, "tag": 0xFFFE, "extended": extension(24, guid=14 * b"X")}, "not audio that libsndfile can read"),
        ({"bits": 24, "tag": 0xFFFE}, "not audio that libsndfile can read"),
        ({"bits": 24, "tag": 0x50}, "not audio that libsndfile can read"),
        ({"bits": 24, "after": chunk(b"data", PLAIN)}, "several chunks 'data'"),
        (
            {"bits": 24, "before": chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8))},
            "several chunks 'fmt'",
        ),
        ({"bits": 24, "before": chunk(b"data", b"abcd")}, "does not say its format before its samples"),
        ({"bits": 24, "data_length": 5_999}, "5999 bytes of samples; expected a multiple of a frame's 3 bytes"),
        ({"bits": 24, "container": b"BW64"}, "not audio that libsndfile can read"),
    ],
)
def test_contradictory_headers_are_rejected(tmp_path: Path, layout: dict, says: str) -> None:
    with pytest.raises(AudioProblem, match=says):
        read(tmp_path / "clip.wav", wav(PLAIN, **layout))


@pytest.mark.parametrize(
    ("content", "is_plain"),
    [
        (wav(PLAIN, bits=24), True),
        (wav(PLAIN, bits=24, extended=b"\0\0"), True),
        (wav(PLAIN, bits=24, tag=0xFFFE, extended=extension(24)), True),
        (wav(PLAIN, bits=24, before=LIST), True),
        (wav(PLAIN, bits=24, after=LIST), True),
        (wav(PLAIN[:5_997], bits=24), True),
        (wav(PLAIN, bits=24, tag=0xFFFE, extended=extension(20)), False),
        (wav(PLAIN, bits=24, tag=0xFFFE, extended=extension(0)), False),
        (wav(PLAIN, bits=24, byte_rate=0), False),
        (wav(PLAIN, bits=24, byte_rate=RATE), False),
        (wav(PLAIN, bits=24, riff_length=4), False),
        (wav(PLAIN, bits=24, riff_length=10**6), False),
        (wav(PLAIN, bits=24, before=chunk(b"abcd", b"")), False),
        (wav(PLAIN, bits=24, after=b"\0\0\0"), False),
        (wav(PLAIN[:5_997], bits=24)[:-1], False),
        (wav(pcm(LOUD, 24, 3, endian=">"), bits=24, container=b"RIFX"), False),
    ],
)
def test_only_a_header_without_any_contradiction_is_read_here(tmp_path: Path, content: bytes, is_plain: bool) -> None:
    path = _written(tmp_path, content)

    samples = read_waveform(path, sample_rate=RATE, seconds=0.25).samples

    assert is_read_here(path) == is_plain
    assert np.abs(samples[:1_999] - LOUD[:1_999]).max() < 1e-6


def test_wave64_is_checked_in_the_same_way(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, LOUD, RATE, format="W64", subtype="PCM_24")
    content = bytearray(buffer.getvalue())
    assert np.abs(read(tmp_path / "clip.w64", bytes(content)) - LOUD).max() < 1e-6

    align = content.index(b"fmt ") + 24 + 12
    content[align : align + 2] = struct.pack("<H", 4)

    with pytest.raises(AudioProblem, match="24-bit samples that do not fill their 4 bytes"):
        read(tmp_path / "clip.w64", bytes(content))


def test_a_wav_file_after_an_id3_tag_is_checked_in_the_same_way(tmp_path: Path) -> None:
    tag = b"ID3\4\0\0\0\0\0\x0a" + bytes(10)
    assert np.abs(read(tmp_path / "clip.wav", tag + wav(PLAIN, bits=24)) - LOUD).max() < 1e-6

    with pytest.raises(AudioProblem, match="frames of 8 bytes"):
        read(tmp_path / "clip.wav", tag + wav(PLAIN, bits=24, align=8))


@pytest.mark.parametrize("suffix", ["wav", "gsm", "vox", "au", "snd"])
def test_the_suffix_does_not_make_audio_of_text(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"notes.{suffix}"
    path.write_text(1_000 * "no audio")

    with pytest.raises(AudioProblem, match="not audio that libsndfile can read"):
        read_waveform(path, sample_rate=RATE, seconds=0.25)


def test_every_header_that_is_read_here_gives_the_samples_of_libsndfile(tmp_path: Path) -> None:
    """After a change of up to four bytes or of the length, both readers agree, or this one rejects the file."""
    rng = np.random.default_rng(11)
    path = tmp_path / "clip.wav"
    starts = [
        wav(PLAIN, bits=24),
        wav(PLAIN, bits=24, tag=0xFFFE, extended=extension(24)),
        wav(PLAIN, bits=24, extended=b"\0\0", before=LIST, after=LIST),
        wav(PLAIN[:5_997], bits=24, before=chunk(b"JUNK", b"odd")),
        wav(PLAIN, bits=24, before=chunk(b"bext", bytes(602)), after=chunk(b"fact", b"\xd0\7\0\0")),
    ]
    read_here = 0
    for number in range(1_200):
        content = bytearray(starts[number % len(starts)])
        header = content.index(b"data") + 8
        for _ in range(rng.integers(1, 5)):
            position = int(rng.integers(0, header))
            content[position] = rng.choice([0, 1, 2, 3, 4, 24, 32, 255, int(rng.integers(0, 256))])
        if rng.random() < 0.2:
            del content[len(content) - int(rng.integers(1, 50)) :]
        path.write_bytes(content)
        try:
            here = is_read_here(path)
            samples = read_waveform(path, sample_rate=RATE, seconds=0.2).samples if here else None
        except AudioProblem:
            continue
        if samples is not None:
            expected, rate = soundfile.read(path, dtype="float32")
            if rate == RATE:
                assert np.array_equal(samples, expected[:1_600]), content[:header].hex()
            read_here += 1
    assert read_here > 30
