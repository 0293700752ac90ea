"""A data set for sound event detection: clips with strong, weak or no labels, and splits of them."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.errors import DataError

#: In alphabetical order, the order of the outputs in the baseline of DCASE 2021 task 4.
DESED_CLASSES = (
    "Alarm_bell_ringing",
    "Blender",
    "Cat",
    "Dishes",
    "Dog",
    "Electric_shaver_toothbrush",
    "Frying",
    "Running_water",
    "Speech",
    "Vacuum_cleaner",
)
#: The subsets of clips, by their labels and purpose.
SUBSETS = ("strong", "weak", "unlabeled", "synthetic_validation", "validation")
#: Decimals of a frame number that are kept: times are given in milliseconds, so the others are rounding errors.
_DECIMALS = 9


@dataclass(frozen=True, slots=True)
class SoundEvent:
    """A sound from ``onset`` to ``offset`` (s), as in the metadata."""

    onset: float
    offset: float
    event_label: str


@dataclass(frozen=True, slots=True)
class EventClip:
    """One recording or soundscape, with its labels."""

    #: Relative to the data set's root.
    filename: str
    #: One of `SUBSETS`, or what another data set calls its subsets.
    subset: str
    #: Events of a clip with strong labels, by onset.
    events: tuple[SoundEvent, ...] = ()
    #: Classes of a clip with weak labels, in alphabetical order.
    weak_labels: tuple[str, ...] = ()
    #: Duration (s); None if not needed.
    duration: float | None = None
    #: Its name in tables of events, where that is not the file name without folders.
    alias: str | None = None

    @property
    def name(self) -> str:
        """The file name without folders, as in tables of events, or its alias."""
        return self.alias or PurePosixPath(self.filename).name

    @property
    def labels(self) -> tuple[str, ...]:
        """The known classes of the clip, in alphabetical order."""
        return self.weak_labels or tuple(sorted({event.event_label for event in self.events}))


@dataclass(frozen=True, slots=True)
class SubsetCoverage:
    """The number of listed clips of a subset and of those on disk. Downloads of DESED are never complete."""

    subset: str
    found: int
    listed: int
    #: Table, row and name of the first missing clips.
    examples: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        return self.found == self.listed

    @property
    def absence(self) -> str:
        """Describe the missing clips: the first few, and how many more; empty if all are on disk."""
        if not self.examples:
            return ""
        more = self.listed - self.found - len(self.examples)
        return f"not on disk: {'; '.join(self.examples)}" + (
            f"; and {more:,} more {self.subset} clips" if more > 0 else ""
        )


@dataclass(frozen=True, slots=True, eq=False)
class EventData:
    """Clips and their splits; the splits are indices into ``clips``."""

    name: str
    root: Path
    clips: tuple[EventClip, ...]
    #: In alphabetical order, the order of the columns of scores.
    classes: tuple[str, ...]
    strong: NDArray[np.int64]
    weak: NDArray[np.int64]
    unlabeled: NDArray[np.int64]
    weak_validation: NDArray[np.int64]
    #: The strongly labelled clips that choose an epoch; in DESED these are synthetic.
    synthetic_validation: NDArray[np.int64]
    #: In DESED the real validation set, on which task 4 is evaluated.
    test: NDArray[np.int64]
    #: One entry for each subset.
    coverage: tuple[SubsetCoverage, ...] = ()
    #: Whether the sounds are generated, so that results are not representative of real recordings.
    is_synthetic: bool = False
    #: Number of events that were merged with an overlapping event of their class.
    merged_events: int = 0
    #: Where labels and splits are from: pairs of a name and a text, which are printed.
    notes: tuple[tuple[str, str], ...] = ()

    @property
    def splits(self) -> Mapping[str, NDArray[np.int64]]:
        """The clips that are trained on, validated on and tested on."""
        return {
            "train": np.concatenate([self.strong, self.weak, self.unlabeled]),
            "validation": np.concatenate([self.synthetic_validation, self.weak_validation]),
            "test": self.test,
        }

    @property
    def filenames(self) -> list[str]:
        """The clips' names under the root."""
        return [clip.filename for clip in self.clips]

    @property
    def description(self) -> str:
        """The sizes of the splits, and the subsets with missing clips, as text."""
        training = f"{len(self.strong)} strong, {len(self.weak)} weak, {len(self.unlabeled)} unlabelled"
        subsets = {clip.subset for clip in self._clips_of(self.synthetic_validation[:1])}
        kind = "synthetic" if subsets <= {"synthetic_validation"} else "strong"
        validation = f"{len(self.synthetic_validation)} {kind} and {len(self.weak_validation)} weak validation"
        text = f"{self.name}: {training}, {validation}, {len(self.test)} test clips, {len(self.classes)} classes"
        if self.merged_events:
            text += f", {pluralize(self.merged_events, 'overlapping event')} merged"
        missing = [f"{part.found} of {part.listed} {part.subset}" for part in self.coverage if not part.is_complete]
        return f"{text}; found {', '.join(missing)}" if missing else text

    @property
    def test_coverage(self) -> SubsetCoverage | None:
        """The coverage of the listed test clips; None if no table lists them."""
        return next((part for part in self.coverage if part.subset in ("validation", "test")), None)

    @property
    def fingerprint(self) -> str:
        """A hash of names, labels and splits; it is equal for equal data."""
        digest = hashlib.sha256()
        for split in self._splits.values():
            for clip in self._clips_of(split):
                events = ";".join(f"{event.onset:.6f},{event.offset:.6f},{event.event_label}" for event in clip.events)
                digest.update(f"{clip.subset}\t{clip.name}\t{events}\t{','.join(clip.weak_labels)}\n".encode())
            digest.update(b"--\n")
        return digest.hexdigest()[:16]

    def drop_invalid(self, valid: Sequence[bool] | NDArray[np.bool_]) -> "EventData":
        """Remove the clips that are not valid from the splits and the coverage.

        Raises:
            DataError: if a split has no clip left, with one line for each.
        """
        mask = np.asarray(valid, dtype=bool)
        lost = [self.clips[index].subset for index in np.flatnonzero(~mask)]
        coverage = tuple(replace(part, found=part.found - lost.count(part.subset)) for part in self.coverage)
        splits = {name: split[mask[split]] for name, split in self._splits.items()}
        emptied = [name for name, split in self._splits.items() if len(split) and not len(splits[name])]
        if emptied:
            raise DataError(
                [
                    f"{self.root}: none of the {len(self._splits[name])} {name.replace('_', ' ')} clips can be read; "
                    f"expected at least one; the first is {self.clips[self._splits[name][0]].filename}"
                    for name in emptied
                ]
            )
        return replace(self, coverage=coverage, **splits)

    def strong_targets(self, indices: Iterable[int], frames: int, hop_seconds: float) -> NDArray[np.float32]:
        """Encode events as 1 in every frame that an event of the class touches, else 0: ``[clip, class, frame]``.

        As in the encoder of the 2021 baseline, an event fills the frames from floor(onset / hop) up to, but not
        including, ceil(offset / hop), both clipped to ``frames``. Clips without strong labels are 0.

        Args:
            indices: indices of the clips.
            frames: number of frames of the network's output; 156 in the baseline: int(625 / 4), which ends at 9.984 s.
            hop_seconds: time from one of these frames to the next, 0.064 s in the baseline.
        """
        position = {label: index for index, label in enumerate(self.classes)}
        clips = self._clips_of(indices)
        targets = np.zeros((len(clips), len(self.classes), frames), dtype=np.float32)
        for row, clip in enumerate(clips):
            for event in clip.events:
                first = int(np.floor(round(event.onset / hop_seconds, _DECIMALS)))
                last = int(np.ceil(round(event.offset / hop_seconds, _DECIMALS)))
                targets[row, position[event.event_label], max(0, first) : max(0, last)] = 1
        return targets

    def weak_targets(self, indices: Iterable[int]) -> NDArray[np.float32]:
        """Encode the known classes of clips as 1, the others as 0: ``[clip, class]``."""
        position = {label: index for index, label in enumerate(self.classes)}
        clips = self._clips_of(indices)
        targets = np.zeros((len(clips), len(self.classes)), dtype=np.float32)
        for row, clip in enumerate(clips):
            targets[row, [position[label] for label in clip.labels]] = 1
        return targets

    def names(self, indices: Iterable[int]) -> list[str]:
        """Return the file name of each clip of a split; it is unique within a subset only."""
        return [clip.name for clip in self._clips_of(indices)]

    def durations(self, indices: Iterable[int]) -> dict[str, float]:
        """Return the duration (s) of each clip of a split with strong labels, by its file name."""
        return {clip.name: clip.duration for clip in self._clips_of(indices) if clip.duration is not None}

    def reference_events(self, indices: Iterable[int]) -> list[tuple[str, float, float, str]]:
        """Return filename, onset, offset and event label of every event in a split.

        Events that end a little after their clip are not cut, as in published figures.
        """
        return [
            (clip.name, event.onset, event.offset, event.event_label)
            for clip in self._clips_of(indices)
            for event in clip.events
        ]

    @property
    def _splits(self) -> dict[str, NDArray[np.int64]]:
        names = ("strong", "weak", "unlabeled", "weak_validation", "synthetic_validation", "test")
        return {name: getattr(self, name) for name in names}

    def _clips_of(self, indices: Iterable[int]) -> list[EventClip]:
        return [self.clips[index] for index in indices]
