"""Building a feature store, or completing an interrupted or damaged one."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.data.compute import ClipFrontEnd, ClipState, compute_features
from dcase_sweep.data.store.contents import FileContents
from dcase_sweep.data.store.folder import (
    FEATURES,
    INDEX,
    VERSION,
    Digests,
    Folder,
    checksum,
    find_intact,
    front_end_folder,
)
from dcase_sweep.data.store.index import Journal, remove
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.leases import hold

Arrays = tuple[NDArray[np.float32], NDArray[np.uint32]]


@dataclass(frozen=True, slots=True)
class FeatureStore:
    """Memory-mapped features of a list of clips, in the order of the list."""

    path: Path
    #: Features ``[clip, mel, frame]``. There may be more frames than in the network's input (``front_end.shape``).
    features: NDArray[np.float32]
    states: tuple[ClipState, ...]
    #: The recordings.
    files: tuple[Path, ...]
    #: A hash of each recording's bytes; None for one that cannot be read.
    digests: tuple[bytes | None, ...]
    #: Number of clips that this call computed; 0 if all were stored.
    computed: int = 0

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Whether each clip could be read ``[clip]``."""
        return np.array([state.problem is None for state in self.states], dtype=bool)

    @property
    def problems(self) -> list[str]:
        """Describe each clip that could not be read."""
        pairs = zip(self.files, self.states, strict=True)
        return [f"{path}: {state.problem}" for path, state in pairs if state.problem is not None]

    @property
    def fingerprint(self) -> str:
        """A hash of the contents of the readable recordings; it is equal for a copy of the data."""
        digest = hashlib.sha256()
        for content, state in zip(self.digests, self.states, strict=True):
            if state.problem is None:
                digest.update(content or b"")
        return digest.hexdigest()[:16]

    def count(self, what: str) -> int:
        """Count the clips that were ``padded``, ``cut`` or ``resampled``."""
        return sum(bool(getattr(state, what)) for state in self.states)


@dataclass
class Build:
    """Builds one store."""

    folder: Folder
    contents: FileContents
    names: list[str]
    digests: Digests
    front_end: ClipFrontEnd
    device: str
    workers: int
    on_progress: Callable[[int, int], None] | None
    note: Callable[[str], None]

    def read(self) -> FeatureStore | None:
        """Return the store if it is complete; this writes nothing and takes a shared lock only."""
        if not hold(self.folder.path / FEATURES):
            return None
        arrays = self.folder.arrays("r")
        states = self.folder.index(len(self.names))
        if arrays is None or states is None or not self.folder.holds_contents(self.digests):
            return None
        if not (find_intact(*arrays, self.workers) | self._unreadable).all():
            return None
        self._see_unreadable(states)
        return self._store(arrays[0], states, 0)

    def run(self, configuration: dict[str, Any], store_root: Path) -> FeatureStore:
        """Compute the missing features; the caller must have the lock."""
        arrays, holds, states = self._begin(configuration, store_root)
        remove(self.folder.path / INDEX)
        self.folder.reserve()
        journal = self.folder.journal(len(self.names))
        with journal.open() as lines:
            self._adopt(arrays, holds, states, lines)
            missing = np.flatnonzero(~holds)
            if len(missing):
                self._compute(arrays, missing, states, lines)
        self.folder.write_index(configuration, self._lasting(states))
        self._see_unreadable(states)
        hold(self.folder.path / FEATURES)
        whole = self.folder.arrays("r")
        assert whole is not None
        return self._store(whole[0], states, len(missing))

    def _begin(
        self, configuration: dict[str, Any], store_root: Path
    ) -> tuple[Arrays, NDArray[np.bool_], list[ClipState]]:
        """Return the arrays, which clips' features are intact, and the states of the clips."""
        clips, path = len(self.names), self.folder.path
        arrays, was_finished = self.folder.arrays("r+"), self.folder.is_finished
        if arrays is None or not self.folder.holds_contents(self.digests):
            if was_finished:
                self.note(f"feature store {path} is damaged: its arrays are not readable; it is built again")
            else:
                self._note_earlier_version(configuration, store_root)
            return self.folder.create(self.digests), np.zeros(clips, dtype=bool), [ClipState()] * clips
        holds = find_intact(*arrays, self.workers)
        states = self.folder.index(clips)
        if was_finished and states is None:
            self.note(f"feature store {path} is damaged: its {INDEX} is not as it was written; its clips are checked")
        if states is None:
            # A clip without an entry is computed again: it may be one that could not be read.
            noted = self.folder.journal(clips).read()
            holds &= np.isin(np.arange(clips), list(noted))
            states = [noted.get(row, ClipState()) for row in range(clips)]
        elif not (holds | self._unreadable).all():
            self.note(f"feature store {path} is damaged: {np.sum(~holds)} clips are computed again")
        else:
            self.note(f"feature store {path} is damaged: its arrays are longer than its clips; they are cut")
        return arrays, holds, states

    def _note_earlier_version(self, configuration: dict[str, Any], store_root: Path) -> None:
        earlier = [front_end_folder(store_root, configuration, version) for version in range(1, VERSION)]
        for folder in earlier:
            if folder.is_dir() and any(path.is_dir() for path in folder.iterdir()):
                self.note(
                    f"features in {folder} are of an earlier version and not used; they are computed again "
                    "(python -m dcase_sweep cache --prune removes them)"
                )

    @property
    def _unreadable(self) -> NDArray[np.bool_]:
        return np.array([digest is None for digest in self.digests], dtype=bool)

    def _see_unreadable(self, states: list[ClipState]) -> None:
        """Read unreadable files again: their problems are not stored, because the reason may differ each time."""
        rows = np.flatnonzero(self._unreadable)
        if len(rows):
            names = [self.names[row] for row in rows]
            for position, _, state in compute_features(self.contents.root, names, self.front_end, workers=self.workers):
                states[rows[position]] = state
                self._check_unchanged(int(rows[position]), state)

    def _adopt(self, arrays: Arrays, holds: NDArray[np.bool_], states: list[ClipState], lines: TextIO) -> None:
        """Copy clips with the same contents from other stores of the same front end, finished or not."""
        features, checksums = arrays
        holds |= self._unreadable
        for sibling in sorted(self.folder.path.parent.iterdir()):
            if holds.all():
                return
            if sibling == self.folder.path or not sibling.is_dir():
                continue
            other = Folder(sibling, (), self.folder.dtype)
            contents = other.contents()
            if contents is None:
                continue
            other.shape = (len(contents), *self.folder.shape[1:])
            theirs = other.arrays("r")
            if theirs is None:
                continue
            known = known_states(other, len(contents))
            position = {digest: row for row, digest in enumerate(contents) if row in known}
            for row in np.flatnonzero(~holds):
                source = position.get(self.digests[row] or b"")
                if source is not None and checksum(theirs[0][source]) == theirs[1][source]:
                    states[row] = known[source]
                    Journal.write(lines, int(row), states[row])
                    features[row], checksums[row] = theirs[0][source], theirs[1][source]
                    holds[row] = True

    def _compute(self, arrays: Arrays, missing: NDArray[np.int64], states: list[ClipState], lines: TextIO) -> None:
        features, checksums = arrays
        results = compute_features(
            self.contents.root,
            [self.names[row] for row in missing],
            self.front_end,
            device=self.device,
            workers=self.workers,
            after_reading=lambda position, state: self._check_unchanged(int(missing[position]), state),
        )
        for done, (position, row_features, state) in enumerate(results, start=1):
            row = int(missing[position])
            # The checksum is written after the features, so that a clip is computed again after a kill between the two.
            features[row] = row_features
            states[row] = state
            Journal.write(lines, row, state)
            checksums[row] = checksum(features[row])
            if self.on_progress:
                self.on_progress(done, len(missing))
        features.flush()  # type: ignore[attr-defined]
        checksums.flush()  # type: ignore[attr-defined]

    def _check_unchanged(self, row: int, state: ClipState) -> None:
        """Check that the file has not changed since it was hashed.

        A file with a problem is hashed again, so that an error of the disk is not stored as a problem of the recording.
        """
        if not self.contents.holds(self.names[row], self.digests[row], read=state.problem is not None):
            path = self.contents.root / self.names[row]
            if state.problem is not None and self.contents.digest(self.names[row]) is None:
                raise UserError(f"{path}: {state.problem}")
            raise UserError(f"{path}: changed while its features were computed; run the command again")

    def _lasting(self, states: list[ClipState]) -> list[ClipState]:
        return [ClipState() if digest is None else state for digest, state in zip(self.digests, states, strict=True)]

    def _store(self, features: NDArray[np.float32], states: list[ClipState], computed: int) -> FeatureStore:
        files = tuple(self.contents.root / name for name in self.names)
        return FeatureStore(self.folder.path, features, tuple(states), files, tuple(self.digests), computed)


def known_states(folder: Folder, clips: int) -> dict[int, ClipState]:
    """Return the known states of the clips of a store, finished or not."""
    states = folder.index(clips)
    return folder.journal(clips).read() if states is None else dict(enumerate(states))
