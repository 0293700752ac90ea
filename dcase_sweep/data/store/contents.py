"""Hashes of the contents of files. Each file is read once; later its file system attributes show if it has changed.

Name, size and modification time do not identify a recording: archives with fixed times, container layers, ``cp -p`` and
``touch -r`` make them equal. The change time of the inode (ctime) cannot be set, so device, inode, size and both times
together show whether a file is still the one that was hashed. There is a table of them for each folder of recordings.

Three cases need more than the table:

- A file that changed less than two seconds before it was hashed is not entered, because a second change could have the
  same time.
- On file systems with times in whole seconds, such as images, another file may have the same times. A few blocks of the
  file are hashed and compared.
- The same folder may have another device number or other inodes on another host or after a restart. Then name, size and
  both times must be equal, and the same blocks are compared.
"""

import hashlib
import os
import stat
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dcase_sweep.data.store.hash_table import (
    DIGEST,
    HashRow,
    Stamp,
    make_stamp,
    newest_tables,
    read_table,
    write_table,
)

#: The folder of tables under the root of stores.
FOLDER = "contents"
#: A file that changed less than this time (ns) before it was hashed could change again without a change of its times.
_RACY = 2 * 10**9
_CHUNK = 2**20
_BLOCK, _BLOCKS = 4096, 4
#: Rows that are stored for one name: on several hosts a folder has several device numbers.
_ROWS_OF_A_NAME = 4
#: Tables of other folders that are searched for files that were moved.
_TABLES = 64


@dataclass(frozen=True, slots=True)
class _Hashed:
    stamp: Stamp
    digest: bytes
    blocks: int
    #: Whether the stamp will change if the file changes.
    is_settled: bool


class FileContents:
    """Digests of the files under one folder.

    Args:
        root: the folder of recordings.
        store_root: the folder of the stores and of these tables.
    """

    def __init__(self, root: Path, store_root: Path) -> None:
        self.root = root
        self._folder = store_root / FOLDER
        self._resolved = os.path.realpath(root)
        self._table = self._folder / f"{hashlib.sha256(os.fsencode(self._resolved)).hexdigest()[:16]}.bin"
        self._known = read_table(self._table)
        self._by_name: dict[tuple[int, int, int, int], HashRow] | None = None
        self._elsewhere: dict[Stamp, HashRow] | None = None
        self._new: dict[Stamp, HashRow] = {}

    def recall(self, name: str) -> bytes | None:
        """Return the digest of a file if it is known without reading the file."""
        stamp = self._stamp(name)
        return None if stamp is None else self._recall(name, stamp)

    def digest(self, name: str) -> bytes | None:
        """Return the digest of a file, which is read if necessary; None if it is not a file or cannot be read."""
        stamp = self._stamp(name)
        if stamp is None:
            return None
        known = self._recall(name, stamp)
        if known is not None:
            return known
        hashed = self._hash(name)
        return None if hashed is None else hashed.digest

    def digests(self, names: Sequence[str], workers: int = 1) -> list[bytes | None]:
        """Return the digests of many files, and save new ones."""
        found = [self.recall(name) for name in names]
        missing = [position for position, digest in enumerate(found) if digest is None]
        if missing:
            with ThreadPoolExecutor(workers) as pool:
                hashed = pool.map(self.digest, (names[position] for position in missing))
                for position, digest in zip(missing, hashed, strict=True):
                    found[position] = digest
        self.save()
        return found

    def holds(self, name: str, digest: bytes | None, *, read: bool = False) -> bool:
        """Whether a file still has this digest.

        Args:
            name: name of the file under the root.
            digest: expected digest; None for a file that cannot be read.
            read: hash the file even if its attributes have not changed.
        """
        if read:
            hashed = self._hash(name)
            return (None if hashed is None else hashed.digest) == digest
        return self.digest(name) == digest

    def save(self) -> None:
        """Add new entries to the table, which other processes may have extended.

        If the table cannot be written, files are read again next time.
        """
        if not self._new:
            with suppress(OSError):
                os.utime(self._table)
            return
        rows = read_table(self._table) | self._new
        by_name: dict[int, list[tuple[Stamp, HashRow]]] = {}
        for stamp, known in rows.items():
            of_name = by_name.setdefault(known.name, [])
            others = [row for row in of_name if row[0][:2] != stamp[:2]]
            of_name[:] = [*others[1 - _ROWS_OF_A_NAME :], (stamp, known)]
        kept = dict(row for of_name in by_name.values() for row in of_name)
        with suppress(OSError):
            write_table(self._table, kept)
        self._new = {}

    def _stamp(self, name: str) -> Stamp | None:
        try:
            status = os.stat(os.path.join(self._resolved, name))
        except (OSError, ValueError):
            return None
        return make_stamp(status) if stat.S_ISREG(status.st_mode) else None

    def _recall(self, name: str, stamp: Stamp) -> bytes | None:
        known = self._known.get(stamp)
        if known is not None and stamp.is_exact:
            return known.digest
        if known is None and stamp.is_exact:
            known = self._moved(stamp)
            if known is not None:
                self._enter(stamp, HashRow(_name_hash(name), known.blocks, known.digest))
                return known.digest
        if known is None:
            known = self._under_the_name(name, stamp)
        if known is None:
            return None
        try:
            with open(os.path.join(self._resolved, name), "rb", buffering=0) as handle:
                if _hash_blocks(handle.fileno(), stamp.size) != known.blocks:
                    return None
        except OSError:
            return None
        if stamp not in self._known:
            self._enter(stamp, known)
        return known.digest

    def _moved(self, stamp: Stamp) -> HashRow | None:
        """Find the same file in the tables of other folders."""
        if self._elsewhere is None:
            self._elsewhere = {}
            for table in newest_tables(self._folder)[:_TABLES]:
                if table != self._table:
                    self._elsewhere |= read_table(table)
        return self._elsewhere.get(stamp)

    def _under_the_name(self, name: str, stamp: Stamp) -> HashRow | None:
        """Find a file with the same name, size and times; device and inode may differ."""
        if self._by_name is None:
            self._by_name = {(known.name, *stamp[2:]): known for stamp, known in self._known.items()}
        return self._by_name.get((_name_hash(name), *stamp[2:]))

    def _hash(self, name: str) -> _Hashed | None:
        try:
            hashed = hash_file(os.path.join(self._resolved, name))
        except OSError:
            return None
        if hashed is not None and hashed.is_settled:
            self._enter(hashed.stamp, HashRow(_name_hash(name), hashed.blocks, hashed.digest))
        return hashed

    def _enter(self, stamp: Stamp, known: HashRow) -> None:
        self._known[stamp] = self._new[stamp] = known


def hash_file(path: str) -> _Hashed | None:
    """Hash one regular file; return None if it is not one, or keeps changing.

    Raises:
        OSError: if it cannot be read.
    """
    # Opening a named pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        for _ in range(3):
            began, status = time.time_ns(), os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return None
            stamp = make_stamp(status)
            digest = hashlib.sha256()
            position = 0
            while position < stamp.size:
                chunk = _read_at(descriptor, min(_CHUNK, stamp.size - position), position)
                if not chunk:
                    break
                digest.update(chunk)
                position += len(chunk)
            blocks = _hash_blocks(descriptor, stamp.size)
            if make_stamp(os.fstat(descriptor)) == stamp:
                return _Hashed(stamp, digest.digest()[:DIGEST], blocks, stamp.ctime < began - _RACY)
    finally:
        os.close(descriptor)
    return None


def _hash_blocks(descriptor: int, size: int) -> int:
    """Hash a few blocks of a file, from its beginning to its end."""
    digest = hashlib.sha256()
    last = max(0, size - _BLOCK)
    for number in range(_BLOCKS):
        digest.update(_read_at(descriptor, _BLOCK, last * number // (_BLOCKS - 1)))
    return int.from_bytes(digest.digest()[:8], "little")


def _read_at(descriptor: int, count: int, position: int) -> bytes:
    os.lseek(descriptor, position, os.SEEK_SET)  # Windows has no os.pread
    return os.read(descriptor, count)


def _name_hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=8).digest(), "little")
