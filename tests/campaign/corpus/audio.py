"""Recordings that are damaged, of another kind than they say, or none at all."""

import io
import os
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from tests.audio.wav_files import chunk, extension, noise, pcm, wav
from tests.campaign.cases import Case
from tests.desed_layout import RATE as DESED_RATE
from tests.desed_layout import STRONG_AUDIO, UNLABELED_AUDIO, VALIDATION_AUDIO, WEAK_AUDIO, make_desed, recording
from tests.layout import RATE, make_tau

_CLIP = "audio/park-paris-10-0-a.wav"
_TAU = ["data=tau2020", "data.root={folder}/tau", "data.seconds=1", "model.blocks.2.pool=[4,5]"]
_DESED = ["model=crnn_meanteacher", "data=desed", "data.root={folder}/desed", "data.seconds=1"]
_SOUND = noise(RATE // 5)
_PCM24 = pcm(_SOUND, 24, 3)


def _tau(change: Callable[[Path], object], folder: Path) -> None:
    root = make_tau(folder / "tau", seconds=0.2, clips=1)
    path = root / _CLIP
    path.unlink()
    change(path)


def _desed(name: str, change: Callable[[Path], object], folder: Path) -> None:
    path = make_desed(folder / "desed") / name
    path.unlink()
    change(path)


def _bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _encoded(layout: str, subtype: str | None = None, *, seconds: float = 0.2, rate: int = RATE) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, noise(round(rate * seconds)), rate, format=layout, subtype=subtype)
    return buffer.getvalue()


def _floating(at: int, value: float, subtype: str = "FLOAT") -> Callable[[Path], object]:
    samples = _SOUND.copy()
    samples[at] = value
    return lambda path: soundfile.write(path, samples, RATE, subtype=subtype)


def _zeros(begin: bytes) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        path.write_bytes(begin)
        os.truncate(path, 2 * 2**30)

    return write


def _socket(path: Path) -> None:
    # The name of a socket has at most 107 characters, and the working directory belongs to the whole process.
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"{folder}/socket")
        os.rename(f"{folder}/socket", path)


def _case(name: str, change: Callable[[Path], object], says: str) -> Case:
    return Case(name, _TAU, rf"^  .*/{_CLIP}: {says}", prepare=partial(_tau, change))


def _stray(folder: Path) -> None:
    """An unlabelled clip that no table names, with a name that would colour the terminal and break the line."""
    (make_desed(folder / "desed") / UNLABELED_AUDIO / "\x1b[31mred\n.wav").touch()


def _of_desed(name: str, file: str, change: Callable[[Path], object], says: str) -> Case:
    return Case(name, _DESED, rf"^  .*/{file}: {says}", prepare=partial(_desed, file, change))


def _wav(**layout: object) -> Callable[[Path], object]:
    return _bytes(wav(_PCM24, **{"bits": 24, "rate": RATE, **layout}))  # type: ignore[arg-type]


def _named(name: str, folder: Path) -> None:
    """A recording of another name in the tables."""
    root = make_tau(folder / "tau", seconds=0.2, clips=1)
    for table in ("meta.csv", "evaluation_setup/fold1_train.csv"):
        path = root / table
        path.write_text(path.read_text().replace(_CLIP, name))


_LOW = pcm(_SOUND, 24, 4, at_top=False)
_LOW_20 = pcm(_SOUND, 20, 4, at_top=False)
_TRUNCATED = r"truncated: .*; download it again"

CASES = [
    _case(
        "24-in-4-bytes", _bytes(wav(_LOW, bits=24, align=4, rate=RATE)), "24-bit samples that do not fill their 4 bytes"
    ),
    _case("24-in-8-bytes", _wav(align=8), r"frames of 8 bytes for 1 × 24 bits; expected 3"),
    _case("24-of-2-channels-in-3-bytes", _wav(channels=2, align=3), r"frames of 3 bytes for 2 × 24 bits; expected 6"),
    _case("20-in-4-bytes", _wav(bits=20, align=4), r"frames of 4 bytes for 1 × 20 bits; expected 3"),
    _case("16-in-4-bytes", _wav(bits=16, align=4), r"frames of 4 bytes for 1 × 16 bits; expected 2"),
    _case(
        "24-valid-bits-at-the-lower-end",
        _bytes(wav(_LOW, bits=32, tag=0xFFFE, extended=extension(24), rate=RATE)),
        "24-bit samples that do not fill their 4 bytes from above",
    ),
    _case(
        "20-valid-bits-at-the-lower-end",
        _bytes(wav(_LOW_20, bits=32, tag=0xFFFE, extended=extension(20), rate=RATE)),
        "20-bit samples that do not fill their 4 bytes from above",
    ),
    _case(
        "extension-of-another-format",
        _wav(extended=extension(24, sub_format=3)),
        r"samples of format 1 \(PCM\) by its tag and",
    ),
    _case("floats-of-24-bits", _wav(tag=3), "floating point samples of 24 bits"),
    _case("7-bits", _wav(bits=7, align=1), "PCM samples of 7 bits; expected 8 to 32"),
    _case("40-bits", _wav(bits=40), "PCM samples of 40 bits"),
    _case("no-channels", _wav(channels=0, align=3), "0 channels; expected 1 to 64"),
    _case("65535-channels", _wav(channels=65_535, align=3), "65,535 channels; expected 1 to 64"),
    _case("1-hertz", _wav(rate=1), "a sample rate of 1 Hz; expected 1,000 to 768,000 Hz"),
    _case("4-gigahertz", _wav(rate=4_000_000_000), "a sample rate of 4,000,000,000 Hz"),
    _case("flac-of-10-hertz", _bytes(_encoded("FLAC", rate=10, seconds=100)), "a sample rate of 10 Hz"),
    _case(
        "one-sample", _bytes(wav(_PCM24[:3], bits=24, rate=RATE)), "1 sample at 44100 Hz .*expected at least one frame"
    ),
    _case("odd-bytes", _bytes(wav(_PCM24[:-1], bits=24, rate=RATE)), "26459 bytes of samples; expected a multiple of"),
    _case("two-data-chunks", _wav(after=chunk(b"data", _PCM24)), "several chunks 'data'; expected one"),
    _case("data-before-format", _wav(before=chunk(b"data", b"abcd")), "a WAV file that does not say its format before"),
    _case("no-data", _bytes(wav(b"", bits=24, rate=RATE)[:36]), "a WAV file without samples"),
    _case("empty-data", _bytes(wav(b"", bits=24, rate=RATE)), "no samples after the header; expected audio; restore"),
    _case("truncated-wav", _bytes(wav(_PCM24, bits=24, rate=RATE)[:-999]), "truncated: 999 of 26460 bytes .* download"),
    _case("truncated-ogg", _bytes(_encoded("OGG", "VORBIS")[:-99]), "truncated: an Ogg file without its last page"),
    _case(
        "truncated-opus", _bytes(_encoded("OGG", "OPUS", rate=48_000)[:-99]), "truncated: an Ogg file without its last"
    ),
    _case("truncated-flac", _bytes(_encoded("FLAC")[:-999]), "cannot be decoded .*; download it again"),
    _case("truncated-aiff", _bytes(_encoded("AIFF")[:-999]), _TRUNCATED),
    _case("truncated-mp3", _bytes(_encoded("MP3")[:-99]), _TRUNCATED),
    _case("truncated-w64", _bytes(_encoded("W64")[:-999]), _TRUNCATED),
    _case("truncated-rf64", _bytes(_encoded("RF64")[:-999]), _TRUNCATED),
    _case("truncated-au", _bytes(_encoded("AU")[:-999]), _TRUNCATED),
    _case("matlab", _bytes(_encoded("MAT5")), "a file of type MAT5; expected WAV, FLAC or OGG; convert it"),
    _case("text", _bytes(b"not a sound"), "not audio that libsndfile can read"),
    _case("zero-bytes", _bytes(b""), "0 bytes; expected audio; download it again"),
    _case("silence", _bytes(wav(bytes(26_460), bits=24, rate=RATE)), "silent from beginning to end"),
    _case("not-a-number", _floating(7, np.nan), "sample 7 is not a finite number"),
    _case("infinity", _floating(8, -np.inf, "DOUBLE"), "sample 8 is not a finite number"),
    _case("1e29", _floating(9, 1e29), r"samples of up to 1e\+29; expected full scale at 1.0"),
    _case("scale-of-integers", _floating(9, -32_768.0), r"samples of up to 3.28e\+04; expected full scale at 1.0"),
    _case("zeros-behind-riff", _zeros(b"RIFF\xff\xff\xff\x7fWAVE"), "a WAV file that does not say its format"),
    _case("zeros-behind-a-format", _zeros(wav(b"", bits=24)[:36]), "a WAV file without samples"),
    _case(
        "zeros-behind-flac", _zeros(_encoded("FLAC")[:9_000]), "[0-9]+ bytes for 8820 samples; expected a FLAC file of"
    ),
    _case("zeros-behind-ogg", _zeros(_encoded("OGG", "VORBIS")[:-99]), "no page of an Ogg file in its last 128 KiB"),
    _case(
        "zeros-behind-mp3",
        _zeros(_encoded("MP3", seconds=1)[:3_000]),
        r"truncated: [0-9]+ of [0-9]+ MPEG frames missing",
    ),
    _case("zeros", _zeros(b""), "not audio that libsndfile can read"),
    _case(
        "millions-of-chunks",
        _bytes(wav(b"", bits=24)[:36] + 2_000_000 * b"LIST\0\0\0\0"),
        "no samples among its first 1,000 chunks",
    ),
    _case(
        "millions-of-flac-blocks",
        _bytes(b"fLaC\0" + _encoded("FLAC")[5:42] + 4_000_000 * b"\1\0\0\0"),
        "1,000 blocks of metadata and more",
    ),
    _case("pipe", os.mkfifo, "not a file but a pipe"),
    _case("folder", Path.mkdir, "not a file but a folder"),
    _case("socket", _socket, "not a file but a socket"),
    _case("device", lambda path: path.symlink_to("/dev/zero"), "not a file but a device"),
    _case("loop-of-links", lambda path: path.symlink_to(path), r"cannot be read \(Too many levels of symbolic links\)"),
    _case("link-to-nothing", lambda path: path.symlink_to("nothing"), "listed but not on disk"),
    Case(
        "escape-sequence-in-a-name",
        _DESED,
        rf"^  .*/{UNLABELED_AUDIO}/\\x1b\[31mred\\n.wav: 0 bytes; expected audio",
        prepare=_stray,
    ),
    Case(
        "name-of-10000-characters",
        _TAU,
        r"^  .*/audio/x+\.\.\. \(1[0-9],[0-9]{3} characters\) \.\.\.x+: cannot be read \(File name too long\)",
        prepare=partial(_named, "audio/" + 10_000 * "x"),
    ),
    _of_desed(
        "desed-24-in-4-bytes", f"{STRONG_AUDIO}/0.wav", _bytes(wav(_LOW, bits=24, align=4)), "24-bit samples that do"
    ),
    _of_desed("desed-1e29", f"{WEAK_AUDIO}/{recording('w', 3)}", _floating(9, 1e29), r"samples of up to 1e\+29"),
    _of_desed(
        "desed-pipe", f"{UNLABELED_AUDIO}/{recording('u', 1)}", lambda path: os.mkfifo(path), "not a file but a pipe"
    ),
    _of_desed(
        "desed-truncated-ogg",
        f"{VALIDATION_AUDIO}/{recording('v', 1)}",
        _bytes(_encoded("OGG", "VORBIS", rate=DESED_RATE)[:-99]),
        "truncated: an Ogg file without its last page",
    ),
    _of_desed(
        "desed-one-sample", f"{WEAK_AUDIO}/{recording('w', 0)}", _bytes(wav(b"\1\2", bits=16)), "1 sample at 8000"
    ),
]
