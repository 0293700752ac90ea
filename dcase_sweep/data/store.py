"""The feature store: features of recordings on disk, computed once and shared by every run that wants the same.

A store is a folder under ``<root>/<front end>/<list of files>``, both names being hashes: of the front end's
configuration, and of every file's name, size and time. In it lie ``features.npy`` (``[clip, mel, frame]`` float32),
``checksums.npy`` (one CRC-32 a clip; 0 = not computed) and ``store.json``, which is written last. A folder without
``store.json`` is a build that was interrupted: the next one keeps every clip whose checksum is right. The same check
finds damage in a finished store, and clips of an older list whose files did not change are copied, not computed.
"""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.data.compute import ClipState, compute_features
from dcase_sweep.errors import UserError

#: Raise when the same configuration begins to mean other features.
VERSION = 1
_SPARE_BYTES = 64 * 2**20


class FrontEnd(Protocol):
    """What the store asks of a front end."""

    sample_rate: int
    seconds: float

    @property
    def shape(self) -> tuple[int, int]:
        """``(mel, frame)`` of one clip."""
        ...

    def __call__(self, waveforms: Any) -> Any:
        """``[batch, sample]`` → ``[batch, mel, frame]``, tensors on one device."""
        ...


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells that a file is still the same."""

    name: str
    size: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class FeatureStore:
    """Features of a list of clips, memory-mapped, in the list's order."""

    path: Path
    features: NDArray[np.float32]
    states: tuple[ClipState, ...]
    #: How many clips this call had to compute; 0 = all were there.
    computed: int

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Which clips could be read ``[clip]``."""
        return np.array([state.problem is None for state in self.states], dtype=bool)

    @property
    def problems(self) -> list[str]:
        """What is wrong with the clips that could not be read."""
        return [state.problem for state in self.states if state.problem is not None]

    def count(self, what: str) -> int:
        """How many clips were ``padded``, ``cut`` or ``resampled``."""
        return sum(bool(getattr(state, what)) for state in self.states)


@dataclass
class _Folder:
    """One store's files and the two arrays in them."""

    path: Path
    shape: tuple[int, ...]
    states: list[ClipState] = field(default_factory=list)

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


def stamp_files(root: Path, names: Sequence[str]) -> list[FileStamp]:
    """Name, size and time of each file; a missing file has size -1."""
    stamps = []
    for name in names:
        try:
            status = (root / name).stat()
            stamps.append(FileStamp(name, status.st_size, status.st_mtime_ns))
        except OSError:
            stamps.append(FileStamp(name, -1, 0))
    return stamps


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _checksum(row: NDArray[np.float32]) -> int:
    """CRC-32 of one clip's features, never 0."""
    return zlib.crc32(row.data) or 1


def _rows_that_hold(features: NDArray[np.float32], checksums: NDArray[np.uint32], workers: int) -> NDArray[np.bool_]:
    """Which clips' features are what was written ``[clip]``."""
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(lambda i: checksums[i] != 0 and _checksum(features[i]) == checksums[i], range(len(features)))
        return np.array(list(found), dtype=bool)


def _folder_of(stamps: Sequence[FileStamp], store_root: Path, configuration: dict[str, Any]) -> Path:
    return store_root / _hash({"version": VERSION, **configuration}) / _hash([asdict(stamp) for stamp in stamps])


def known_problems(
    root: Path, files: Sequence[str], *, store_root: Path, configuration: dict[str, Any]
) -> list[str] | None:
    """What a finished store noted of these files, which then need no second look; None if there is no such store."""
    path = _folder_of(stamp_files(root, files), store_root, configuration)
    index = _Folder(path, ()).index()
    return None if index is None else [state["problem"] for state in index["states"] if state["problem"]]


#: Stores that this process has verified: reading a gigabyte again for each job of a sweep tells nothing new.
_verified: dict[tuple[str, int], FeatureStore] = {}


def open_store(
    root: Path,
    files: Sequence[str],
    front_end: FrontEnd,
    *,
    store_root: Path,
    configuration: dict[str, Any],
    device: str = "cpu",
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> FeatureStore:
    """Features of ``files`` (relative to ``root``), computed where they are not on disk yet.

    Several processes may ask at once: one builds, under a lock, the others wait for it. ``configuration`` is what the
    front end was made from; it and the files' names, sizes and times are the store's key.

    Raises:
        UserError: if the disk has no room.
    """
    from filelock import FileLock

    stamps = stamp_files(root, files)
    folder = _folder_of(stamps, store_root, configuration)
    shape = (len(files), *front_end.shape)
    key = (str(folder), len(files))
    if key in _verified and (folder / "store.json").is_file():
        return _verified[key]
    note = on_note or (lambda text: None)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(folder) + ".lock"):
            build = _Build(_Folder(folder, shape), root, stamps, front_end, device, workers, on_progress, note)
            store = build.run(configuration)
    except OSError as error:
        raise UserError(
            f"{error.filename or folder}: {error.strerror or error}; "
            "the feature store cannot be written; set store.root to a folder with room"
        ) from error
    _verified[key] = store
    return store


@dataclass
class _Build:
    """Brings one store from whatever is on disk to whole."""

    folder: _Folder
    root: Path
    stamps: list[FileStamp]
    front_end: FrontEnd
    device: str
    workers: int
    on_progress: Callable[[int, int], None] | None
    note: Callable[[str], None]

    def run(self, configuration: dict[str, Any]) -> FeatureStore:
        arrays, index = self.folder.arrays("r+"), self.folder.index()
        if arrays is None:
            if index is not None:
                self.note(f"feature store {self.folder.path} is damaged: its arrays are not readable; built anew")
            arrays, index = self.folder.create(), None
            holds = np.zeros(self.folder.shape[0], dtype=bool)
        else:
            holds = _rows_that_hold(*arrays, self.workers)
        states = self._states(index, holds)
        if index is not None and not holds.all():
            self.note(f"feature store {self.folder.path} is damaged: {np.sum(~holds)} clips are computed again")
        if index is None or not holds.all():
            (self.folder.path / "store.json").unlink(missing_ok=True)
            self._adopt(arrays, holds, states)
        missing = np.flatnonzero(~holds)
        if len(missing):
            self._compute(arrays, missing, states)
        if index is None or len(missing):
            self._finish(configuration, states)
        whole = self.folder.arrays("r")
        assert whole is not None
        return FeatureStore(self.folder.path, whole[0], tuple(states), len(missing))

    def _states(self, index: dict[str, Any] | None, holds: NDArray[np.bool_]) -> list[ClipState]:
        """What is known of each clip; without an index it is in the notes that the interrupted build kept."""
        if index is not None:
            return [ClipState(**state) for state in index["states"]]
        states = [ClipState() for _ in self.stamps]
        try:
            lines = (self.folder.path / "states.jsonl").read_text().splitlines()
        except OSError:
            lines = []
        for line in lines:
            try:
                position, state = json.loads(line)
                states[position] = ClipState(**state)
            except (ValueError, TypeError, IndexError):
                continue  # the line that the kill cut off
        for position in np.flatnonzero(~holds):
            states[position] = ClipState()
        return states

    def _adopt(
        self,
        arrays: tuple[NDArray[np.float32], NDArray[np.uint32]],
        holds: NDArray[np.bool_],
        states: list[ClipState],
    ) -> None:
        """Copy clips whose files did not change from the finished stores of the same front end."""
        features, checksums = arrays
        for sibling in sorted(self.folder.path.parent.iterdir()):
            if holds.all() or sibling == self.folder.path or not sibling.is_dir():
                continue
            other = _Folder(sibling, ())
            index = other.index()
            if index is None or index["root"] != str(self.root.resolve()):
                continue
            position = {FileStamp(*stamp): row for row, stamp in enumerate(index["files"])}
            other.shape = (len(position), *self.folder.shape[1:])
            theirs = other.arrays("r")
            if theirs is None:
                continue
            for row in np.flatnonzero(~holds):
                source = position.get(self.stamps[row])
                if source is not None and _checksum(theirs[0][source]) == theirs[1][source]:
                    features[row], checksums[row] = theirs[0][source], theirs[1][source]
                    states[row] = ClipState(**index["states"][source])
                    holds[row] = True

    def _compute(
        self,
        arrays: tuple[NDArray[np.float32], NDArray[np.uint32]],
        missing: NDArray[np.int64],
        states: list[ClipState],
    ) -> None:
        features, checksums = arrays
        done = 0
        with (self.folder.path / "states.jsonl").open("a") as journal:
            results = compute_features(
                self.root,
                [self.stamps[row].name for row in missing],
                self.front_end,
                device=self.device,
                workers=self.workers,
            )
            for position, row_features, state in results:
                row = int(missing[position])
                # The checksum follows the features: a kill between the two leaves a clip that is computed again.
                features[row] = row_features
                states[row] = state
                if state != ClipState():
                    journal.write(json.dumps([row, asdict(state)]) + "\n")
                    journal.flush()
                checksums[row] = _checksum(features[row])
                done += 1
                if self.on_progress:
                    self.on_progress(done, len(missing))
        features.flush()  # type: ignore[attr-defined]
        checksums.flush()  # type: ignore[attr-defined]

    def _finish(self, configuration: dict[str, Any], states: list[ClipState]) -> None:
        index = {
            "version": VERSION,
            "front_end": configuration,
            "root": str(self.root.resolve()),
            "files": [[stamp.name, stamp.size, stamp.time_ns] for stamp in self.stamps],
            "states": [asdict(state) for state in states],
        }
        temporary = self.folder.path / f"store.json.{os.getpid()}"
        temporary.write_text(json.dumps(index))
        os.replace(temporary, self.folder.path / "store.json")
        (self.folder.path / "states.jsonl").unlink(missing_ok=True)
