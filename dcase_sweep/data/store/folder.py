"""One store's folder: its name, its files, and whether they hold what was written."""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.errors import UserError

#: Raise when the same configuration begins to mean other features.
VERSION = 2
_SPARE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells that a file is still the same."""

    name: str
    size: int
    time_ns: int


def stamp_files(root: Path, names: Sequence[str]) -> list[FileStamp]:
    """Name, size and time of each file; a missing file has size -1."""
    stamps = []
    for name in names:
        try:
            status = (root / name).stat()
            stamps.append(FileStamp(name, status.st_size, status.st_mtime_ns))
        except (OSError, ValueError):  # a name with a NUL is not a file's
            stamps.append(FileStamp(name, -1, 0))
    return stamps


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def folder_of(stamps: Sequence[FileStamp], store_root: Path, configuration: dict[str, Any]) -> Path:
    return store_root / _hash({"version": VERSION, **configuration}) / _hash([asdict(stamp) for stamp in stamps])


def checksum(row: NDArray[np.float32]) -> int:
    """CRC-32 of one clip's features, never 0."""
    return zlib.crc32(row.data) or 1


def rows_that_hold(features: NDArray[np.float32], checksums: NDArray[np.uint32], workers: int) -> NDArray[np.bool_]:
    """Which clips' features are what was written ``[clip]``."""
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(lambda i: checksums[i] != 0 and checksum(features[i]) == checksums[i], range(len(features)))
        return np.array(list(found), dtype=bool)


@dataclass
class Folder:
    """One store's files and the two arrays in them."""

    path: Path
    shape: tuple[int, ...]

    def arrays(self, mode: Literal["r", "r+"]) -> tuple[NDArray[np.float32], NDArray[np.uint32]] | None:
        """Features and checksums, or None if one of them is missing, of another size or not readable."""
        try:
            features = np.load(self.path / "features.npy", mmap_mode=mode)
            checksums = np.load(self.path / "checksums.npy", mmap_mode=mode)
        except (OSError, ValueError, EOFError):
            return None
        if features.shape != self.shape or features.dtype != np.float32 or checksums.shape != self.shape[:1]:
            return None
        return features, checksums

    def index(self) -> dict[str, Any] | None:
        try:
            index = json.loads((self.path / "store.json").read_text())
            return index if index["version"] == VERSION else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def create(self) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
        """Fresh arrays on disk, their space reserved, so that a full disk shows now and not as a bus error later."""
        needed = int(np.prod(self.shape)) * 4 + _SPARE_BYTES
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise UserError(
                f"{self.path}: {free / 2**20:.0f} MiB free, {needed / 2**20:.0f} MiB needed for features; "
                "free some space or set store.root to another disk"
            )
        features = np.lib.format.open_memmap(self.path / "features.npy", "w+", np.float32, self.shape)
        if hasattr(os, "posix_fallocate"):
            with (self.path / "features.npy").open("r+b") as handle:
                os.posix_fallocate(handle.fileno(), 0, os.path.getsize(handle.name))
        checksums = np.lib.format.open_memmap(self.path / "checksums.npy", "w+", np.uint32, self.shape[:1])
        return features, checksums
