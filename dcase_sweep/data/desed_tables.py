"""The tables of DESED, and everything that can be wrong in them, told by file and row."""

import csv
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcase_sweep.data.events import SoundEvent
from dcase_sweep.errors import UserError

STRONG_COLUMNS = ("filename", "onset", "offset", "event_label")
WEAK_COLUMNS = ("filename", "event_labels")
DURATION_COLUMNS = ("filename", "duration")
#: DESED rounds its durations to 0.1 s, and events of its real validation set end up to 0.115 s after their clip.
OVERHANG = 0.2
#: 10.2 s is not more than 0.2 s after 10 s, whatever the binary fractions say.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    values: dict[str, str]


@dataclass(frozen=True, slots=True)
class PlacedEvent:
    """An event and the row of the table it stands in."""

    row: int
    event: SoundEvent


@dataclass(frozen=True, slots=True)
class StrongTable:
    """The events of every clip that a table names, in the order of the table; some have none."""

    path: Path
    clips: dict[str, list[PlacedEvent]]

    @property
    def labels(self) -> set[str]:
        return {placed.event.event_label for events in self.clips.values() for placed in events}


@dataclass(frozen=True, slots=True)
class WeakTable:
    """The labels of every clip that a table names, each label once, and the row of the clip."""

    path: Path
    clips: dict[str, tuple[str, ...]]
    rows: dict[str, int]


def read_strong(path: Path, problems: list[str]) -> StrongTable:
    """Rows of filename, onset, offset (s) and event_label; a row with a filename alone is a clip without events.

    Raises:
        UserError: for a table that is missing, no text, or lacks a column.
    """
    clips: dict[str, list[PlacedEvent]] = {}
    for row in _read(path, STRONG_COLUMNS):
        filename, onset, offset, label = (row.values[column] for column in STRONG_COLUMNS)
        where = f"{path}, row {row.number}"
        if not filename:
            problems.append(f"{where}: no filename; expected {', '.join(STRONG_COLUMNS)}")
            continue
        events = clips.setdefault(filename, [])
        if not (onset or offset or label):
            continue
        event = _event(where, onset, offset, label, problems)
        if event is not None:
            events.append(PlacedEvent(row.number, event))
    return StrongTable(path, clips)


def _event(where: str, onset: str, offset: str, label: str, problems: list[str]) -> SoundEvent | None:
    begin, end = _seconds(onset), _seconds(offset)
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
    """Rows of filename and event_labels, separated by commas; DESED repeats a label here and there.

    Raises:
        UserError: for a table that is missing, no text, or lacks a column.
    """
    rows = read_names(path, problems, WEAK_COLUMNS)
    clips = {}
    for filename, row in rows.items():
        labels = {label.strip() for label in row.values["event_labels"].split(",")} - {""}
        if not labels:
            problems.append(f"{path}, row {row.number}: {filename} has no event_labels; add them or remove the row")
        clips[filename] = tuple(sorted(labels))
    return WeakTable(path, clips, {filename: row.number for filename, row in rows.items()})


def first_rows(path: Path, filenames: Collection[str]) -> dict[str, int]:
    """The row in which a table first names each of these files, as far as it names them.

    Raises:
        UserError: for a table that is missing or no text.
    """
    rows: dict[str, int] = {}
    for row in _read(path, ("filename",)):
        if row.values["filename"] in filenames:
            rows.setdefault(row.values["filename"], row.number)
    return rows


def read_durations(path: Path, problems: list[str]) -> dict[str, float]:
    """Seconds of each clip.

    Raises:
        UserError: for a table that is no text or lacks a column.
    """
    durations = {}
    for filename, row in read_names(path, problems, DURATION_COLUMNS).items():
        seconds = _seconds(row.values["duration"])
        if seconds is None or seconds <= 0:
            found = row.values["duration"]
            problems.append(f"{path}, row {row.number}: duration is {found!r}; expected a number of seconds above 0")
        else:
            durations[filename] = seconds
    return durations


def read_names(path: Path, problems: list[str], columns: Sequence[str] = ("filename",)) -> dict[str, _Row]:
    """The row of each filename, of which a table names every one once.

    Raises:
        UserError: for a table that is missing, no text, or lacks a column.
    """
    rows: dict[str, _Row] = {}
    for row in _read(path, columns):
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
    """Unknown classes, events beyond the end of their clip, and two events of one class that overlap."""
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


def check_weak(table: WeakTable, classes: Collection[str], problems: list[str]) -> None:
    """Unknown classes."""
    for filename, labels in table.clips.items():
        for label in labels:
            if label not in classes:
                problems.append(unknown_class(f"{table.path}, row {table.rows[filename]}", label, classes))


def unknown_class(where: str, label: str, classes: Collection[str]) -> str:
    """The line that tells of it."""
    return f"{where}: unknown class {label!r}; expected one of {', '.join(classes)} (data.classes names others)"


def _overlaps(path: Path, filename: str, events: Sequence[PlacedEvent]) -> list[str]:
    """Events that begin before an earlier one of their class has ended; psds_eval fails on them. They may touch."""
    problems = []
    latest: dict[str, PlacedEvent] = {}
    for placed in sorted(events, key=lambda placed: (placed.event.onset, placed.event.offset)):
        event, before = placed.event, latest.get(placed.event.event_label)
        if before is not None and event.onset < before.event.offset:
            problems.append(
                f"{path}, rows {before.row} and {placed.row}: two events of {event.event_label} overlap in {filename} "
                f"({before.event.onset:g} to {before.event.offset:g} s and {event.onset:g} to {event.offset:g} s); "
                "merge them into one"
            )
        if before is None or event.offset > before.event.offset:
            latest[event.event_label] = placed
    return problems


def _read(path: Path, columns: Sequence[str]) -> list[_Row]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a tab-separated table with {', '.join(columns)}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, delimiter="\t")
            found = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = found
            missing = [column for column in columns if column not in found]
            if missing:
                raise UserError(
                    f"{path}: no column {', '.join(missing)}; found {', '.join(found) or 'nothing'}; "
                    "expected a tab-separated table"
                )
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error):
        raise UserError(f"{path}: not a text table; expected tab-separated UTF-8 text") from None
    return [_Row(number, {column: (row[column] or "").strip() for column in columns}) for number, row in rows]


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None
