"""The layout of the samples of a WAV file, and checks of its consistency.

libsndfile derives the width of a sample from its number of bits and ignores the length of a frame, so it reads 24-bit
samples in frames of 4 bytes as noise. Such files are refused here first.
"""

import struct
from dataclasses import dataclass

from dcase_sweep.audio.problems import AudioProblem, check_rate_and_channels

PCM, FLOAT, A_LAW, MU_LAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_NAMES = {PCM: "PCM", FLOAT: "floating point", A_LAW: "A-law", MU_LAW: "mu-law"}
#: The bytes after the tag in the GUID of a sub-format.
_GUID = bytes.fromhex("000000001000800000aa00389b71")


@dataclass(frozen=True, slots=True)
class WavFormat:
    """``WAVEFORMATEX``, the description of samples in WAV and Wave64 files."""

    #: Format of the samples; with ``WAVE_FORMAT_EXTENSIBLE`` from its GUID.
    tag: int
    is_extensible: bool
    has_standard_guid: bool
    channels: int
    #: Sample rate (Hz).
    sample_rate: int
    #: Bytes per second.
    byte_rate: int
    #: Bytes of a frame, which has one sample of each channel.
    block_align: int
    #: Bits of a sample; with ``WAVE_FORMAT_EXTENSIBLE`` including unused bits.
    bits: int
    #: The used ones of ``bits``; None if the format has no such field.
    valid_bits: int | None
    #: Length of the whole description, and of its extension if it has one.
    length: int
    extension_length: int | None

    @property
    def sample_bytes(self) -> int | None:
        """Bytes of a sample, from its number of bits; None for compressed formats."""
        return (self.bits + 7) // 8 if self.tag in _NAMES else None

    @property
    def significant_bits(self) -> int:
        """Used bits of a sample."""
        return self.valid_bits if self.valid_bits and self.valid_bits < self.bits else self.bits

    @property
    def unused_bits(self) -> int:
        """Number of unused bits at the lower end of a PCM sample."""
        if self.tag != PCM or not self.channels:
            return 0
        return 8 * (self.block_align // self.channels) - self.significant_bits

    @property
    def is_24_in_32(self) -> bool:
        """Whether samples have 24 bits in 4 bytes without a statement of which; libsndfile guesses from the samples."""
        layout = self.tag, self.is_extensible, self.bits
        return layout == (PCM, False, 24) and self.block_align == 4 * self.channels

    def check(self) -> None:
        """Refuse contradictory descriptions, and layouts that libsndfile does not read correctly.

        Raises:
            AudioProblem: with what the header says and what was expected.
        """
        check_rate_and_channels(self.sample_rate, self.channels)
        if self.sample_bytes is None:
            return
        if self.tag == PCM:
            has_known_width = self.significant_bits >= 8 and self.bits <= 32
        else:
            has_known_width = self.bits in ((32, 64) if self.tag == FLOAT else (8,))
        if not has_known_width:
            raise AudioProblem(
                f"{_NAMES[self.tag]} samples of {self.significant_bits} bits; expected 8 to 32 bits of PCM, 32 or 64 "
                "of floating point, or 8 of A-law or mu-law; convert it to 16-bit or 24-bit WAV"
            )
        expected = self.sample_bytes * self.channels
        if self.block_align != expected and not self.is_24_in_32:
            raise AudioProblem(
                f"frames of {self.block_align} bytes for {self.channels} × {self.bits} bits; expected {expected}; "
                "convert it to 16-bit or 24-bit WAV"
            )


def parse_format(body: bytes, length: int, endian: str) -> WavFormat:
    """Parse the first bytes of the chunk: at least 16, or the 40 of an extensible format.

    Raises:
        AudioProblem: if the tag and an extension's sub-format differ.
    """
    tag, channels, rate, byte_rate, align, bits = struct.unpack(endian + "HHIIHH", body[:16])
    extension = struct.unpack(endian + "H", body[16:18])[0] if len(body) >= 18 else None
    is_extensible, is_standard, valid_bits = tag == EXTENSIBLE, False, None
    if len(body) >= 40 and (is_extensible or extension == 22):
        (sub_format,) = struct.unpack(endian + "H", body[24:26] if endian == "<" else body[26:28])
        is_standard = body[26:40] == _GUID
        if is_extensible:
            (valid_bits,) = struct.unpack(endian + "H", body[18:20])
            tag = sub_format
        elif is_standard and sub_format != tag:
            raise AudioProblem(
                f"samples of format {tag} ({_NAMES.get(tag, 'another')}) by its tag and of format {sub_format} "
                f"({_NAMES.get(sub_format, 'another')}) by its extension; expected one; convert it again"
            )
    return WavFormat(
        tag, is_extensible, is_standard, channels, rate, byte_rate, align, bits, valid_bits, length, extension
    )
