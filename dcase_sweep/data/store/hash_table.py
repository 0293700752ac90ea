"""The tables of hashes in the cache: one binary file for each folder of recordings, with a checksum."""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dcase_sweep.data.store.index import remove
from dcase_sweep.utils.files import write_bytes

#: Bytes of a digest.
DIGEST = 16
MAGIC = b"dcase_sweep contents 1\n"
_SECOND = 10**9
_ROW = np.dtype([(name, "<u8") for name in ("name", "device", "inode", "size", "mtime", "ctime", "blocks")])


class Stamp(NamedTuple):
    """Attributes of a file; times in ns."""

    device: int
    inode: int
    size: int
    mtime: int
    ctime: int

    @property
    def is_exact(self) -> bool:
        """Whether ctime shows every change: it has a resolution below one second and cannot be set."""
        return os.name == "posix" and self.ctime % _SECOND != 0


class HashRow(NamedTuple):
    """The entry for a stamp in a table: hashes of the file's name, of some of its blocks, and of its content."""

    name: int
    blocks: int
    digest: bytes


def make_stamp(status: os.stat_result) -> Stamp:
    """Return the attributes in the result of ``os.stat``."""
    return Stamp(
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns % 2**64,  # a time before 1970 is negative
        status.st_ctime_ns % 2**64,
    )


def newest_tables(folder: Path) -> list[Path]:
    """List the tables in a folder, the last used first."""
    try:
        paths = [path for path in folder.iterdir() if path.suffix == ".bin" and path.is_file()]
        return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return []


def read_table(path: Path) -> dict[Stamp, HashRow]:
    """Read a table; return an empty one if it is missing or damaged."""
    try:
        if not path.is_file():
            return {}
        text = path.read_bytes()
    except OSError:
        return {}
    begin = len(MAGIC) + 4
    body = text[begin:]
    if text[: len(MAGIC)] != MAGIC or zlib.crc32(body) != int.from_bytes(text[len(MAGIC) : begin], "little"):
        return {}
    count, rest = divmod(len(body), _ROW.itemsize + DIGEST)
    if rest:
        return {}
    rows = np.frombuffer(body, _ROW, count).tolist()
    return dict(_entries(rows, body[count * _ROW.itemsize :]))


def _entries(rows: list[tuple[int, ...]], digests: bytes) -> Iterator[tuple[Stamp, HashRow]]:
    for number, (name, device, inode, size, mtime, ctime, blocks) in enumerate(rows):
        known = HashRow(name, blocks, digests[number * DIGEST : (number + 1) * DIGEST])
        yield Stamp(device, inode, size, mtime, ctime), known


def write_table(path: Path, rows: dict[Stamp, HashRow]) -> None:
    """Write a table; its folder is created.

    Raises:
        OSError: if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        remove(path)  # a pipe in its place must not be written to
    array = np.array([(known.name, *stamp, known.blocks) for stamp, known in rows.items()], _ROW)
    body = array.tobytes() + b"".join(known.digest for known in rows.values())
    write_bytes(path, MAGIC + zlib.crc32(body).to_bytes(4, "little") + body)
