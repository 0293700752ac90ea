"""Checks of containers other than WAV: whether a file is complete, and whether it gives its length.

libsndfile reads a truncated AIFF, AU or Ogg file as a shorter recording, and searches gigabytes of garbage for another
frame. Files are checked here before libsndfile reads them.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO

from dcase_sweep.audio import mpeg
from dcase_sweep.audio.problems import AudioProblem, no_recording
from dcase_sweep.audio.wav import is_unknown_length

#: Limit on blocks or chunks of metadata before the samples; garbage may contain one every 4 bytes.
_MOST_BLOCKS = 1_000
#: Bytes at the end of a file that contain the last Ogg page, which has at most 65,307 bytes, with room for tags.
_OGG_TAIL = 2 * 65_536
#: The longest FLAC frame, 65,535 samples of 8 channels of 32 bits, has 2 MiB.
_FLAC_TAIL = 4 * 2**20
#: Limit on tags and pictures after the samples, in bytes.
_MOST_TAGS = 64 * 2**20


def after_id3(head: bytes) -> int:
    """Return the position after an ID3v2 tag at the beginning of a file; 0 without one."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    length = 0
    for seven_bits in head[6:10]:
        length = length << 7 | seven_bits & 127
    return 10 + length


@dataclass(frozen=True, slots=True)
class Length:
    """The length of a recording according to its file."""

    #: Whether libsndfile can read the number of samples from the file.
    known: bool = True
    #: Number of samples that were counted here, to compare with libsndfile's; None if not needed.
    counted: int | None = None


def look_at_length(head: bytes, handle: FileIO, size: int, start: int) -> Length:
    """Read the length of a recording and check that its file is complete.

    Args:
        head: the first bytes from ``start`` on.
        handle: the file.
        size: its length in bytes.
        start: position of the container in the file.

    Raises:
        AudioProblem: for a file that is truncated, or garbage after its first bytes.
    """

    def at(position: int, count: int) -> bytes:
        handle.seek(position)
        return handle.read(count)

    if head[:4] == b"OggS":
        _check_ogg(at, size)
    elif head[:4] == b"fLaC":
        return Length(known=_check_flac(at, size, start))
    elif head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        _check_aiff(at, size, start)
    elif head[:4] in (b".snd", b"dns."):
        _check_au(head, size, start)
    elif head[:7] == b"NIST_1A":
        _check_nist(head, size)
    elif head[:1] == b"\xff":
        found, stated = mpeg.count_frames(at, size, start), mpeg.stated_frames(head)
        if stated is not None and found.frames < stated:
            raise AudioProblem(f"truncated: {stated - found.frames} of {stated} MPEG frames missing; download it again")
        return Length(counted=found.samples if stated is None else None)
    return Length()


def _check_complete(missing: int, length: int) -> None:
    if missing > 0:
        raise AudioProblem(f"truncated: {missing} of {length} bytes of samples missing; download it again")


def _check_ogg(at: Callable[[int, int], bytes], size: int) -> None:
    """Check that the last page of the stream is marked as the last (RFC 3533)."""
    tail = at(max(0, size - _OGG_TAIL), _OGG_TAIL)
    position = tail.rfind(b"OggS")
    page = tail[position : position + 27]
    if position < 0:
        raise AudioProblem(f"no page of an Ogg file in its last {_OGG_TAIL // 1024} KiB; expected audio to its end")
    segments = tail[position + 27 : position + 27 + page[26]] if len(page) == 27 else b""
    is_whole = (
        len(page) == 27 and len(segments) == page[26] and position + 27 + len(segments) + sum(segments) <= len(tail)
    )
    if not is_whole or not page[5] & 4:
        raise AudioProblem("truncated: an Ogg file without its last page; download it again")


def _check_flac(at: Callable[[int, int], bytes], size: int, start: int) -> bool:
    position = start + 4
    for _ in range(_MOST_BLOCKS):
        block = at(position, 4)
        position += 4 + int.from_bytes(block[1:], "big")
        if len(block) < 4 or position > size:
            raise AudioProblem("a FLAC file that ends before its samples; download it again")
        if block[0] & 128:
            break
    else:
        raise AudioProblem(f"{_MOST_BLOCKS:,} blocks of metadata and more; expected the samples of a FLAC file")
    info = int.from_bytes(at(start + 18, 8), "big")
    frames, bits, channels = info & (2**36 - 1), (info >> 36 & 31) + 1, (info >> 41 & 7) + 1
    if not frames:
        tail = at(max(position, size - _FLAC_TAIL), _FLAC_TAIL)
        if b"\xff\xf8" not in tail and b"\xff\xf9" not in tail:  # the beginning of every frame
            raise AudioProblem(f"no frame of a FLAC file in its last {_FLAC_TAIL // 2**20} MiB; download it again")
        return False
    # Even frames of noise are hardly larger than their samples; the decoder would search the rest for frames.
    most = 2 * frames * channels * (bits + 7) // 8 + _MOST_TAGS
    if size - position > most:
        raise AudioProblem(
            f"{size - position} bytes for {frames} samples; expected a FLAC file of at most {most}; download it again"
        )
    return True


def _check_aiff(at: Callable[[int, int], bytes], size: int, start: int) -> None:
    position = start + 12
    for _ in range(_MOST_BLOCKS):
        header = at(position, 8)
        if len(header) < 8:
            raise no_recording("an AIFF file without samples; expected audio")
        name, length = struct.unpack(">4sI", header)
        if name == b"SSND":
            if not is_unknown_length(length):
                _check_complete(position + 8 + length - size, length)
            return
        position += 8 + length + length % 2
    raise AudioProblem(f"no samples among its first {_MOST_BLOCKS:,} chunks; expected an AIFF file")


def _check_au(head: bytes, size: int, start: int) -> None:
    offset, length = struct.unpack(">II" if head[:1] == b"." else "<II", head[4:12].ljust(8, b"\0"))
    if not is_unknown_length(length):
        _check_complete(start + offset + length - size, length)


def _check_nist(head: bytes, size: int) -> None:
    fields = {key: int(value) for key, value in re.findall(rb"(\w+) -i (\d{1,12})\s", head[:1024])}
    length = fields.get(b"sample_count", 0) * fields.get(b"sample_n_bytes", 0) * fields.get(b"channel_count", 1)
    _check_complete(1024 + length - size, length)
