"""WAV files written byte by byte, so that each field of the header can be changed."""

import struct

import numpy as np
from numpy.typing import NDArray

RATE = 8_000
_GUID = bytes.fromhex("000000001000800000aa00389b71")


def noise(samples: int = 2_000, level: float = 0.25) -> NDArray[np.float64]:
    """Uniform noise; its root mean square is 0.58 of the level."""
    return np.random.default_rng(3).uniform(-level, level, samples)


def pcm(samples: NDArray[np.float64], bits: int, width: int, *, at_top: bool = True, endian: str = "<") -> bytes:
    """Encode integers with this number of bits in this number of bytes, in the upper or lower bits."""
    numbers = np.round(samples * 2 ** (bits - 1)).astype(np.int64)
    if at_top:
        numbers = numbers << (8 * width - bits)
    octets = numbers.astype(endian + "i8").view(np.uint8).reshape(-1, 8)
    return (octets[:, :width] if endian == "<" else octets[:, 8 - width :]).tobytes()


def chunk(name: bytes, body: bytes, *, length: int | None = None, endian: str = "<") -> bytes:
    """A chunk, padded to an even length."""
    return name + struct.pack(endian + "I", len(body) if length is None else length) + body + b"\0" * (len(body) % 2)


def extension(valid_bits: int, *, sub_format: int = 1, mask: int = 4, guid: bytes = _GUID) -> bytes:
    """Return the fields that ``WAVE_FORMAT_EXTENSIBLE`` adds to the format."""
    return struct.pack("<HHIH", 22, valid_bits, mask, sub_format) + guid


def wav(
    data: bytes,
    *,
    bits: int,
    align: int | None = None,
    tag: int = 1,
    channels: int = 1,
    rate: int = RATE,
    byte_rate: int | None = None,
    extended: bytes = b"",
    data_length: int | None = None,
    riff_length: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
    container: bytes = b"RIFF",
) -> bytes:
    """Return a WAV file with a consistent header except for the given fields."""
    endian = ">" if container == b"RIFX" else "<"
    align = (bits + 7) // 8 * channels if align is None else align
    byte_rate = min(rate * align, 2**32 - 1) if byte_rate is None else byte_rate
    layout = struct.pack(endian + "HHIIHH", tag, channels, rate, byte_rate, align, bits) + extended
    body = b"WAVE" + before + chunk(b"fmt ", layout, endian=endian)
    body += chunk(b"data", data, length=data_length, endian=endian) + after
    return container + struct.pack(endian + "I", len(body) if riff_length is None else riff_length) + body
