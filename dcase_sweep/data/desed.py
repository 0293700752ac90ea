"""DESED as in DCASE 2021 task 4, and other data sets in the same layout."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.data.desed_durations import check_durations, complete_durations
from dcase_sweep.data.desed_folders import Place, places
from dcase_sweep.data.desed_tables import (
    StrongTable,
    WeakTable,
    check_labels,
    check_strong,
    check_weak,
    first_rows,
    merge_overlaps,
    read_durations,
    read_names,
    read_strong,
    read_weak,
)
from dcase_sweep.data.desed_unlisted import report_unlabelled, report_unlisted
from dcase_sweep.data.events import DESED_CLASSES, SUBSETS, EventClip, EventData, SubsetCoverage
from dcase_sweep.data.files import FileCheck, check_headers, require_root, suggest_inner_root
from dcase_sweep.utils.errors import DataError, UserError
from dcase_sweep.utils.lookalikes import find_lookalikes, strip_blanks
from dcase_sweep.utils.text import describe_unprintable

STRONG_SUBSETS = ("strong", "synthetic_validation", "validation")
#: Number of missing clips of a subset that a message names; a download of DESED misses hundreds.
_SHOWN = 3
#: The name of a real recording: its video and the position in it in seconds. Other names occur in several subsets.
_RECORDING = re.compile(r"Y?[\w-]{11}_\d+(\.\d+)?_\d+(\.\d+)?\.\w+")


@dataclass(frozen=True, slots=True)
class _Tables:
    strong: dict[str, StrongTable]
    weak: WeakTable
    #: Durations by subset, from the tables, then from the headers of the other clips.
    durations: dict[str, dict[str, float]]
    #: Names of clips by subset, in the order of the tables.
    listed: dict[str, list[str]]
    #: Number of events that were merged with an overlapping event of their class.
    merged: int = 0


class DESED:
    """Recordings and soundscapes under ``root``, in ``audio/`` and ``metadata/`` as in the 2021 task.

    Listed clips that are not on disk are left out and counted, because every download of DESED misses some. Files may
    have any sample rate. Events that end at most 0.2 s after their clip are accepted, because the real validation set
    has some.

    Args:
        name: name of the data set.
        root: folder of the data set.
        classes: class labels; None uses the ten of DESED, or the labels of the strong training clips if these contain
            none of the ten.
        weak_validation_fraction: fraction of the weakly labelled clips to validate on. They are the same as in the
            baseline system with the same seed, because they are chosen among all listed clips, missing or not.
        weak_validation_seed: seed of this choice.
        merge_overlaps: merge overlapping events of one class instead of refusing them.
        skip_invalid: leave out files that cannot be read instead of refusing them.
    """

    kind = "events"

    def __init__(
        self,
        *,
        name: str,
        root: str | None,
        classes: list[str] | None = None,
        weak_validation_fraction: float = 0.1,
        weak_validation_seed: int = 42,
        merge_overlaps: bool = False,
        skip_invalid: bool = False,
    ) -> None:
        self.root = require_root(root, name)
        if not 0 < weak_validation_fraction < 1:
            raise UserError(
                f"data.weak_validation_fraction={weak_validation_fraction}: expected a fraction between 0 and 1"
            )
        self.name = name
        self.classes = None if classes is None else _check_classes(classes)
        self.weak_validation_fraction = weak_validation_fraction
        self.weak_validation_seed = weak_validation_seed
        self.merge_overlaps = merge_overlaps
        self.skip_invalid = skip_invalid

    def load(self, *, check: FileCheck = check_headers) -> EventData:
        """Read the tables, find the clips on disk and check them.

        Args:
            check: function that finds problems of files, given the root and their names.

        Raises:
            UserError: if the root or a table is missing.
            DataError: if a subset has no clips on disk; otherwise with all problems of the tables and files.
        """
        if not (self.root / "audio").is_dir() or not (self.root / "metadata").is_dir():
            hint = suggest_inner_root(self.root, "audio", "metadata")
            raise UserError(f"data.root={self.root}: expected a folder with DESED's audio/ and metadata/{hint}")
        problems: list[str] = []
        where = places(self.root)
        tables = _read_tables(where, problems, merge=self.merge_overlaps)
        found = {subset: where[subset].find(tables.listed[subset]) for subset in SUBSETS}
        # A table of durations may name clips without events; alone it cannot be the labels of a subset.
        named = {subset: list(tables.strong[subset].clips) for subset in STRONG_SUBSETS}
        named |= {subset: tables.listed[subset] for subset in ("weak", "unlabeled")}
        absent = [
            _absence(where[subset], named[subset]) for subset in SUBSETS if not found[subset].keys() & named[subset]
        ]
        if absent:
            raise DataError(problems + absent)
        for subset in STRONG_SUBSETS:
            problems += check_durations(where[subset], tables.durations[subset], found[subset])
            complete_durations(self.root, tables.durations[subset], found[subset])
            report_unlabelled(where[subset], tables.strong[subset].clips, found[subset])
        for subset in (*STRONG_SUBSETS, "weak"):
            report_unlisted(where[subset], found[subset])
        classes = self._classes(tables.strong["strong"].labels)
        for subset, table in tables.strong.items():
            check_strong(table, classes, tables.durations[subset], problems)
        check_weak(tables.weak, classes, problems)
        problems += _recordings_in_two_subsets(tables.listed)
        clips = _clips(tables, found)
        if not self.skip_invalid:  # otherwise the feature store finds them, counts them and continues
            problems += check(self.root, [clip.filename for clip in clips])
        if problems:
            raise DataError(problems)
        coverage = tuple(_coverage(where[subset], found[subset], tables.listed[subset]) for subset in SUBSETS)
        return self._split(clips, classes, tables, coverage)

    def _classes(self, labels: set[str]) -> tuple[str, ...]:
        if self.classes is not None:
            return self.classes
        return tuple(sorted(labels)) if labels and labels.isdisjoint(DESED_CLASSES) else DESED_CLASSES

    def _split(
        self,
        clips: tuple[EventClip, ...],
        classes: tuple[str, ...],
        tables: _Tables,
        coverage: tuple[SubsetCoverage, ...],
    ) -> EventData:
        listed_weak = tables.listed["weak"]
        held_out = hold_out(listed_weak, fraction=self.weak_validation_fraction, seed=self.weak_validation_seed)

        def indices(of_split: Callable[[EventClip], bool]) -> NDArray[np.int64]:
            return np.array([index for index, clip in enumerate(clips) if of_split(clip)], dtype=np.int64)

        data = EventData(
            name=self.name,
            root=self.root,
            clips=clips,
            classes=classes,
            strong=indices(lambda clip: clip.subset == "strong"),
            weak=indices(lambda clip: clip.subset == "weak" and clip.name not in held_out),
            unlabeled=indices(lambda clip: clip.subset == "unlabeled"),
            weak_validation=indices(lambda clip: clip.subset == "weak" and clip.name in held_out),
            synthetic_validation=indices(lambda clip: clip.subset == "synthetic_validation"),
            test=indices(lambda clip: clip.subset == "validation"),
            coverage=coverage,
            merged_events=tables.merged,
        )
        if len(data.weak) == 0 or len(data.weak_validation) == 0:
            raise UserError(
                f"data.weak_validation_fraction={self.weak_validation_fraction}: {len(data.weak)} weak clips to "
                f"train on and {len(data.weak_validation)} to validate on, of {len(listed_weak)} listed; expected "
                "some of both"
            )
        return data


def hold_out(listed: Sequence[str], *, fraction: float, seed: int) -> set[str]:
    """Choose the listed weak clips to validate on.

    The baseline trains on the clips that ``DataFrame.sample(frac=1 - fraction, random_state=seed)`` of pandas draws and
    validates on the others. That draw is one choice of NumPy's legacy generator, whose stream is frozen, so that the
    clips are the same.
    """
    kept = np.random.RandomState(seed).choice(len(listed), size=round((1 - fraction) * len(listed)), replace=False)
    return set(listed) - {listed[index] for index in kept}


def _check_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that the user names, in alphabetical order."""
    names = sorted({strip_blanks(str(name)) for name in classes})
    if not names or "" in names:
        raise UserError(f"data.classes={list(classes)}: expected names of classes, none of them blank")
    if pairs := find_lookalikes(names):
        raise UserError(f"data.classes: {pairs[0]}; expected one spelling")
    return tuple(names)


def _read_tables(where: Mapping[str, Place], problems: list[str], *, merge: bool) -> _Tables:
    strong = {subset: read_strong(where[subset].table, problems) for subset in STRONG_SUBSETS}
    weak = read_weak(where["weak"].table, problems)
    problems += [line for table in strong.values() for line in check_labels(table)]
    problems += check_labels(weak)
    merged = 0
    if merge:
        for subset in STRONG_SUBSETS:
            strong[subset], count = merge_overlaps(strong[subset])
            merged += count
    durations = {}
    for subset in STRONG_SUBSETS:
        table = where[subset].durations
        durations[subset] = {} if table is None else read_durations(table, problems)
    # The baseline trains on all files in the folder of unlabelled clips; the table gives the complete number.
    unlabeled = where["unlabeled"]
    named = list(read_names(unlabeled.table, problems)) if unlabeled.table.exists() else []
    listed = {subset: list({**strong[subset].clips, **durations[subset]}) for subset in STRONG_SUBSETS}
    listed["weak"] = list(weak.clips)
    listed["unlabeled"] = list(dict.fromkeys([*named, *unlabeled.find_all()]))
    problems += [
        describe_unprintable(unlabeled.root / unlabeled.audio / name)
        for name in listed["unlabeled"]
        if not name.isprintable()
    ]
    return _Tables(strong, weak, durations, listed, merged)


def _coverage(place: Place, found: Mapping[str, str], listed: Sequence[str]) -> SubsetCoverage:
    """Count the clips on disk, and find the rows of the first missing ones."""
    missing = [name for name in listed if name not in found][:_SHOWN]
    named = [path for path in (place.table, place.durations) if missing and path is not None and path.is_file()]
    rows = [(path, first_rows(path, missing)) for path in named]
    examples = []
    for name in missing:
        where = [f"{path}, row {numbers[name]}: {name}" for path, numbers in rows if name in numbers]
        examples += where[:1]
    return SubsetCoverage(place.subset, len(found), len(listed), tuple(examples))


def _absence(place: Place, listed: Sequence[str]) -> str:
    """Describe why a subset has no clips."""
    if not place.folders:
        return f"{place.root / place.audio}: no such folder; expected the {place.subset} clips"
    if not listed and place.table.exists():
        return f"{place.table}: names no clip; expected the {place.subset} clips"
    if not listed:
        return f"{place.root / place.audio}: no audio; expected the {place.subset} clips"
    folders = " and ".join(place.folders)
    return (
        f"{place.root}: {folders} hold none of the {len(listed)} {place.subset} clips that {place.table.name} lists "
        f"({listed[0]}, ...); download or move them there"
    )


def _recordings_in_two_subsets(listed: Mapping[str, Iterable[str]]) -> list[str]:
    """Find real recordings that are both for training and validation, or both weakly labelled and unlabelled."""
    problems, seen = [], dict[str, str]()
    for subset in ("weak", "unlabeled", "validation"):
        for name in listed[subset]:
            if not _RECORDING.fullmatch(name):
                continue
            if name in seen:
                problems.append(f"{name}: in the {seen[name]} and in the {subset} subset; expected it in one")
            seen.setdefault(name, subset)
    return problems


def _clips(tables: _Tables, found: Mapping[str, Mapping[str, str]]) -> tuple[EventClip, ...]:
    """List all clips on disk, subset by subset, each sorted by name."""
    clips = []
    for subset in SUBSETS:
        strong = tables.strong[subset].clips if subset in tables.strong else {}
        durations = tables.durations.get(subset, {})
        for name, filename in sorted(found[subset].items()):
            events = (placed.event for placed in strong.get(name, ()))
            ordered = tuple(sorted(events, key=lambda event: (event.onset, event.offset, event.event_label)))
            weak_labels = tables.weak.clips[name] if subset == "weak" else ()
            clips.append(EventClip(filename, subset, ordered, weak_labels, durations.get(name)))
    return tuple(clips)
