"""Recordings named on a command line: files, folders and standard input."""

import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dcase_sweep.audio.files import AUDIO_SUFFIXES, UNREADABLE_SUFFIXES
from dcase_sweep.audio.problems import AudioProblem
from dcase_sweep.audio.reading import open_decoder
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.folders import list_files
from dcase_sweep.utils.text import is_unicode, printable

log = logging.getLogger(__name__)

_STANDARD_INPUT = "-"
_HEAD = 16
_BLOCK = 2**20
#: Largest size of a list of names on standard input, in bytes.
_MOST_NAMES = 64 * 2**20
#: First bytes of audio files.
_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b"fLaC", b"OggS", b"ID3", b".snd", b"caff", b"NIST_1A")


@dataclass(frozen=True, slots=True)
class Source:
    """A recording to predict.

    Attributes:
        name: name in tables: as typed, or relative to the folder if a single folder was named.
        path: path of the file.
        seconds: length; 0 if the file does not specify it.
        problem: why it cannot be used; None if it can.
    """

    name: str
    path: Path
    seconds: float = 0.0
    problem: str | None = None


def find_sources(words: Sequence[str], stack: ExitStack) -> list[Source]:
    """Return the recordings that files, folders and ``-`` name, without duplicates, and with their lengths.

    Args:
        words: files, folders, or ``-`` for standard input.
        stack: deletes the copy of an audio file from standard input when it is closed.

    Raises:
        UserError: for a folder without recordings, or unusable standard input.
    """
    found: dict[str, Path] = {}
    for word in words:
        if word == _STANDARD_INPUT:
            found |= dict(_read_standard_input(sys.stdin.buffer, stack))
        else:
            found |= dict(_list(word, is_only=len(words) == 1))
    return [_look(name, path) for name, path in found.items()]


def _list(word: str, *, is_only: bool = False) -> Iterator[tuple[str, Path]]:
    """Yield names and paths. Recordings of a single folder are named relative to it."""
    path = Path(word).expanduser()
    if not path.is_dir():
        yield word, path
        return
    files = list_recordings(path)
    if not files:
        raise UserError(
            f"{printable(word)}: no recordings in this folder; expected .wav, .flac, .ogg, .mp3 or the like"
        )
    for each in files:
        yield (each.relative_to(path) if is_only else each).as_posix(), each


def list_recordings(folder: Path) -> list[Path]:
    """Return the recordings in a folder and in those within it, by their paths, without hidden ones.

    Those of formats that libsndfile cannot read are among them, so that they are named.
    """
    suffixes = (*AUDIO_SUFFIXES, *UNREADABLE_SUFFIXES)
    return sorted(folder / name for name in list_files(folder, suffixes, on_error=_report_folder))


def _report_folder(error: OSError) -> None:
    log.warning(f"skipped: {printable(error.filename)}: {error.strerror}")


def _look(name: str, path: Path) -> Source:
    if not is_unicode(name):  # no table can contain it
        return Source(name, path, problem="its name is not UTF-8; rename it")
    try:
        with open_decoder(path) as decoder:
            return Source(name, path, (decoder.frames or 0) / decoder.sample_rate)
    except AudioProblem as problem:
        return Source(name, path, problem=str(problem))


def _read_standard_input(stream: BinaryIO, stack: ExitStack) -> Iterator[tuple[str, Path]]:
    head = stream.read(_HEAD)
    if not head:
        raise UserError("-: standard input is empty; expected an audio file or names of files")
    if _is_audio(head):
        # The reader needs the end of a file before its samples, so a pipe is copied to a file first.
        copy = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dcase_sweep-")), "standard_input")
        with copy.open("wb") as handle:
            handle.write(head)
            shutil.copyfileobj(stream, handle, _BLOCK)
        yield _STANDARD_INPUT, copy
        return
    content = head + stream.read(_MOST_NAMES)
    if len(content) > _MOST_NAMES:
        raise UserError(f"-: more than {_MOST_NAMES // 2**20} MiB of names; expected names of files, one per line")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise UserError("-: neither an audio file nor text in UTF-8; expected names of files, one per line") from None
    # Not splitlines: the name of a file may contain what Unicode takes for the end of a line.
    names = text.split("\0") if "\0" in text else text.replace("\r\n", "\n").split("\n")
    for name in filter(None, names):
        yield from _list(name)


def _is_audio(head: bytes) -> bool:
    """Whether a stream starts like an audio file. File names do not contain the bytes that follow the first letters."""
    if head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE0 == 0xE0:  # MPEG
        return True
    return head.startswith(_MAGIC) and (head[8:12] in (b"WAVE", b"AIFF", b"AIFC") or any(byte < 9 for byte in head[3:]))
