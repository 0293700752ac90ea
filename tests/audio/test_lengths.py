"""Files without a stored length are read to their end, and truncated files are distinguished from short ones."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dcase_sweep.audio.reading import AudioProblem, inspect_audio, read_waveform
from tests.audio.wav_files import RATE, chunk, noise, pcm, wav

LOUD = noise(8_000)
#: What streaming writers leave: sox, ffmpeg, arecord, Python's and others.
MARKERS = [0, 0x7F00_0000, 0x7FFF_F000, 0x7FFF_FFFF, 0x7FFF_FFDB, 0x8000_0000, 0xFFFF_F000, 0xFFFF_FFDB, 0xFFFF_FFFF]


def encoded(samples: np.ndarray, layout: str, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format=layout, subtype=subtype)
    return buffer.getvalue()


def read(path: Path, content: bytes, seconds: float = 1.0) -> np.ndarray:
    path.write_bytes(content)
    return read_waveform(path, sample_rate=RATE, seconds=seconds, padding="zeros").samples


@pytest.mark.parametrize("length", MARKERS, ids=hex)
@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("container", [b"RIFF", b"RIFX"])
@pytest.mark.parametrize("before", [b"", chunk(b"LIST", b"INFOISFT\x04\0\0\0abcd")], ids=["plain", "with a list"])
def test_a_wav_without_a_length_is_read_to_its_end(
    tmp_path: Path, length: int, bits: int, container: bytes, before: bytes
) -> None:
    if container == b"RIFX":
        before = b""
    path = tmp_path / "clip.wav"
    data = pcm(LOUD, bits, bits // 8, endian=">" if container == b"RIFX" else "<")

    samples = read(
        path, wav(data, bits=bits, data_length=length, riff_length=length, before=before, container=container)
    )

    assert np.abs(samples - LOUD).max() < 2.0 ** (1 - bits)
    assert inspect_audio(path).frames == 8_000


@pytest.mark.parametrize("subtype", ["ULAW", "IMA_ADPCM", "MS_ADPCM"])
def test_a_compressed_wav_without_a_length_is_read_to_its_end(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "clip.wav"
    content = bytearray(encoded(LOUD, "WAV", subtype))
    whole = read(path, bytes(content))
    at = content.index(b"data") + 4

    content[at : at + 4] = b"\xff\xff\xff\xff"

    assert np.array_equal(read(path, bytes(content)), whole)


def test_a_compressed_wav_with_length_0_is_rejected(tmp_path: Path) -> None:
    content = bytearray(encoded(LOUD, "WAV", "IMA_ADPCM"))
    at = content.index(b"data") + 4
    content[at : at + 4] = bytes(4)

    with pytest.raises(AudioProblem, match="does not say how long its samples are"):
        read(tmp_path / "clip.wav", bytes(content))


def test_only_the_beginning_of_a_long_wav_without_a_length_is_read(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    content = wav(pcm(LOUD, 16, 2), bits=16, data_length=0)
    path.write_bytes(content)
    with path.open("r+b") as handle:
        handle.truncate(2 * 2**30)

    waveform = read_waveform(path, sample_rate=RATE, seconds=0.5)

    assert waveform.was_cut
    assert np.abs(waveform.samples - LOUD[:4_000]).max() < 2**-15
    assert inspect_audio(path).frames == (2 * 2**30 - 44) // 2


def test_the_last_incomplete_frame_of_a_stream_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(wav(pcm(LOUD, 24, 3), bits=24, data_length=0xFFFF_FFFF)[:-2])

    assert inspect_audio(path).frames == 7_999


@pytest.mark.parametrize("after", [b"", chunk(b"LIST", b"INFOISFT\x04\0\0\0abcd")])
def test_a_wav_that_is_empty_has_no_samples(tmp_path: Path, after: bytes) -> None:
    with pytest.raises(AudioProblem, match=r"no samples after the header; expected audio$"):
        read(tmp_path / "clip.wav", wav(b"", bits=24, after=after))


def test_a_flac_without_a_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "clip.flac"
    content = bytearray(encoded(LOUD, "FLAC", "PCM_24"))
    content[21] &= 0xF0
    content[22:26] = bytes(4)

    assert np.abs(read(path, bytes(content)) - LOUD).max() < 2**-22
    assert inspect_audio(path).frames == 8_000
    longer, shorter = (read_waveform(path, sample_rate=RATE, seconds=seconds) for seconds in (2.0, 0.5))
    assert (longer.was_padded, longer.was_cut, longer.seconds) == (True, False, 1.0)
    assert (shorter.was_padded, shorter.was_cut) == (False, True)


def test_a_flac_without_a_length_that_ends_in_a_frame_is_truncated(tmp_path: Path) -> None:
    content = bytearray(encoded(LOUD, "FLAC", "PCM_24"))
    content[21] &= 0xF0
    content[22:26] = bytes(4)

    with pytest.raises(AudioProblem, match=r"cannot be decoded .* download it again"):
        read(tmp_path / "clip.flac", bytes(content[:-2_000]))


@pytest.mark.parametrize("size", [0, 0x7F00_0008, 0xFFFF_FFFF])
def test_an_aiff_without_a_length_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    content = bytearray(encoded(LOUD, "AIFF", "PCM_24"))
    at = content.index(b"SSND") + 4
    content[at : at + 4] = struct.pack(">I", size)

    assert np.abs(read(tmp_path / "clip.aiff", bytes(content)) - LOUD).max() < 2**-22


def test_an_au_without_a_length_is_read_to_its_end(tmp_path: Path) -> None:
    content = bytearray(encoded(LOUD, "AU", "PCM_24"))
    content[8:12] = b"\xff\xff\xff\xff"

    assert np.abs(read(tmp_path / "clip.au", bytes(content)) - LOUD).max() < 2**-22


@pytest.mark.parametrize(
    ("layout", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("WAV", "IMA_ADPCM"),
        ("WAVEX", "PCM_24"),
        ("RF64", "PCM_24"),
        ("W64", "PCM_24"),
        ("AIFF", "PCM_16"),
        ("AU", "PCM_16"),
        ("NIST", "PCM_16"),
        ("CAF", "PCM_16"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", None),
    ],
)
@pytest.mark.parametrize("kept", [0.95, 0.5])
def test_a_truncated_file_is_not_read_as_a_short_clip(
    tmp_path: Path, layout: str, subtype: str | None, kept: float
) -> None:
    path = tmp_path / "clip"
    samples = noise(80_000)
    content = encoded(samples, layout, subtype)
    assert read(path, content, seconds=10.0).any()

    with pytest.raises(AudioProblem, match=r"truncated|cannot be decoded|malformed"):
        read(path, content[: int(kept * len(content))], seconds=10.0)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_file_that_ends_between_two_pages_is_truncated(tmp_path: Path, subtype: str) -> None:
    content = encoded(noise(80_000), "OGG", subtype)

    with pytest.raises(AudioProblem, match="truncated: an Ogg file without its last page; download it again"):
        read(tmp_path / "clip.ogg", content[: content.rindex(b"OggS")])


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_short_ogg_file_is_a_short_clip(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "clip.ogg"
    path.write_bytes(encoded(noise(4_000), "OGG", subtype))

    waveform = read_waveform(path, sample_rate=RATE, seconds=1.0)

    assert waveform.was_padded
    assert waveform.seconds == pytest.approx(0.5)


def test_tags_after_an_ogg_file_are_ignored(tmp_path: Path) -> None:
    assert read(tmp_path / "clip.ogg", encoded(LOUD, "OGG", "VORBIS") + b"TAG" + bytes(125)).any()


def mpeg_frames(rates: list[int], frames: int = 200) -> bytes:
    """Silence as MPEG 1 layer III, mono, 44.1 kHz: a frame of each of these bit rates (index 1 to 14) in turn."""
    kbits = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    parts = []
    for number in range(frames):
        index = rates[number % len(rates)]
        parts.append(bytes([0xFF, 0xFB, index << 4, 0xC0]).ljust(144_000 * kbits[index - 1] // 44_100, b"\0"))
    return b"".join(parts)


def test_an_mp3_of_constant_bit_rate_is_read_without_a_stored_length(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp3"
    path.write_bytes(mpeg_frames([9]))

    assert inspect_audio(path).frames == pytest.approx(200 * 1152, abs=1152)


def test_an_mp3_that_libsndfile_would_not_read_to_its_end_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp3"
    path.write_bytes(mpeg_frames([14, 1, 1, 1]))

    with pytest.raises(AudioProblem, match=r"libsndfile reads \d+ of 230400 samples; convert it"):
        inspect_audio(path)


def test_an_mp3_that_ends_within_a_frame_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp3"
    path.write_bytes(mpeg_frames([9])[:-100])

    with pytest.raises(AudioProblem, match="truncated: an MP3 file that ends within a frame; download it again"):
        inspect_audio(path)


def test_a_wav_with_any_other_wrong_length_is_truncated(tmp_path: Path) -> None:
    with pytest.raises(AudioProblem, match="truncated: 1000 of 17000 bytes of samples missing; download it again"):
        read(tmp_path / "clip.wav", wav(pcm(LOUD, 16, 2), bits=16, data_length=17_000))


@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "FLAC"])
def test_a_file_that_ends_within_its_header_is_refused(tmp_path: Path, container: str) -> None:
    whole, path = tmp_path / "whole", tmp_path / "cut.wav"
    soundfile.write(whole, np.linspace(-0.5, 0.5, 4000), 16_000, subtype="PCM_16", format=container)
    content = whole.read_bytes()

    for length in range(80):
        path.write_bytes(content[:length])
        with pytest.raises(AudioProblem):
            inspect_audio(path)
