"""What a scene data set is: recordings with their labels, locations and devices, and three splits of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SceneRecording:
    """One recording of a scene."""

    #: Relative to the data set's root, as the metadata write it.
    filename: str
    scene_label: str
    city: str
    #: Unique over cities: what must not be both learned from and judged by.
    location: str
    device: str


@dataclass(frozen=True, slots=True)
class SceneData:
    """Recordings and their splits; the splits hold indices into ``recordings``."""

    name: str
    root: Path
    recordings: tuple[SceneRecording, ...]
    #: In alphabetical order: the order of every score's columns.
    classes: tuple[str, ...]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    #: Generated sounds: nothing learned from them says anything of the world.
    is_synthetic: bool = False

    @property
    def filenames(self) -> list[str]:
        """The recordings' names under the root."""
        return [recording.filename for recording in self.recordings]

    @property
    def description(self) -> str:
        """Its sizes, for people."""
        sizes = f"{len(self.train)} train, {len(self.validation)} validation, {len(self.test)} test clips"
        devices = len({recording.device for recording in self.recordings})
        return f"{self.name}: {sizes}, {len(self.classes)} scenes, {devices} devices"

    @property
    def targets(self) -> NDArray[np.int64]:
        """Class index of each recording ``[recording]``."""
        position = {label: index for index, label in enumerate(self.classes)}
        return np.array([position[recording.scene_label] for recording in self.recordings], dtype=np.int64)

    def devices(self, split: NDArray[np.int64]) -> list[str]:
        """The device of each recording of a split."""
        return [self.recordings[index].device for index in split]

    @property
    def fingerprint(self) -> str:
        """A hash of names, labels, locations, devices and splits: equal for two runs that learned from the same."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            for index in split:
                recording = self.recordings[index]
                values = (recording.filename, recording.scene_label, recording.location, recording.device)
                digest.update(("\t".join(values) + "\n").encode())
            digest.update(b"--\n")
        return digest.hexdigest()[:16]

    @property
    def empty_splits(self) -> list[str]:
        """One line for each split without a clip."""
        splits = {"train": self.train, "validate": self.validation, "test": self.test}
        return [
            f"{self.root}: no clip left to {what} on; restore the files that cannot be read"
            for what, split in splits.items()
            if len(split) == 0
        ]

    def drop_invalid(self, valid: Sequence[bool] | NDArray[np.bool_]) -> "SceneData":
        """The same data set with the recordings that are not valid taken out of its splits."""
        mask = np.asarray(valid, dtype=bool)
        return SceneData(
            self.name,
            self.root,
            self.recordings,
            self.classes,
            self.train[mask[self.train]],
            self.validation[mask[self.validation]],
            self.test[mask[self.test]],
            self.is_synthetic,
        )
