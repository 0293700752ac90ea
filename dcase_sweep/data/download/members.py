"""The files in an archive, checked before anything is unpacked: an archive from the network is not trusted.

Refused are names that lead out of the folder, links and devices, encrypted files, two files of one name, and archives
that unpack to much more than audio does.
"""

import errno
import gzip
import io
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dcase_sweep.utils.archive_members import DAMAGE, NOT_A_FILE, TWICE, is_of_macos, name_problem, zip_problem
from dcase_sweep.utils.machine import format_bytes
from dcase_sweep.utils.text import printable

#: An archive that unpacks to more than this many times its own size, plus this many bytes, does not contain audio: WAV
#: files are compressed to a half or a third.
_RATIO = 30
_ALLOWANCE = 64 * 2**20
#: Largest number of files in an archive. The largest archive of the catalogue has 25,000.
_MOST_FILES = 500_000
#: Largest header of a member of a tar archive, in bytes.
_LONGEST_HEADER = 2**20


class BadArchive(Exception):
    """An archive is damaged, or is refused; the message has the reason in one line."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    Attributes:
        name: path below the root, with slashes.
        size: size in bytes.
        open: function that opens its contents.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]]


@contextmanager
def open_archive(path: Path, folder: str = "") -> Iterator[list[Member]]:
    """Yield the files in a zip or tar.gz archive after all of them are checked.

    Args:
        path: path of the archive.
        folder: the folder in the archive whose contents are moved to the root.

    Raises:
        BadArchive: if it is damaged or refused.
    """
    try:
        if path.name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                yield _check(_zip_members(archive), folder, path)
        else:
            with gzip.open(path) as stream, tarfile.open(fileobj=_Bounded(stream), mode="r:") as archive:
                yield _check(_tar_members(archive), folder, path)
    except DAMAGE as error:
        raise BadArchive(f"damaged: {printable(error, 160)}") from None
    except OSError as error:
        if error.errno != errno.EINVAL or error.filename is not None:
            raise
        raise BadArchive("damaged: its directory points before its start") from None  # zipfile goes there


def _check(members: Iterator[Member], folder: str, path: Path) -> list[Member]:
    limit = _ALLOWANCE + _RATIO * path.stat().st_size
    found: dict[str, Member] = {}
    folders: set[str] = set()
    total = 0
    for member in members:
        total += member.size
        if total > limit:
            raise BadArchive(f"its files have more than {format_bytes(limit)}, {_RATIO} times the size of the archive")
        parts = _safe_parts(member.name)
        if is_of_macos(member.name):
            continue
        if parts[0] == folder:
            parts = parts[1:]
        name = "/".join(parts)
        if not name or name in found:
            raise BadArchive(f"{printable(member.name)}: {TWICE}")
        found[name] = Member(name, member.size, member.open)
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
        if len(found) > _MOST_FILES:
            raise BadArchive(f"more than {_MOST_FILES:,} files")
    for name in folders & found.keys():
        raise BadArchive(f"{printable(name)}: both a file and a folder")
    if not found:
        raise BadArchive("no files in it")
    return list(found.values())


def _safe_parts(name: str) -> Sequence[str]:
    """Split the name of a member; refuse those that could be a path outside of a folder on any system."""
    if problem := name_problem(name):
        raise BadArchive(f"{printable(name)}: {problem}")
    return [unicodedata.normalize("NFC", part) for part in name.split("/") if part != "."]


def _check_folder(name: str) -> None:
    if name.rstrip("/") != ".":
        _safe_parts(name.rstrip("/"))


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        if info.is_dir():
            _check_folder(info.filename)
            continue
        if problem := zip_problem(info):
            raise BadArchive(f"{printable(info.orig_filename)}: {problem}")
        yield Member(info.filename, info.file_size, lambda info=info: archive.open(info))  # type: ignore[misc]


def _tar_members(archive: tarfile.TarFile) -> Iterator[Member]:
    for info in archive:
        if info.isdir():
            _check_folder(info.name)
            continue
        if not info.isreg() or info.issparse():
            raise BadArchive(f"{printable(info.name)}: {NOT_A_FILE}")
        yield Member(info.name, info.size, lambda info=info: _extract(archive, info))  # type: ignore[misc]


def _extract(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(info)
    assert stream is not None  # it is a file
    return stream


class _Bounded(io.RawIOBase):
    """A stream that limits each read: tarfile reads as many bytes as the header of a member claims."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True
