"""WAV files: what their chunks say, and 24-bit samples without a decoder."""

import struct
from dataclasses import dataclass
from io import FileIO

import numpy as np
from numpy.typing import NDArray

#: Bytes that are read at first: the chunks before the samples seldom take more.
_HEAD = 4096
#: What streaming writers leave behind as the length of the samples: libsndfile reads to the end of the file.
_UNKNOWN = (0, 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class WavChunks:
    """The format of a WAV file and where its samples are."""

    format_tag: int
    channels: int
    sample_rate: int
    bits: int
    data_offset: int
    data_bytes: int

    @property
    def is_mono_pcm24(self) -> bool:
        """The one layout that :func:`decode_pcm24` reads."""
        layout = self.format_tag, self.channels, self.bits
        return layout == (1, 1, 24) and self.data_bytes not in _UNKNOWN

    def missing_bytes(self, size: int) -> int:
        """How many bytes of samples a file of ``size`` bytes lacks."""
        return 0 if self.data_bytes in _UNKNOWN else max(0, self.data_offset + self.data_bytes - size)


def wav_chunks(handle: FileIO, size: int) -> WavChunks | None:
    """The chunks of a RIFF WAVE file of ``size`` bytes, or None for another format or a layout left to libsndfile."""
    head = handle.read(_HEAD)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None

    def at(position: int, count: int) -> bytes:
        if position + count <= len(head):
            return head[position : position + count]
        handle.seek(position)
        return handle.read(count)

    position, layout = 12, None
    while position + 8 <= size:
        name, length = struct.unpack("<4sI", at(position, 8))
        if name == b"fmt ":
            body = at(position + 8, min(length, 40))
            if len(body) < 16:
                return None
            tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
            if tag == 0xFFFE and len(body) >= 26:  # WAVE_FORMAT_EXTENSIBLE keeps the tag in its GUID
                tag = struct.unpack("<H", body[24:26])[0]
            layout = tag, channels, rate, bits
        elif name == b"data":
            return WavChunks(*layout, position + 8, length) if layout else None
        position += 8 + length + length % 2
    return None


def decode_pcm24(handle: FileIO, data_offset: int, frames: int) -> NDArray[np.float32] | None:
    """Samples of a 24-bit mono WAV, bit for bit those of libsndfile, about seven times as fast; None if they end early.

    Each sample's three bytes are read as the upper three of a 32-bit word that starts one byte earlier; the
    byte below them belongs to the neighbour and is masked away. Words become samples in place.
    """
    raw = np.empty(3 * frames + 1, dtype=np.uint8)
    handle.seek(data_offset - 1)
    if handle.readinto(raw.data) < raw.size:
        return None
    words = np.ndarray((frames,), "<i4", raw, 0, (3,)) & -256
    samples = words.view(np.float32)
    np.copyto(samples, words, casting="unsafe")
    samples *= np.float32(1 / 2**31)
    return samples
