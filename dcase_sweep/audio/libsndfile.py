"""Reading with libsndfile, limited to files that it reads correctly."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import FileIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.containers import Length
from dcase_sweep.audio.overlaid import Overlaid
from dcase_sweep.audio.problems import AudioProblem, check_rate_and_channels
from dcase_sweep.audio.wav import WavHeader
from dcase_sweep.audio.wav_format import WavFormat

if TYPE_CHECKING:
    import soundfile

#: Accepted containers. Others are recognised by so few bytes that garbage passes, or are not checked for completeness.
_CONTAINERS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3", "NIST")
_CHECKED_BY_HEADER = ("WAV", "WAVEX", "RF64", "W64")
_WIDTHS = {
    "PCM_U8": 1,
    "PCM_S8": 1,
    "PCM_16": 2,
    "PCM_24": 3,
    "PCM_32": 4,
    "FLOAT": 4,
    "DOUBLE": 8,
    "ULAW": 1,
    "ALAW": 1,
}
#: Frames that are decoded together, if channels are averaged or the length is not known.
_BLOCK = 65_536
#: Samples that an encoder adds at the two ends of an MP3 file, which libsndfile may leave out.
_FEW = 3 * 1152
#: Bytes that the header of a WAV file can tell of.
_LONGEST_WAV = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Decoder:
    """A file that libsndfile has opened."""

    sound: "soundfile.SoundFile"
    header: WavHeader | None
    #: Number of frames; None if the file does not give it.
    frames: int | None

    @property
    def sample_rate(self) -> int:
        """Sample rate (Hz)."""
        return int(self.sound.samplerate)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.sound.channels)

    @property
    def is_within_one(self) -> bool:
        """Whether samples are integers, which cannot exceed full scale."""
        return str(self.sound.subtype).startswith("PCM_")

    def count_frames(self) -> int:
        """Count the frames; they are decoded if the file does not give their number."""
        return sum(len(block) for block in self._blocks(None, _BLOCK)) if self.frames is None else self.frames

    def read(self, frames: int) -> NDArray[np.float32]:
        """Read the first samples ``[sample]``, channels averaged; fewer only if the file does not give their number.

        Raises:
            AudioProblem: if they cannot be decoded, or have another layout than the header says.
        """
        if self.frames is not None:
            frames = min(frames, self.frames)
        chunk_size = _BLOCK if self.channels > 1 or self.frames is None else max(frames, 1)
        parts = [_average(block) for block in self._checked(frames, chunk_size)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Read all samples in blocks ``[sample]``, channels averaged.

        Raises:
            AudioProblem: at the block where it shows, for samples that cannot be decoded or have another layout than
                the header says.
        """
        return (_average(block) for block in self.channel_blocks())

    def channel_blocks(self) -> Iterator[NDArray[np.float32]]:
        """Read all samples in blocks ``[frame, channel]``.

        Raises:
            AudioProblem: as `blocks`.
        """
        # The number of samples of an MP3 file is libsndfile's estimate.
        return self._checked(self.frames, _BLOCK, may_lack=_FEW if self.sound.format == "MP3" else 0)

    def _checked(self, frames: int | None, chunk_size: int, may_lack: int = 0) -> Iterator[NDArray[np.float32]]:
        """The first samples ``[frame, channel]``, or all; their layout and number are checked."""
        alignment = None if self.header is None else _Alignment(self.header.format)
        found = 0
        for block in self._blocks(frames, chunk_size):
            found += len(block)
            if alignment is not None:
                alignment.look_at(block)
            yield block
        if self.frames is not None and frames is not None and found < frames - may_lack:
            raise AudioProblem(f"truncated: {found} of {frames} samples could be decoded; download it again")
        if alignment is not None:
            alignment.check()

    def _blocks(self, frames: int | None, chunk_size: int) -> Iterator[NDArray[np.float32]]:
        import soundfile

        left = frames
        while left is None or left > 0:
            wanted = chunk_size if left is None else min(chunk_size, left)
            try:
                block: NDArray[np.float32] = self.sound.read(wanted, dtype="float32", always_2d=True)
            except (soundfile.LibsndfileError, RuntimeError) as error:
                raise AudioProblem(f"cannot be decoded ({_reason(error)}); download it again") from None
            if len(block):
                yield block
            if len(block) < wanted:
                return
            left = None if left is None else left - len(block)

    def check(self) -> None:
        """Check that libsndfile reads the file as its header says, and that it can be a recording.

        Raises:
            AudioProblem: if not.
        """
        if self.sound.format not in _CONTAINERS:
            raise AudioProblem(f"a file of type {self.sound.format}; expected WAV, FLAC or OGG; convert it")
        check_rate_and_channels(self.sample_rate, self.channels)
        if self.header is None:
            if self.sound.format in _CHECKED_BY_HEADER:
                raise AudioProblem(
                    f"a {self.sound.format} file in something else; expected WAV, FLAC or OGG; convert it"
                )
            return
        layout = self.header.format
        if (layout.channels, layout.sample_rate) != (self.channels, self.sample_rate):
            raise AudioProblem(f"a header that libsndfile reads as {self.channels} channels at {self.sample_rate} Hz")
        width = _WIDTHS.get(self.sound.subtype)
        if layout.sample_bytes is not None and (width is None or width * layout.channels != layout.block_align):
            raise _alignment_problem(layout)


def _average(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of the channels of samples ``[frame, channel]``."""
    return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)


class _Alignment:
    """Checks that PCM samples with fewer bits than their bytes use the upper bits, as the format requires.

    Samples in the lower bits would be read 6 dB too low for each unused bit.
    """

    def __init__(self, layout: WavFormat) -> None:
        self._layout = layout
        self._peak = 0.0
        self._has_low_bits = False

    def look_at(self, block: NDArray[np.float32]) -> None:
        """Record the levels of samples ``[frame, channel]``."""
        if self._layout.unused_bits:
            self._peak = max(self._peak, float(np.abs(block).max()))
            steps = block * np.float32(2.0 ** (self._layout.significant_bits - 1))
            self._has_low_bits = self._has_low_bits or bool((steps != np.rint(steps)).any())

    def check(self) -> None:
        """Refuse samples that use none of the upper bits, unless they use only the allowed ones."""
        is_low = 0 < self._peak < 2.0**-self._layout.unused_bits
        if is_low and (self._has_low_bits or self._layout.is_24_in_32):
            raise _alignment_problem(self._layout)


def _alignment_problem(layout: WavFormat) -> AudioProblem:
    return AudioProblem(
        f"{layout.significant_bits}-bit samples that do not fill their {layout.block_align // layout.channels} bytes "
        "from above, or cannot be told from such; convert it to 16-bit or 24-bit WAV"
    )


@cache
def _streaming() -> Any:
    import soundfile

    class Streaming(soundfile.SoundFile):
        """A file that is read from beginning to end, because libsndfile cannot seek without a length."""

        def seekable(self) -> bool:
            return False

    return Streaming


@contextmanager
def open_by_libsndfile(handle: FileIO, header: WavHeader | None, *, length: Length) -> Iterator[Decoder]:
    """Open a file by its descriptor, so that its name and suffix do not matter.

    Args:
        handle: the file.
        header: header of a WAV file.
        length: length according to the file.

    Raises:
        AudioProblem: for a file that libsndfile cannot read, or does not read correctly.
    """
    import soundfile

    frames = None
    source: Any = None
    if header is not None and not header.length_known:
        frames = header.data_length // header.format.block_align if header.format.sample_bytes else None
        source = _with_length(handle, header, frames or 0)
    handle.seek(0)
    if source is None:
        # The C library of Windows' libsndfile may not be Python's, and does not know its file descriptors. Elsewhere
        # it gets a descriptor of its own: before 1.2.2 it closes that of a file that it cannot read.
        source = handle if sys.platform == "win32" else os.dup(handle.fileno())
    kind: Any = soundfile.SoundFile if length.known else _streaming()
    try:
        sound = kind(source)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise AudioProblem(
            f"not audio that libsndfile can read ({_reason(error)}); expected WAV, FLAC or OGG; convert it"
        ) from None
    with sound:
        decoder = Decoder(sound, header, frames if frames or not length.known else int(sound.frames))
        decoder.check()
        if length.counted is not None and abs(int(sound.frames) - length.counted) > _FEW:
            raise AudioProblem(
                f"an MP3 file that does not say how long it is, of which libsndfile reads {sound.frames} of "
                f"{length.counted} samples; convert it to WAV or FLAC"
            )
        yield decoder


def _with_length(handle: FileIO, header: WavHeader, frames: int) -> Overlaid | None:
    """Return a file with a length of 0 in its header as one with its true length; libsndfile would read it as empty.

    None for any other wrong length, which libsndfile corrects.
    """
    if header.container not in ("RIFF", "RIFX"):
        return None
    handle.seek(0)
    begin = bytearray(handle.read(header.data_offset))
    if any(begin[-4:]):
        return None
    if header.format.sample_bytes is None:
        raise AudioProblem("a header that does not say how long its samples are; expected it to; convert it")
    align = header.format.block_align
    length = min(frames, (_LONGEST_WAV - len(begin)) // align) * align
    endian: Literal["little", "big"] = "little" if header.container == "RIFF" else "big"
    begin[-4:] = length.to_bytes(4, endian)
    begin[4:8] = (header.data_offset + length - 8).to_bytes(4, endian)
    return Overlaid(handle, bytes(begin), len(begin) + length)


def _reason(error: Exception) -> str:
    """Return libsndfile's message without the descriptor."""
    return str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(".")
