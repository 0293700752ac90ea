"""The ground truth: reference events and durations of clips."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.event_rows import (
    EVENT_COLUMNS,
    EventRows,
    check_event_rows,
    find_larger_unit,
    merge_overlapping,
)
from dcase_sweep.evaluation.events.tables import parse_seconds
from dcase_sweep.utils.errors import DataError, UserError
from dcase_sweep.utils.tables import Table, check_paths, check_spelling, read_table

#: DESED rounds its durations to 0.1 s, and 16 events of its real validation set end up to 0.115 s after their clip.
OVERHANG = 0.2


@dataclass(frozen=True, slots=True)
class Event:
    """One sound event of a known clip; times in seconds."""

    label: str
    onset: float
    offset: float


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """The reference events of a set of clips, ordered by clip, class, onset; no two of one class overlap in a clip.

    `durations` [clip] are in s. `clip`, `label` [event] are indices into `clips` and `labels`, `onset`, `offset`
    [event] are in s. `labels` may contain classes without an event, and clips may have no event.
    """

    clips: tuple[str, ...]
    durations: NDArray[np.float64]
    labels: tuple[str, ...]
    clip: NDArray[np.intp]
    label: NDArray[np.intp]
    onset: NDArray[np.float64]
    offset: NDArray[np.float64]
    #: Number of events that were merged with an overlapping event of their class.
    merged_events: int = 0
    #: Clips that the table of events does not name; they count as clips without events.
    unlisted: frozenset[str] = frozenset()

    def events_in(self, clip: str) -> list[Event]:
        """Return the reference events of one clip, ordered by class and onset."""
        return [
            Event(self.labels[self.label[i]], float(self.onset[i]), float(self.offset[i]))
            for i in np.flatnonzero(self.clip == self.clips.index(clip))
        ]

    def events_per_label(self) -> NDArray[np.intp]:
        """Count the reference events of every class, [label]."""
        return np.bincount(self.label, minlength=len(self.labels))

    def restricted_to(self, clips: Collection[str]) -> "GroundTruth":
        """Return the ground truth of some of the clips."""
        kept = [i for i, name in enumerate(self.clips) if name in clips]
        new_index = np.full(len(self.clips), -1, dtype=np.intp)
        new_index[kept] = np.arange(len(kept))
        clip = new_index[self.clip]
        known = clip >= 0
        return GroundTruth(
            tuple(self.clips[i] for i in kept),
            self.durations[kept],
            self.labels,
            clip[known],
            self.label[known],
            self.onset[known],
            self.offset[known],
            self.merged_events,
            self.unlisted.intersection(clips),
        )

    def with_labels(self, labels: Sequence[str]) -> "GroundTruth":
        """Return the ground truth with the classes in this order, which may include further classes.

        Raises:
            UserError: a class with reference events is not in `labels`.
        """
        missing = [self.labels[i] for i in np.unique(self.label) if self.labels[i] not in labels]
        if missing:
            raise UserError(
                f"the ground truth has events of {', '.join(missing)}; expected only {', '.join(labels)}: "
                "evaluate with the classes that the model was trained on"
            )
        index = {name: i for i, name in enumerate(labels)}
        label = np.array([index.get(name, -1) for name in self.labels], dtype=np.intp)[self.label]
        order = np.lexsort((self.onset, label, self.clip))
        return replace(
            self,
            labels=tuple(labels),
            clip=self.clip[order],
            label=label[order],
            onset=self.onset[order],
            offset=self.offset[order],
        )


def read_ground_truth(
    events: Path | str,
    durations: Path | str,
    *,
    labels: Sequence[str] | None = None,
    overhang: float = OVERHANG,
    merge_overlaps: bool = False,
) -> GroundTruth:
    """Read the ground truth from two tables in DESED's layout.

    Args:
        events: columns filename, onset, offset, event_label; a row with a file name alone is a clip without events.
        durations: columns filename, duration (s). All its clips are evaluated, also those without a row in `events`.
        labels: the classes; None uses those in `events`.
        overhang: time (s) by which an event may end after its clip, for tables with rounded durations.
        merge_overlaps: merge overlapping events of one class in a clip instead of refusing them.

    Raises:
        DataError: clips without a duration, unknown classes, events with negative or reversed times, beyond the end
            of their clip, or overlapping another of their class: one line each, with file and row; or times that are
            not seconds.
    """
    problems: list[str] = []
    table = read_table(events, EVENT_COLUMNS, may_be_short=True, problems=problems)
    problems += check_paths(table) + check_spelling(table, "event_label")
    truth = _check(table, read_durations(durations), labels, overhang, merge_overlaps, problems)
    return replace(truth, unlisted=frozenset(truth.clips).difference(table.columns["filename"]))


def ground_truth_from_events(
    events: Iterable[tuple[str, Event]],
    durations: Mapping[str, float],
    *,
    labels: Sequence[str] | None = None,
) -> GroundTruth:
    """Create the ground truth from (clip, event) pairs, with the checks of `read_ground_truth`.

    Args:
        durations: name of each clip → its duration, s.
    """
    rows = list(events)
    columns = {
        "filename": [clip for clip, _ in rows],
        "onset": [repr(float(event.onset)) for _, event in rows],
        "offset": [repr(float(event.offset)) for _, event in rows],
        "event_label": [event.label for _, event in rows],
    }
    table = Table("ground truth", columns, range(1, len(rows) + 1))
    return _check(table, durations, labels, OVERHANG, False, [])


def read_durations(path: Path | str) -> dict[str, float]:
    """Read the duration (s) of every clip from a table with the columns filename and duration.

    Raises:
        DataError: durations that are no positive numbers, or a clip with two different ones.
    """
    problems: list[str] = []
    table = read_table(path, ("filename", "duration"), problems=problems)
    problems += check_paths(table)
    seconds = parse_seconds(table, "duration", np.ones(len(table.lines), dtype=bool), problems)
    durations: dict[str, float] = {}
    for row, name in enumerate(table.columns["filename"]):
        if not name:
            problems.append(f"{table.where(row)}: no filename; expected filename, duration")
        if seconds[row] <= 0:
            problems.append(f"{table.where(row)}: duration {seconds[row]:g} s; expected more than 0 s")
        if durations.setdefault(name, float(seconds[row])) != seconds[row] and np.isfinite(seconds[row]):
            problems.append(f"{table.where(row)}: {name} lasts {seconds[row]:g} s here and {durations[name]:g} s above")
    if problems:
        raise DataError(problems)
    return durations


def _check(
    table: Table,
    durations: Mapping[str, float],
    labels: Sequence[str] | None,
    overhang: float,
    merge_overlaps: bool,
    problems: list[str],
) -> GroundTruth:
    if not durations:
        raise UserError(f"{table.source}: the table of durations has no clips; expected all clips of the evaluation")
    clips = tuple(sorted(durations))
    if labels is None:
        labels = sorted({label for label in table.columns["event_label"] if label})
    rows = check_event_rows(
        table,
        clips={name: i for i, name in enumerate(clips)},
        labels={name: i for i, name in enumerate(labels)},
        problems=problems,
        may_overlap=merge_overlaps,
    )
    seconds = np.array([durations[name] for name in clips], dtype=np.float64)
    _report_beyond_clip(table, rows, seconds, overhang, problems)
    unit = find_larger_unit(rows.clip, rows.label, rows.onset, rows.offset, seconds[rows.clip])
    if unit is not None:
        problems.append(f"{table.source}: {unit}")
    if problems:
        raise DataError(problems)
    merged = merge_overlapping(rows) if merge_overlaps else rows
    count = len(rows.row) - len(merged.row)
    return GroundTruth(
        clips, seconds, tuple(labels), merged.clip, merged.label, merged.onset, merged.offset, merged_events=count
    )


def _report_beyond_clip(
    table: Table, rows: EventRows, durations: NDArray[np.float64], overhang: float, problems: list[str]
) -> None:
    duration = durations[rows.clip]
    # 1e-9 is the tolerance for binary rounding: 10.2 s may end 0.2 s after 10 s.
    beyond = (rows.onset >= duration) | (rows.offset > duration + overhang + 1e-9)
    for i in np.flatnonzero(beyond):
        name = table.columns["filename"][rows.row[i]]
        problems.append(
            f"{table.where(rows.row[i])}: {rows.onset[i]:g} to {rows.offset[i]:g} s is beyond the end of {name} "
            f"({duration[i]:g} s); correct the event or the duration"
        )
