"""The folder of one store: its name, its files, and checks that they are intact."""

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
from dcase_sweep.data.store.hash_table import DIGEST
from dcase_sweep.data.store.index import Journal, index_text, parse_index, read_bounded
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text

#: Increase this when the features of the same configuration change.
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
#: Digest of a file that cannot be read.
_NO_CONTENT = bytes(DIGEST)

Digests = Sequence[bytes | None]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def front_end_folder(store_root: Path, configuration: dict[str, Any], version: int = VERSION) -> Path:
    """Return the folder of the stores of one front end."""
    return store_root / _hash({"version": version, **configuration})


def locate_store(digests: Digests, store_root: Path, configuration: dict[str, Any]) -> Path:
    """Return the folder of the features of recordings with these contents in this order."""
    contents = hashlib.sha256(b"".join(digest or _NO_CONTENT for digest in digests)).hexdigest()[:16]
    return front_end_folder(store_root, configuration) / contents


def checksum(row: NDArray[np.float32]) -> int:
    """Compute the CRC-32 of one clip's features; never 0."""
    return zlib.crc32(row.data) or 1


def find_intact(features: NDArray[np.float32], checksums: NDArray[np.uint32], workers: int) -> NDArray[np.bool_]:
    """Find the clips whose features have the stored checksum, ``[clip]``."""
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(lambda i: checksums[i] != 0 and checksum(features[i]) == checksums[i], range(len(features)))
        return np.array(list(found), dtype=bool)


def load_array(path: Path, shape: tuple[int, ...] | None, dtype: Any, mode: Literal["r", "r+"]) -> Any:
    """Map an array into memory; return None if it is missing, damaged, or has another shape or type.

    Args:
        path: path of a file in NumPy's format.
        shape: expected shape; None for any.
        dtype: expected type of the values.
        mode: mode of the mapping; with ``r+`` a file of the wrong length gets the right one.
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
    """The files of one store and the arrays in them."""

    path: Path
    shape: tuple[int, ...]
    #: Type of the stored values.
    dtype: str = "float32"

    def arrays(self, mode: Literal["r", "r+"]) -> tuple[NDArray[np.float32], NDArray[np.uint32]] | None:
        """Return features and checksums, or None if one of them is damaged."""
        features = load_array(self.path / FEATURES, self.shape, np.dtype(self.dtype), mode)
        checksums = load_array(self.path / CHECKSUMS, self.shape[:1], np.uint32, mode)
        return None if features is None or checksums is None else (features, checksums)

    def contents(self) -> list[bytes] | None:
        """Return the digest of each clip's recording; 16 zeros for one that could not be read."""
        array = load_array(self.path / CONTENTS, None, np.uint8, "r")
        if array is None or array.ndim != 2 or array.shape[1] != DIGEST:
            return None
        text = array.tobytes()
        return [text[begin : begin + DIGEST] for begin in range(0, len(text), DIGEST)]

    def holds_contents(self, digests: Digests) -> bool:
        """Whether the features are those of these recordings."""
        return self.contents() == [digest or _NO_CONTENT for digest in digests]

    @property
    def is_finished(self) -> bool:
        """Whether there is an index, intact or not."""
        return (self.path / INDEX).exists() or (self.path / INDEX).is_symlink()

    def index(self, clips: int) -> list[ClipState] | None:
        """Return the state of each clip, or None if the store is not finished or its index is damaged."""
        text = read_bounded(self.path / INDEX, clips)
        return None if text is None else parse_index(text, version=VERSION, clips=clips)

    def write_index(self, configuration: dict[str, Any], states: Sequence[ClipState]) -> None:
        """Mark the store as finished."""
        write_text(self.path / INDEX, index_text(states, version=VERSION, front_end=configuration))

    def journal(self, clips: int) -> Journal:
        """Return the journal of states that is written during the computation."""
        return Journal(self.path / JOURNAL, clips)

    def create(self, digests: Digests) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
        """Create arrays and reserve their disk space, so that a full disk is reported now, not as a bus error later."""
        needed = int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize + _SPARE_BYTES
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        free = shutil.disk_usage(self.path).free
        if free < needed:
            shutil.rmtree(self.path, ignore_errors=True)
            raise UserError(
                f"{self.path}: {free / 2**20:.0f} MiB free, {needed / 2**20:.0f} MiB needed for features; "
                "free some space or set store.root to another disk"
            )
        with self._remove_after_error():
            features = np.lib.format.open_memmap(self.path / FEATURES, "w+", np.dtype(self.dtype), self.shape)
            checksums = np.lib.format.open_memmap(self.path / CHECKSUMS, "w+", np.uint32, self.shape[:1])
            self.reserve()
            contents = b"".join(digest or _NO_CONTENT for digest in digests)
            np.save(self.path / CONTENTS, np.frombuffer(contents, np.uint8).reshape(-1, DIGEST))
        return features, checksums

    def reserve(self) -> None:
        """Reserve the disk space of the arrays.

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
    def _remove_after_error(self) -> Iterator[None]:
        """Remove the folder after an error; incomplete arrays contain nothing yet."""
        try:
            yield
        except BaseException:
            shutil.rmtree(self.path, ignore_errors=True)
            raise
