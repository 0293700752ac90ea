"""Length of MPEG audio, counted in frames.

An encoder may store the number of frames in the first one (Xing, Info, VBRI). Otherwise libsndfile divides the length
of the file by that of the first frame, and stops there even if the bit rate varies and more frames follow.
"""

from collections.abc import Callable
from dataclasses import dataclass

from dcase_sweep.audio.problems import AudioProblem

#: kbit/s by index, for (version 1, layer), then for version 2 and 2.5.
_BIT_RATES = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = (44_100, 48_000, 32_000)
#: Limit on frames: a day and a half at 44.1 kHz.
_MOST_FRAMES = 5_000_000
#: Bytes in one read.
_WINDOW = 2**20


@dataclass(frozen=True, slots=True)
class MpegFrame:
    """The header of a frame."""

    length: int
    samples: int


def parse_frame(header: bytes) -> MpegFrame | None:
    """Parse the first 4 bytes of a frame; None if they are not a frame's."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = {0: 3, 2: 2, 3: 1}.get(header[1] >> 3 & 3), 4 - (header[1] >> 1 & 3)
    bit_rate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version is None or layer == 4 or bit_rate in (0, 15) or rate == 3:
        return None
    sample_rate = _SAMPLE_RATES[rate] >> (version - 1)
    bits = 1_000 * _BIT_RATES[min(version, 2), layer][bit_rate - 1]
    padding = header[2] >> 1 & 1
    if layer == 1:
        return MpegFrame(4 * (12 * bits // sample_rate + padding), 384)
    samples = 576 if layer == 3 and version > 1 else 1152
    return MpegFrame(samples // 8 * bits // sample_rate + padding, samples)


@dataclass(frozen=True, slots=True)
class MpegLength:
    """The frames of a file, and the samples of one channel in them."""

    frames: int
    samples: int


def count_frames(at: Callable[[int, int], bytes], size: int, start: int) -> MpegLength:
    """Count all frames from ``start`` on.

    Args:
        at: reads so many bytes (second) at a position (first).
        size: length of the file in bytes.
        start: position of the first frame in the file.

    Raises:
        AudioProblem: if there are not even two frames, or the last one is cut off.
    """
    position, samples, window, origin = start, 0, b"", start
    for number in range(_MOST_FRAMES):
        if position + 4 > origin + len(window):
            origin, window = position, at(position, _WINDOW)
        frame = parse_frame(window[position - origin : position - origin + 4])
        if frame is None:
            if number < 2:
                raise AudioProblem("not audio that libsndfile can read (no MPEG frames); expected WAV, FLAC or OGG")
            return MpegLength(number, samples)
        if position + frame.length > size:
            raise AudioProblem("truncated: an MP3 file that ends within a frame; download it again")
        position += frame.length
        samples += frame.samples
    raise AudioProblem(
        f"{_MOST_FRAMES:,} MPEG frames and more; expected a recording of at most a day; cut it or convert it to WAV"
    )


def stated_frames(head: bytes) -> int | None:
    """Read the number of frames from the first one; None if it does not give it."""
    for tag, offset in ((b"Xing", 8), (b"Info", 8), (b"VBRI", 14)):
        position = head.find(tag, 0, 256)
        if position > 0:
            has_it = tag == b"VBRI" or (head[position + 7 : position + 8] and head[position + 7] & 1)
            stated = head[position + offset : position + offset + 4]
            return int.from_bytes(stated, "big") if has_it and len(stated) == 4 else None
    return None
