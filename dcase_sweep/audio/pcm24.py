"""Fast reading of 24-bit mono WAV, the format of TAU's recordings."""

from io import FileIO

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.wav import WavHeader
from dcase_sweep.audio.wav_format import PCM

#: Chunks that do not affect the layout of the samples.
_HARMLESS = {b"fmt ", b"data", b"LIST", b"JUNK", b"bext", b"fact"}


def is_plain_pcm24(header: WavHeader, size: int) -> bool:
    """Whether all fields of a header say 24-bit mono in frames of 3 bytes.

    Everything else is left to libsndfile, even if it probably means the same.
    """
    layout = header.format
    if layout.is_extensible:
        says_so = layout.has_standard_guid and layout.length == 40 and layout.extension_length == 22
        says_so = says_so and layout.valid_bits == 24
    else:
        says_so = layout.length == 16 or (layout.length == 18 and layout.extension_length == 0)
    return (
        says_so
        and header.container == "RIFF"
        and (layout.tag, layout.channels, layout.bits, layout.block_align) == (PCM, 1, 24, 3)
        and layout.byte_rate == 3 * layout.sample_rate
        and header.length_known
        and header.data_length > 0
        and header.data_length % 3 == 0
        and header.riff_length + 8 == size
        and header.end == size
        and header.lists_agree
        and _HARMLESS.issuperset(header.chunks)
    )


def decode_pcm24(handle: FileIO, data_offset: int, frames: int) -> NDArray[np.float32] | None:
    """Read a 24-bit mono WAV with the samples of libsndfile, about seven times as fast; None if the file ends early.

    Each sample's three bytes are read as the upper three of a 32-bit word that starts one byte earlier; the
    byte below them belongs to the sample before and is masked. Words are converted to samples in place.
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
