"""Bringing a store from whatever is on disk to whole."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.data.compute import ClipState, FrontEnd, compute_features
from dcase_sweep.data.store.folder import VERSION, FileStamp, Folder, checksum, rows_that_hold


@dataclass(frozen=True, slots=True)
class FeatureStore:
    """Features of a list of clips, memory-mapped, in the list's order."""

    path: Path
    #: ``[clip, mel, frame]``; there may be more frames than a network sees, whose number the front end says.
    features: NDArray[np.float32]
    states: tuple[ClipState, ...]
    #: How many clips this call had to compute; 0 = all were there.
    computed: int
    #: Bytes of each file.
    sizes: tuple[int, ...] = ()

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Which clips could be read ``[clip]``."""
        return np.array([state.problem is None for state in self.states], dtype=bool)

    @property
    def problems(self) -> list[str]:
        """What is wrong with the clips that could not be read."""
        return [state.problem for state in self.states if state.problem is not None]

    @property
    def fingerprint(self) -> str:
        """A hash of what is heard in the clips that could be read: the same for a copy elsewhere, at any time."""
        digest = hashlib.sha256()
        for size, state in zip(self.sizes, self.states, strict=True):
            if state.problem is None:
                digest.update(f"{size} {state.checksum}\n".encode())
        return digest.hexdigest()[:16]

    def count(self, what: str) -> int:
        """How many clips were ``padded``, ``cut`` or ``resampled``."""
        return sum(bool(getattr(state, what)) for state in self.states)


@dataclass
class Build:
    """Brings one store from whatever is on disk to whole."""

    folder: Folder
    root: Path
    stamps: list[FileStamp]
    front_end: FrontEnd
    device: str
    workers: int
    on_progress: Callable[[int, int], None] | None
    note: Callable[[str], None]

    @property
    def _journal(self) -> Path:
        return self.folder.path / "states.jsonl"

    def run(self, configuration: dict[str, Any]) -> FeatureStore:
        arrays, index = self.folder.arrays("r+"), self.folder.index()
        if arrays is None:
            if index is not None:
                self.note(f"feature store {self.folder.path} is damaged: its arrays are not readable; built anew")
            arrays, index = self.folder.create(), None
            holds = np.zeros(self.folder.shape[0], dtype=bool)
        else:
            holds = rows_that_hold(*arrays, self.workers)
        states = self._states(index, holds)
        if index is not None and not holds.all():
            self.note(f"feature store {self.folder.path} is damaged: {np.sum(~holds)} clips are computed again")
        if index is None or not holds.all():
            (self.folder.path / "store.json").unlink(missing_ok=True)
            with self._journal.open("a") as journal:
                self._adopt(arrays, holds, states, journal)
        missing = np.flatnonzero(~holds)
        if len(missing):
            self._compute(arrays, missing, states)
        if index is None or len(missing):
            self._finish(configuration, states)
        whole = self.folder.arrays("r")
        assert whole is not None
        return FeatureStore(
            self.folder.path, whole[0], tuple(states), len(missing), tuple(stamp.size for stamp in self.stamps)
        )

    def _states(self, index: dict[str, Any] | None, holds: NDArray[np.bool_]) -> list[ClipState]:
        """What is known of each clip; without an index it is in the journal.

        A clip of which nothing is noted does not hold: it may be one that could not be read.
        """
        if index is not None:
            return [ClipState(**state) for state in index["states"]]
        states = [ClipState() for _ in self.stamps]
        try:
            lines = self._journal.read_text().splitlines()
        except OSError:
            lines = []
        noted = np.zeros_like(holds)
        for line in lines:
            try:
                position, state = json.loads(line)
                states[position] = ClipState(**state)
                noted[position] = True
            except (ValueError, TypeError, IndexError):
                continue  # the line that the kill cut off
        holds &= noted
        for position in np.flatnonzero(~holds):
            states[position] = ClipState()
        return states

    def _note_state(self, journal: TextIO, row: int, state: ClipState) -> None:
        """Written before the clip's checksum is, so that a clip that holds has its line."""
        journal.write(json.dumps([row, asdict(state)]) + "\n")
        journal.flush()

    def _adopt(
        self,
        arrays: tuple[NDArray[np.float32], NDArray[np.uint32]],
        holds: NDArray[np.bool_],
        states: list[ClipState],
        journal: TextIO,
    ) -> None:
        """Copy clips whose files did not change from the finished stores of the same front end."""
        features, checksums = arrays
        for sibling in sorted(self.folder.path.parent.iterdir()):
            if holds.all() or sibling == self.folder.path or not sibling.is_dir():
                continue
            other = Folder(sibling, ())
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
                if source is not None and checksum(theirs[0][source]) == theirs[1][source]:
                    states[row] = ClipState(**index["states"][source])
                    self._note_state(journal, int(row), states[row])
                    features[row], checksums[row] = theirs[0][source], theirs[1][source]
                    holds[row] = True

    def _compute(
        self,
        arrays: tuple[NDArray[np.float32], NDArray[np.uint32]],
        missing: NDArray[np.int64],
        states: list[ClipState],
    ) -> None:
        features, checksums = arrays
        done = 0
        with self._journal.open("a") as journal:
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
                self._note_state(journal, row, state)
                checksums[row] = checksum(features[row])
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
