"""Opening of recordings."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from dcase_sweep.audio.problems import AudioProblem, no_recording

#: Suffixes of recordings in a folder. A file that is named itself may have any suffix.
AUDIO_SUFFIXES = (
    *(".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"),
    *(".w64", ".rf64", ".sph", ".nist"),
)
#: Suffixes of recordings that libsndfile cannot read. They are named, so that none is missing unnoticed.
UNREADABLE_SUFFIXES = (
    *(".m4a", ".m4b", ".aac", ".mp4", ".3gp", ".wma", ".amr", ".ac3", ".ape", ".wv", ".mka", ".webm", ".dsf", ".dff"),
)
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@contextmanager
def open_file(path: Path) -> Iterator[tuple[FileIO, int]]:
    """Open a file; yield it and its size in bytes.

    Raises:
        AudioProblem: if the file is missing, not readable, empty, or not a regular file (a pipe would block).
    """
    try:
        status = _status(path)
        if not stat.S_ISREG(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
            raise no_recording(f"not a file but {kind}; expected audio")
        if status.st_size == 0:
            raise AudioProblem("0 bytes; expected audio; download it again")
        # Each system call releases Python's lock, so few are made: no buffer, one file, one header.
        with path.open("rb", buffering=0) as handle:
            yield handle, status.st_size
    except (FileNotFoundError, NotADirectoryError):
        listed = "listed but not on disk; restore the file or remove its row"
        raise AudioProblem("no such file; expected an audio file", listed=listed) from None
    except OSError as error:
        reason = error.strerror or error
        raise AudioProblem(f"cannot be read ({reason}); check the file's permissions and its disk") from None


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except ValueError:  # NUL, or a character that the file system's encoding lacks
        name = "a name that no file can have"
        raise AudioProblem(
            f"{name}; expected an audio file", listed=f"{name}; correct the table that lists it"
        ) from None
