"""A folder of your own recordings with sound events."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.reading import AudioProblem, inspect_audio
from dcase_sweep.data.desed_tables import PlacedEvent, check_strong, merge_overlaps
from dcase_sweep.data.events import EventClip, EventData, SoundEvent
from dcase_sweep.data.files import FileCheck, check_headers, require_root
from dcase_sweep.data.folder.assignment import Splits, SplitSettings, assign_splits
from dcase_sweep.data.folder.clips import describe_unreadable, find_recordings
from dcase_sweep.data.folder.columns import EVENT_ALIASES, check_names
from dcase_sweep.data.folder.event_tables import STRONG, WEAK, EventLabels, count_missing, find_split, read_event_table
from dcase_sweep.data.folder.files import AudioFiles
from dcase_sweep.data.folder.splits import Strata, hold_out, parse_split
from dcase_sweep.data.folder.tables import describe_tables, find_label_tables, locate_table
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.errors import DataError, UserError
from dcase_sweep.utils.lookalikes import find_lookalikes, shorten


class EventFolder:
    """Recordings under ``root`` with tables of sound events.

    A table has a row for each event (filename, onset, offset, event_label) or a row for each clip (filename,
    event_labels, separated by commas). Recordings in no table are unlabelled. The split of a clip is in a column of its
    table, or is the name of the table or of a folder above it. Missing test and validation splits are created,
    stratified by class and by whole groups; a created validation split has strongly and weakly labelled clips.

    Args:
        root: folder of the recordings.
        name: name of the data set; None = name of the folder.
        table: path of a table, or a list of paths; None = all tables under ``root`` with these columns.
        columns: content (``filename``, ``onset``, ``offset``, ``event_label``, ``event_labels``, ``split``, ``group``,
            ``fold``) → column of the tables; None = a common name of this column, false = no column.
        fold: the fold that is the test split: a fold of the table, or a number from 1 to ``folds``. None = the first of
            the table.
        folds: number of folds to create if ``fold`` is set and the table has no folds.
        test_fraction: fraction of the strongly labelled clips for the test split, if it is not specified otherwise.
        validation_fraction: fraction of the remaining clips for the validation split.
        split_seed: seed of created splits and folds.
        merge_overlaps: whether to merge overlapping events of the same class instead of raising an error.
        skip_invalid: whether to skip files that are missing or cannot be read instead of raising an error.
    """

    kind = "events"

    def __init__(
        self,
        *,
        root: str | None,
        name: str | None = None,
        table: str | list[str] | None = None,
        columns: dict[str, str | bool | None] | None = None,
        fold: int | str | None = None,
        folds: int = 5,
        test_fraction: float = 0.2,
        validation_fraction: float = 0.1,
        split_seed: int = 0,
        merge_overlaps: bool = False,
        skip_invalid: bool = False,
    ) -> None:
        self.root = require_root(root, "your recordings")
        self.name = name or self.root.resolve().name or "folder"
        self.tables = [table] if isinstance(table, str) else table
        self.columns = check_names(columns or {}, EVENT_ALIASES)
        self.splits = SplitSettings(fold, folds, test_fraction, validation_fraction, split_seed)
        self.merge_overlaps = merge_overlaps
        self.skip_invalid = skip_invalid

    def load(self, *, check: FileCheck = check_headers) -> EventData:
        """Find the recordings, read their labels, split them and check every file.

        Args:
            check: returns the problems of files, given the root and their names.

        Raises:
            UserError: if the root or the tables are missing.
            DataError: with all problems of the tables and files.
        """
        problems: list[str] = []
        audio = find_recordings(self.root, problems)
        labels = self._read_tables(audio, problems)
        classes = self._check_labels(labels, problems)
        missing = [line for table in labels.tables for line, _ in table.missing.values()]
        problems += [] if self.skip_invalid else missing
        if not labels.strong:
            raise DataError([*problems, self._describe_lack(labels)])
        splits = self._split_strong(labels, problems)
        if splits is None:
            raise DataError(problems)
        subsets = self._assign(audio, labels, splits)
        clips = self._make_clips(labels, subsets, classes, problems)
        if not self.skip_invalid:  # otherwise the feature store finds them, counts them and continues
            problems += check(self.root, [clip.filename for clip in clips])
        if problems:
            raise DataError(problems)
        return self._make_data(clips, classes, labels, splits, audio)

    def _read_tables(self, audio: AudioFiles, problems: list[str]) -> EventLabels:
        if self.tables is not None:
            paths = [locate_table(self.root, name) for name in self.tables]
        else:
            found = find_label_tables(self.root, self.columns, EVENT_ALIASES, [STRONG, WEAK])
            paths = [self.root / name for name in found]
        if not paths:
            raise UserError(
                f"data.root={self.root}: contains no table with {', '.join(STRONG)} or {', '.join(WEAK)}"
                f"{describe_tables(self.root)}; expected one as .csv or .tsv, or data.table=TABLE"
            )
        tables = [read_event_table(self.root, path, audio, self.columns, problems) for path in paths]
        labels = EventLabels(tables, {}, {})
        for table in tables:
            clips = labels.strong if table.is_strong else labels.weak
            for filename, clip in table.clips.items():
                before = labels.strong.get(filename) or labels.weak.get(filename)
                if before is not None:
                    problems.append(f"{clip.where}: {filename} is also in {before.where}; expected it in one table")
                clips.setdefault(filename, clip)
        return labels

    def _describe_lack(self, labels: EventLabels) -> str:
        """Describe why there are no strongly labelled clips."""
        if any(table.is_strong for table in labels.tables):
            return f"{self.root}: no clip of a table with {', '.join(STRONG)} is on disk"
        return (
            f"{self.root}: no table with {', '.join(STRONG)}{describe_tables(self.root)}; expected one to validate and "
            "test on, or data.columns.NAME=COLUMN"
        )

    def _check_labels(self, labels: EventLabels, problems: list[str]) -> tuple[str, ...]:
        """Check the events, merge them if configured, and return the classes."""
        if self.merge_overlaps:
            for table in labels.tables:
                merged, count = merge_overlaps(table.strong)
                table.events = dict(merged.clips)
                labels.merged += count
        counts = Counter(label for name in [*labels.strong, *labels.weak] for label in labels.labels_of(name))
        problems += [f"{self.root}: the classes {pair}; expected one spelling" for pair in find_lookalikes(counts)]
        if labels.weak:
            problems += [
                f"{self.root}: the class '{shorten(label, 80)}' has a comma, which separates classes in the tables of "
                "weak labels; rename it"
                for label in sorted(counts)
                if "," in label
            ]
        return tuple(sorted(counts))

    def _split_strong(self, labels: EventLabels, problems: list[str]) -> Splits | None:
        """Assign the strongly labelled clips. Tables without splits are training data if another has them."""
        clips = [labels.strong[name] for name in sorted(labels.strong)]
        given = any(clip.split for clip in clips)
        return assign_splits(
            [labels.labels_of(clip.filename) for clip in clips],
            [clip.group for clip in clips],
            [clip.split or ("train" if given else "") for clip in clips],
            [clip.fold for clip in clips],
            [clip.where for clip in clips],
            self.splits,
            str(self.root),
            problems,
            is_strict=all(table.names_groups for table in labels.tables if table.is_strong),
            trained={label for name in labels.weak for label in labels.labels_of(name)},
        )

    def _assign(self, audio: AudioFiles, labels: EventLabels, splits: Splits) -> dict[str, str]:
        """Return the file name and the subset of each recording that is used."""
        strong = sorted(labels.strong)
        subsets: dict[str, str] = {}
        groups: dict[str, str] = {}
        for subset, rows in (
            ("strong", splits.train),
            ("strong_validation", splits.validation),
            ("test", splits.test),
        ):
            for row in rows:
                subsets[strong[row]] = subset
                groups.setdefault(labels.strong[strong[row]].group, subset)
        groups.pop("", None)
        subsets |= self._assign_weak(labels, splits, groups)
        known = {*labels.strong, *labels.weak}
        subsets |= {
            name: "unlabeled"
            for name in audio.names
            if name not in known and parse_split(find_split(name)) in (None, "train")
        }
        return subsets

    def _assign_weak(self, labels: EventLabels, splits: Splits, groups: dict[str, str]) -> dict[str, str]:
        """Assign the weakly labelled clips. Those in a group or fold of the test split are omitted."""
        subsets, open_names = {}, []
        for name in sorted(labels.weak):
            clip = labels.weak[name]
            split = parse_split(clip.split)
            of_group = groups.get(clip.group)
            if of_group == "test" or split == "test" or (splits.fold and clip.fold == splits.fold):
                continue
            if of_group == "strong_validation" or split == "validation":
                subsets[name] = "weak_validation"
            else:
                subsets[name] = "weak"
                open_names.append(name)
        if open_names and "weak_validation" not in subsets.values():
            names = [labels.weak[name].group or name for name in open_names]
            strata = Strata.of([labels.labels_of(name) for name in open_names], names)
            rows = np.arange(len(open_names))
            held_out = hold_out(strata, rows, fraction=self.splits.validation_fraction, seed=self.splits.seed)
            subsets |= {open_names[row]: "weak_validation" for row in held_out}
        return subsets

    def _make_clips(
        self, labels: EventLabels, subsets: dict[str, str], classes: Sequence[str], problems: list[str]
    ) -> tuple[EventClip, ...]:
        """Return the clips in alphabetical order, and check their events against their durations."""
        durations = _read_durations(self.root, [name for name in subsets if name in labels.strong])
        events: dict[str, list[PlacedEvent]] = {}
        for table in labels.tables:
            if table.is_strong:
                check_strong(table.strong, classes, durations, problems)
                events |= table.events
        clips = []
        # The order must not depend on the splits, so that all folds share their stored features.
        for name, subset in sorted(subsets.items()):
            ordered = sorted((placed.event for placed in events.get(name, ())), key=_by_onset)
            weak = labels.labels_of(name) if name in labels.weak else ()
            clips.append(EventClip(name, subset, tuple(ordered), weak, durations.get(name), alias=name))
        return tuple(clips)

    def _make_data(
        self,
        clips: tuple[EventClip, ...],
        classes: tuple[str, ...],
        labels: EventLabels,
        splits: Splits,
        audio: AudioFiles,
    ) -> EventData:
        def indices(subset: str) -> NDArray[np.int64]:
            return np.array([index for index, clip in enumerate(clips) if clip.subset == subset], dtype=np.int64)

        rest = len(audio.names) - len(clips)
        notes = [("labels", table.description) for table in labels.tables]
        notes += [("left out", describe_unreadable(audio))] if audio.unreadable else []
        notes += [("left out", f"{pluralize(rest, 'recording')} of a test split or group")] if rest else []
        notes.append(("split", splits.description))
        notes += [("leak", splits.leak)] if splits.leak else []
        return EventData(
            name=self.name,
            root=self.root,
            clips=clips,
            classes=classes,
            strong=indices("strong"),
            weak=indices("weak"),
            unlabeled=indices("unlabeled"),
            weak_validation=indices("weak_validation"),
            synthetic_validation=indices("strong_validation"),
            test=indices("test"),
            coverage=count_missing(labels, clips),
            merged_events=labels.merged,
            notes=tuple(notes),
        )


def _by_onset(event: SoundEvent) -> tuple[float, float, str]:
    return event.onset, event.offset, event.event_label


def _read_durations(root: Path, names: Iterable[str]) -> dict[str, float]:
    """Read durations (s) from the headers. The check of files reports files that cannot be read."""
    durations = {}
    for name in names:
        try:
            info = inspect_audio(root / name)
        except AudioProblem:
            continue
        durations[name] = info.frames / info.sample_rate
    return durations
