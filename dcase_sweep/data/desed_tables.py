"""Reading and checking of DESED's tables; problems are reported by file and row."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcase_sweep.data.events import SoundEvent
from dcase_sweep.utils.lookalikes import find_lookalikes, strip_blanks
from dcase_sweep.utils.tables import check_paths, parse_number, read_table, unknown_name

STRONG_COLUMNS = ("filename", "onset", "offset", "event_label")
WEAK_COLUMNS = ("filename", "event_labels")
DURATION_COLUMNS = ("filename", "duration")
#: Events may end this much after their clip (s): DESED rounds durations to 0.1 s, and events of its real validation
#: set end up to 0.115 s after their clip.
OVERHANG = 0.2
#: Tolerance for binary rounding: 10.2 s is not more than 0.2 s after 10 s.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    values: dict[str, str]


@dataclass(frozen=True, slots=True)
class PlacedEvent:
    """An event and its row in the table."""

    row: int
    event: SoundEvent


@dataclass(frozen=True, slots=True)
class StrongTable:
    """The events of every clip in a table, in the order of the table; clips may have none."""

    path: Path
    clips: dict[str, list[PlacedEvent]]

    @property
    def labels(self) -> set[str]:
        return {placed.event.event_label for events in self.clips.values() for placed in events}


@dataclass(frozen=True, slots=True)
class WeakTable:
    """The labels of every clip in a table, each label once, and the row of the clip."""

    path: Path
    clips: dict[str, tuple[str, ...]]
    rows: dict[str, int]


def read_strong(path: Path, problems: list[str]) -> StrongTable:
    """Read rows of filename, onset, offset (s) and event_label; a row with only a filename is a clip without events.

    Raises:
        UserError: if the table is missing, is not text, or lacks a column.
    """
    clips: dict[str, list[PlacedEvent]] = {}
    for row in _read(path, STRONG_COLUMNS, problems):
        filename, onset, offset, label = (row.values[column] for column in STRONG_COLUMNS)
        where = f"{path}, row {row.number}"
        if not filename:
            problems.append(f"{where}: no filename; expected {', '.join(STRONG_COLUMNS)}")
            continue
        events = clips.setdefault(filename, [])
        if not (onset or offset or label):
            continue
        event = parse_event(where, onset, offset, label, problems)
        if event is not None:
            events.append(PlacedEvent(row.number, event))
    return StrongTable(path, clips)


def parse_event(where: str, onset: str, offset: str, label: str, problems: list[str]) -> SoundEvent | None:
    """Return the event of a row; None, and a line among the problems, if it is none.

    Args:
        where: the table and the row, for messages.
        onset: in seconds.
        offset: in seconds.
        label: class label of the event.
        problems: list that receives a line for each problem.
    """
    begin, end = parse_number(onset), parse_number(offset)
    if begin is None or end is None:
        column, text = ("onset", onset) if begin is None else ("offset", offset)
        problems.append(f"{where}: {column} is {text!r}; expected a number of seconds")
    elif not label:
        problems.append(f"{where}: an event without an event_label; expected a class")
    elif begin < 0:
        problems.append(f"{where}: onset {begin:g} s is negative; expected 0 s or later")
    elif end <= begin:
        problems.append(f"{where}: offset {end:g} s is not after onset {begin:g} s; swap or remove them")
    else:
        return SoundEvent(begin, end, label)
    return None


def read_weak(path: Path, problems: list[str]) -> WeakTable:
    """Read rows of filename and event_labels, separated by commas; DESED repeats some labels.

    Raises:
        UserError: if the table is missing, is not text, or lacks a column.
    """
    rows = read_names(path, problems, WEAK_COLUMNS)
    clips = {}
    for filename, row in rows.items():
        labels = {strip_blanks(label) for label in row.values["event_labels"].split(",")} - {""}
        if not labels:
            problems.append(f"{path}, row {row.number}: {filename} has no event_labels; add them or remove the row")
        clips[filename] = tuple(sorted(labels))
    return WeakTable(path, clips, {filename: row.number for filename, row in rows.items()})


def first_rows(path: Path, filenames: Collection[str]) -> dict[str, int]:
    """Find the first row of each of these files that is in the table.

    Raises:
        UserError: if the table is missing or is not text.
    """
    rows: dict[str, int] = {}
    for row in _read(path, ("filename",), []):
        if row.values["filename"] in filenames:
            rows.setdefault(row.values["filename"], row.number)
    return rows


def read_durations(path: Path, problems: list[str]) -> dict[str, float]:
    """Read the duration (s) of each clip.

    Raises:
        UserError: if the table is not text or lacks a column.
    """
    durations = {}
    for filename, row in read_names(path, problems, DURATION_COLUMNS).items():
        seconds = parse_number(row.values["duration"])
        if seconds is None or seconds <= 0:
            found = row.values["duration"]
            problems.append(f"{path}, row {row.number}: duration is {found!r}; expected a number of seconds above 0")
        else:
            durations[filename] = seconds
    return durations


def read_names(path: Path, problems: list[str], columns: Sequence[str] = ("filename",)) -> dict[str, _Row]:
    """Read the row of each filename; each may occur once.

    Raises:
        UserError: if the table is missing, is not text, or lacks a column.
    """
    rows: dict[str, _Row] = {}
    for row in _read(path, columns, problems):
        filename = row.values["filename"]
        if not filename:
            problems.append(f"{path}, row {row.number}: no filename; expected {', '.join(columns)}")
        elif filename in rows:
            problems.append(
                f"{path}, row {row.number}: {filename} is also in row {rows[filename].number}; expected each file once"
            )
        else:
            rows[filename] = row
    return rows


def check_strong(
    table: StrongTable, classes: Collection[str], durations: Mapping[str, float], problems: list[str]
) -> None:
    """Report unknown classes, events after the end of their clip, overlapping events of one class, and other units."""
    for filename, events in table.clips.items():
        for placed in events:
            where, event = f"{table.path}, row {placed.row}", placed.event
            if event.event_label not in classes:
                problems.append(unknown_class(where, event.event_label, classes))
            duration = durations.get(filename, math.inf)
            if event.onset >= duration or event.offset > duration + OVERHANG + _ROUNDING:
                problems.append(
                    f"{where}: {event.onset:g} to {event.offset:g} s is beyond the end of {filename} "
                    f"({duration:g} s); correct the event or the clip"
                )
        problems += _overlaps(table.path, filename, events)
    unit = _find_unit(table, durations)
    if unit is not None:
        problems.append(f"{table.path}: {unit}")


def _find_unit(table: StrongTable, durations: Mapping[str, float]) -> str | None:
    """Describe times that are not in seconds."""
    from dcase_sweep.evaluation.events.event_rows import find_larger_unit  # imports SciPy

    events = [
        (number, placed.event, durations[filename])
        for number, (filename, of_clip) in enumerate(table.clips.items())
        for placed in of_clip
        if filename in durations
    ]
    labels = sorted(table.labels)
    return find_larger_unit(
        np.array([number for number, _, _ in events]),
        np.array([labels.index(event.event_label) for _, event, _ in events]),
        np.array([event.onset for _, event, _ in events]),
        np.array([event.offset for _, event, _ in events]),
        np.array([seconds for _, _, seconds in events]),
    )


def check_weak(table: WeakTable, classes: Collection[str], problems: list[str]) -> None:
    """Report unknown classes."""
    for filename, labels in table.clips.items():
        for label in labels:
            if label not in classes:
                problems.append(unknown_class(f"{table.path}, row {table.rows[filename]}", label, classes))


def unknown_class(where: str, label: str, classes: Collection[str]) -> str:
    """Describe an unknown class."""
    known = ", ".join(classes)
    return f"{where}: unknown class {unknown_name(label, classes)}; expected one of {known} (data.classes names others)"


def check_labels(table: StrongTable | WeakTable) -> list[str]:
    """Describe each label that looks the same as another one in the table."""
    rows: dict[str, int] = {}
    if isinstance(table, StrongTable):
        for events in table.clips.values():
            for placed in events:
                rows[placed.event.event_label] = min(placed.row, rows.get(placed.event.event_label, placed.row))
    else:
        for filename, labels in table.clips.items():
            for label in labels:
                rows.setdefault(label, table.rows[filename])
    ordered = sorted(rows, key=lambda label: rows[label])
    return [
        f"{table.path}, row {rows[pair.second]}: the class {pair} (row {rows[pair.first]}); expected one spelling"
        for pair in find_lookalikes(ordered)
    ]


def merge_overlaps(table: StrongTable) -> tuple[StrongTable, int]:
    """Merge overlapping events of one class in a clip; return the table and the number of events fewer.

    Events that only touch are not merged; psds_eval accepts them.
    """
    clips = {filename: _merged(events) for filename, events in table.clips.items()}
    before, after = (sum(len(events) for events in of.values()) for of in (table.clips, clips))
    return StrongTable(table.path, clips), before - after


def _merged(events: Sequence[PlacedEvent]) -> list[PlacedEvent]:
    merged: list[PlacedEvent] = []
    last: dict[str, int] = {}
    for placed in sorted(events, key=lambda placed: (placed.event.onset, placed.event.offset)):
        event, place = placed.event, last.get(placed.event.event_label)
        if place is not None and event.onset < merged[place].event.offset:
            first = merged[place]
            longer = SoundEvent(first.event.onset, max(first.event.offset, event.offset), event.event_label)
            merged[place] = PlacedEvent(first.row, longer)
        else:
            last[event.event_label] = len(merged)
            merged.append(placed)
    return merged


def _overlaps(path: Path, filename: str, events: Sequence[PlacedEvent]) -> list[str]:
    """Describe events that start before an earlier event of their class has ended, which psds_eval does not accept."""
    problems = []
    latest: dict[str, PlacedEvent] = {}
    for placed in sorted(events, key=lambda placed: (placed.event.onset, placed.event.offset)):
        event, before = placed.event, latest.get(placed.event.event_label)
        if before is not None and event.onset < before.event.offset:
            problems.append(
                f"{path}, rows {before.row} and {placed.row}: two events of {event.event_label} overlap in {filename} "
                f"({before.event.onset:g} to {before.event.offset:g} s and {event.onset:g} to {event.offset:g} s); "
                "merge them into one, or set data.merge_overlaps=true"
            )
        if before is None or event.offset > before.event.offset:
            latest[event.event_label] = placed
    return problems


def _read(path: Path, columns: Sequence[str], problems: list[str]) -> list[_Row]:
    """Read the rows of a table; the first column contains file names."""
    # A row of a clip without events may end after the name of the clip.
    table = read_table(path, columns, may_be_short=columns == STRONG_COLUMNS, problems=problems)
    problems += check_paths(table, columns[0])
    cells = zip(*(table.columns[column] for column in columns), strict=True)
    return [_Row(number, dict(zip(columns, row, strict=True))) for number, row in zip(table.lines, cells, strict=True)]
