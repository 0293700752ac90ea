"""A data set for scene classification: recordings with labels, locations and devices, and three splits."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SceneRecording:
    """One recording of a scene."""

    #: Relative to the data set's root, as in the metadata.
    filename: str
    scene_label: str
    #: Empty if not known.
    city: str
    #: Unique over cities. A location must be in one split only.
    location: str
    #: Empty if not known.
    device: str


@dataclass(frozen=True, slots=True)
class SceneData:
    """Recordings and their splits; the splits are indices into ``recordings``."""

    name: str
    root: Path
    recordings: tuple[SceneRecording, ...]
    #: Class labels in alphabetical order, which is the order of the columns of scores.
    classes: tuple[str, ...]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    #: Whether the sounds are generated, so that results are not representative of real recordings.
    is_synthetic: bool = False
    #: Where labels and splits are from: pairs of a name and a text, which are printed.
    notes: tuple[tuple[str, str], ...] = ()
    #: What a class is called: ``scene``, where the classes are acoustic scenes.
    class_noun: str = "class"

    @property
    def splits(self) -> Mapping[str, NDArray[np.int64]]:
        """Name of each split → indices of its recordings."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def filenames(self) -> list[str]:
        """File names of the recordings, relative to the root."""
        return [recording.filename for recording in self.recordings]

    @property
    def description(self) -> str:
        """Name, sizes of the splits, and number of classes and devices."""
        sizes = f"{len(self.train)} train, {len(self.validation)} validation, {len(self.test)} test clips"
        devices = len({recording.device for recording in self.recordings} - {""})
        noun = "scenes" if devices and self.class_noun == "scene" else "classes"
        known = f"{len(self.classes)} {noun}" + (f", {devices} devices" if devices else "")
        return f"{self.name}: {sizes}, {known}"

    @property
    def targets(self) -> NDArray[np.int64]:
        """Class index of each recording ``[recording]``."""
        position = {label: index for index, label in enumerate(self.classes)}
        return np.array([position[recording.scene_label] for recording in self.recordings], dtype=np.int64)

    def devices(self, split: NDArray[np.int64]) -> list[str] | None:
        """Return the device of each recording of a split; None if none is known."""
        found = [self.recordings[index].device for index in split]
        return found if any(found) else None

    @property
    def fingerprint(self) -> str:
        """Hash of names, labels, locations, devices and splits."""
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
        """One line for each split without clips."""
        splits = {"train": self.train, "validate": self.validation, "test": self.test}
        return [
            f"{self.root}: no clip left to {what} on; restore the files that cannot be read"
            for what, split in splits.items()
            if len(split) == 0
        ]

    def drop_invalid(self, valid: Sequence[bool] | NDArray[np.bool_]) -> "SceneData":
        """Remove the recordings that are not valid from the splits."""
        mask = np.asarray(valid, dtype=bool)
        kept = {name: split[mask[split]] for name, split in self.splits.items()}
        return replace(self, **kept)
