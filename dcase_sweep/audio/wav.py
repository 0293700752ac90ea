"""Parsing of the chunks of WAV files and related formats.

RIFF (little endian), RIFX (big endian), RF64 (lengths of 64 bits) and Sony's Wave64.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO

from dcase_sweep.audio.problems import AudioProblem, no_recording
from dcase_sweep.audio.wav_format import WavFormat, parse_format

_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
#: The bytes after the four letters in the GUID of a chunk.
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
#: Limit on chunks, more than any recorder writes; garbage may contain one every 8 bytes.
_MOST_CHUNKS = 1_000
#: Limit on the bytes of a list that are searched.
_LONGEST_LIST = 65_536

_Read = Callable[[int, int], bytes]
#: Name, offset and length of a chunk, and the offset of the next one.
_Chunk = tuple[bytes, int, int, int]


@dataclass(frozen=True, slots=True)
class WavHeader:
    """The header of a file. Offsets and lengths are in bytes."""

    #: ``RIFF``, ``RIFX``, ``RF64`` or ``W64``.
    container: str
    #: Length of the file after its first 8 bytes, according to its header.
    riff_length: int
    format: WavFormat
    data_offset: int
    data_length: int
    #: Whether the header gives the length of the samples; a streaming writer does not know it.
    length_known: bool
    #: Names of all chunks in order, and the end of the last one.
    chunks: tuple[bytes, ...]
    end: int
    #: Whether the texts in its lists (``LIST``) fill them; libsndfile reads others wrongly.
    lists_agree: bool

    def check(self) -> None:
        """Refuse contradictory headers, and layouts that libsndfile does not read correctly.

        Raises:
            AudioProblem: with what the header says and what was expected.
        """
        self.format.check()
        align = self.format.block_align
        if self.format.sample_bytes and self.length_known and self.data_length % align:
            raise AudioProblem(
                f"{self.data_length} bytes of samples; expected a multiple of a frame's {align} bytes; convert it again"
            )


def is_unknown_length(length: int) -> bool:
    """Whether a length is a placeholder of a streaming writer, which does not know the length.

    Such writers use the largest value of a signed or unsigned field, or a little less: 0x7f000000, 0x7ffff000,
    0x80000000, 0xffffffff. No clip is that long.
    """
    return 0x7F00_0000 <= length <= 0x8001_0000 or 0xFFFF_0000 <= length < 2**32 or length >= 2**62


def read_wav_header(head: bytes, handle: FileIO, size: int, start: int = 0) -> WavHeader | None:
    """Read the header of a file; return None for another container.

    Args:
        head: the first bytes from ``start`` on.
        handle: the file.
        size: its length in bytes.
        start: position of the container in the file.

    Raises:
        AudioProblem: for a file that is truncated, or has no samples, or more than one format or stretch of samples.
    """
    known = {b"RIFF": "<", b"RIFX": ">", b"RF64": "<"}

    def at(position: int, count: int) -> bytes:
        if position - start + count <= len(head):
            return head[position - start : position - start + count]
        handle.seek(position)
        return handle.read(count)

    if head[:16] == _W64_RIFF and head[28:40] == _W64_TAIL:
        (total,) = struct.unpack("<Q", head[16:24])
        return _read_chunks(_w64_chunks(at, start + 40, size), at, size, "W64", "<", total - 8)
    if head[:4] in known and head[8:12] == b"WAVE":
        container, endian = head[:4].decode(), known[head[:4]]
        (length,) = struct.unpack(endian + "I", head[4:8])
        return _read_chunks(_riff_chunks(at, start + 12, size, endian), at, size, container, endian, length)
    return None


def _riff_chunks(at: _Read, position: int, size: int, endian: str) -> Iterator[_Chunk]:
    """Yield chunks while there are valid names."""
    while position + 8 <= size:
        name, length = struct.unpack(endian + "4sI", at(position, 8))
        if not _is_name(name):
            return
        following = position + 8 + length + length % 2
        yield name, position + 8, length, following
        position = following


def _w64_chunks(at: _Read, position: int, size: int) -> Iterator[_Chunk]:
    """Yield chunks of Wave64, whose names are GUIDs and whose lengths include the 24 bytes of a chunk's header."""
    while position + 24 <= size:
        name, length = struct.unpack("<16sQ", at(position, 24))
        if length < 24 or not _is_name(name[:4]):
            return
        following = position + (length + 7) // 8 * 8
        yield name[:4], position + 24, length - 24, following
        position = following


def _is_name(letters: bytes) -> bool:
    return len(letters) == 4 and all(32 <= letter < 127 for letter in letters)


def _read_chunks(
    chunks: Iterator[_Chunk], at: _Read, size: int, container: str, endian: str, riff_length: int
) -> WavHeader:
    names: list[bytes] = []
    layout: WavFormat | None = None
    data: tuple[int, int, bool] | None = None
    long_length, end, lists_agree = 0, size, True
    for name, offset, length, end in chunks:  # noqa: B007
        if len(names) == _MOST_CHUNKS:
            if data is None:
                raise AudioProblem(f"no samples among its first {_MOST_CHUNKS:,} chunks; expected a WAV file")
            break
        if name in (b"fmt ", b"data") and name in names:
            raise AudioProblem(
                f"several chunks {name.decode().strip()!r}; expected one; convert it to a plain WAV file"
            )
        names.append(name)
        if name in (b"fmt ", b"ds64") and offset + 16 > size and length >= 16:
            raise AudioProblem(f"truncated: {size} bytes, which end in its header; download it again")
        if name == b"ds64" and length >= 16:
            (long_length,) = struct.unpack("<Q", at(offset + 8, 8))
        elif name == b"fmt " and length >= 16:
            layout = parse_format(at(offset, min(length, 40)), length, endian)
        elif name == b"LIST":
            lists_agree = lists_agree and _is_list(at(offset, min(length, _LONGEST_LIST)), length)
        elif name == b"data":
            if layout is None:
                break
            if container == "RF64" and length == 0xFFFF_FFFF:
                length = long_length
            data = offset, *_samples_length(at, offset, length, size)
            if container == "RF64" or not data[2]:
                break  # the next chunk cannot be found from this one's length
    if layout is None:
        raise AudioProblem(
            "a WAV file that does not say its format before its samples; expected audio; convert it again"
        )
    if data is None:
        raise no_recording("a WAV file without samples; expected audio")
    missing = data[0] + data[1] - size
    if missing > 0:
        raise AudioProblem(f"truncated: {missing} of {data[1]} bytes of samples missing; download it again")
    return WavHeader(container, riff_length, layout, *data, tuple(names), end, lists_agree)


def _is_list(body: bytes, length: int) -> bool:
    """Whether a list contains complete texts only: four letters, a length, and a text with an even number of bytes."""
    position = 4
    while position + 8 <= len(body) == length and _is_name(body[position : position + 4]):
        text = int.from_bytes(body[position + 4 : position + 8], "little")
        position += 8 + text + text % 2
    return body[:4] == b"INFO" and position == len(body) == length


def _samples_length(at: _Read, offset: int, length: int, size: int) -> tuple[int, bool]:
    """Return the bytes of samples, and whether the file gives their number; otherwise they extend to its end."""
    if length == 0 and offset + 8 <= size and not _is_name(at(offset, 4)):
        return size - offset, False
    if offset + length > size and is_unknown_length(length):
        return size - offset, False
    return length, True
