"""One store's folder: its name, its files, and whether they hold what was written."""

import errno
import hashlib
import json
import os
import shutil
import stat
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.data.compute import ClipState
from dcase_sweep.data.store.contents import DIGEST
from dcase_sweep.data.store.index import Journal, index_text, parse_index, read_bounded
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text

#: Raise when the same configuration begins to mean other features.
VERSION = 4
FEATURES, CHECKSUMS, CONTENTS, JOURNAL, INDEX, USE = (
    "features.npy",
    "checksums.npy",
    "contents.npy",
    "states.jsonl",
    "store.json",
    "use.json",
)
FILES = (FEATURES, CHECKSUMS, CONTENTS, JOURNAL, INDEX, USE)
_SPARE_BYTES = 64 * 2**20
#: What stands for a file that cannot be read.
_NO_CONTENT = bytes(DIGEST)

Digests = Sequence[bytes | None]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def front_end_folder(store_root: Path, configuration: dict[str, Any], version: int = VERSION) -> Path:
    """Where the stores of one front end lie."""
    return store_root / _hash({"version": version, **configuration})


def locate_store(digests: Digests, store_root: Path, configuration: dict[str, Any]) -> Path:
    """Where the features of recordings with these contents, in this order, lie."""
    contents = hashlib.sha256(b"".join(digest or _NO_CONTENT for digest in digests)).hexdigest()[:16]
    return front_end_folder(store_root, configuration) / contents


def checksum(row: NDArray[np.float32]) -> int:
    """CRC-32 of one clip's features, never 0."""
    return zlib.crc32(row.data) or 1


def rows_that_hold(features: NDArray[np.float32], checksums: NDArray[np.uint32], workers: int) -> NDArray[np.bool_]:
    """Which clips' features are what was written ``[clip]``."""
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(lambda i: checksums[i] != 0 and checksum(features[i]) == checksums[i], range(len(features)))
        return np.array(list(found), dtype=bool)


def load_array(path: Path, shape: tuple[int, ...] | None, dtype: Any, mode: Literal["r", "r+"]) -> Any:
    """A memory-mapped array, or None if it is missing, of another shape or type, cut, too long or not readable.

    Args:
        path: of the file in NumPy's format.
        shape: what the array must have; None takes any.
        dtype: what its values must be.
        mode: of the mapping; with ``r+`` a file that is cut or too long gets its length back.
    """
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a named pipe would wait for its writer
            return None
        array = np.lib.format.open_memmap(path, mode=mode)
    except (OSError, ValueError, TypeError, EOFError, OverflowError, MemoryError, RecursionError):
        return None
    if array.dtype != dtype or not array.flags.c_contiguous or (shape is not None and array.shape != shape):
        return None
    length = array.offset + array.nbytes
    if length != status.st_size:
        if mode == "r":
            return None
        os.truncate(path, length)
    return array


@dataclass
class Folder:
    """One store's files and the arrays in them."""

    path: Path
    shape: tuple[int, ...]

    def arrays(self, mode: Literal["r", "r+"]) -> tuple[NDArray[np.float32], NDArray[np.uint32]] | None:
        """Features and checksums, or None if one of them is not as it was written."""
        features = load_array(self.path / FEATURES, self.shape, np.float32, mode)
        checksums = load_array(self.path / CHECKSUMS, self.shape[:1], np.uint32, mode)
        return None if features is None or checksums is None else (features, checksums)

    def contents(self) -> list[bytes] | None:
        """The digest of each clip's recording; 16 zeros for one that could not be read."""
        array = load_array(self.path / CONTENTS, None, np.uint8, "r")
        if array is None or array.ndim != 2 or array.shape[1] != DIGEST:
            return None
        text = array.tobytes()
        return [text[begin : begin + DIGEST] for begin in range(0, len(text), DIGEST)]

    def holds_contents(self, digests: Digests) -> bool:
        """Whether these are the recordings that the folder's features are of."""
        return self.contents() == [digest or _NO_CONTENT for digest in digests]

    @property
    def is_finished(self) -> bool:
        """Whether there is an index, in whatever state."""
        return (self.path / INDEX).exists() or (self.path / INDEX).is_symlink()

    def index(self, clips: int) -> list[ClipState] | None:
        """What was noticed of each clip, or None if the store is not finished or its index is not as it was written."""
        text = read_bounded(self.path / INDEX, clips)
        return None if text is None else parse_index(text, version=VERSION, clips=clips)

    def write_index(self, configuration: dict[str, Any], states: Sequence[ClipState]) -> None:
        """Mark the store as finished."""
        write_text(self.path / INDEX, index_text(states, version=VERSION, front_end=configuration))

    def journal(self, clips: int) -> Journal:
        """What is noticed of the clips while they are computed."""
        return Journal(self.path / JOURNAL, clips)

    def create(self, digests: Digests) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
        """Fresh arrays on disk, their space reserved, so that a full disk shows now and not as a bus error later."""
        needed = int(np.prod(self.shape)) * 4 + _SPARE_BYTES
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        free = shutil.disk_usage(self.path).free
        if free < needed:
            shutil.rmtree(self.path, ignore_errors=True)
            raise UserError(
                f"{self.path}: {free / 2**20:.0f} MiB free, {needed / 2**20:.0f} MiB needed for features; "
                "free some space or set store.root to another disk"
            )
        with self._removed_after_an_error():
            features = np.lib.format.open_memmap(self.path / FEATURES, "w+", np.float32, self.shape)
            checksums = np.lib.format.open_memmap(self.path / CHECKSUMS, "w+", np.uint32, self.shape[:1])
            self.reserve()
            contents = b"".join(digest or _NO_CONTENT for digest in digests)
            np.save(self.path / CONTENTS, np.frombuffer(contents, np.uint8).reshape(-1, DIGEST))
        return features, checksums

    def reserve(self) -> None:
        """Take the space of the arrays on the disk; what has its space already is left as it is.

        Raises:
            OSError: if the disk or the user's quota has too little.
        """
        if not hasattr(os, "posix_fallocate"):
            return
        for name in (FEATURES, CHECKSUMS):
            with (self.path / name).open("r+b") as handle:
                try:
                    os.posix_fallocate(handle.fileno(), 0, max(1, os.path.getsize(handle.name)))
                except OSError as error:
                    if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                        raise

    @contextmanager
    def _removed_after_an_error(self) -> Iterator[None]:
        """Half-made arrays hold nothing yet."""
        try:
            yield
        except BaseException:
            shutil.rmtree(self.path, ignore_errors=True)
            raise
