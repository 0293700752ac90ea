"""Checks of the rows of an event table; all wrong rows are reported together, by file and row."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.tables import parse_seconds
from dcase_sweep.utils.tables import Table, unknown_name

EVENT_COLUMNS = ("filename", "onset", "offset", "event_label")
#: Networks pad clips, the recipe to 10 s, and detect events there. Times of more than ten times as much have another
#: unit.
_PADDED, _FAR = 10.0, 10.0
#: Times in minutes or hours are all in the first 1.7 % of a clip, or a little later if they are rounded. So may be
#: times in seconds in fewer clips, of a single class, in longer clips, or at one place.
_PART, _FEWEST_CLIPS, _FEWEST_CLASSES, _LONGEST = 0.02, 10, 2, 60.0


@dataclass(frozen=True, slots=True)
class EventRows:
    """The valid events of a table, ordered by clip, label, onset; event `i` is in row `row[i]` of the table.

    `clip` and `label` are indices into the names that the rows were checked against, times are in seconds.
    """

    row: NDArray[np.intp]
    clip: NDArray[np.intp]
    label: NDArray[np.intp]
    onset: NDArray[np.float64]
    offset: NDArray[np.float64]


def check_event_rows(
    table: Table,
    *,
    clips: Mapping[str, int],
    labels: Mapping[str, int],
    problems: list[str],
    may_overlap: bool = False,
) -> EventRows:
    """Return the valid events of `table`, and add a line to `problems` for each other row.

    A row with only a file name is a clip without events. PSDS and F1 are computed from the same table, so it must be
    valid for psds_eval and for sed_eval. Two events of one class in one clip must not overlap, as psds_eval 0.5
    requires for references and detections; they may touch. A repeated event, which both would count twice, is an
    overlap too. Events of length 0 are refused, because psds_eval drops them and sed_eval counts them; so are onsets
    before 0 s.

    Args:
        table: a table with the columns of events.
        clips: index of every known clip.
        labels: index of every known class.
        problems: list that receives a line for each wrong row.
        may_overlap: whether events of one class may overlap; the caller merges them.
    """
    names, onsets, offsets, event_labels = (table.columns[name] for name in EVENT_COLUMNS)
    is_event = np.array([bool(a or b or c) for a, b, c in zip(onsets, offsets, event_labels, strict=True)], dtype=bool)
    clip = np.array([clips.get(name, -1) for name in names], dtype=np.intp)
    label = np.array([labels.get(name, -1) for name in event_labels], dtype=np.intp)
    for row in np.flatnonzero(clip < 0):
        problems.append(f"{table.where(row)}: clip {names[row]!r} has no duration; add it to the table of durations")
    for row in np.flatnonzero(is_event & (label < 0)):
        known = ", ".join(labels) or "(none)"
        found = f"unknown class {unknown_name(event_labels[row], labels)}" if event_labels[row] else "no event_label"
        problems.append(f"{table.where(row)}: {found}; expected one of {known}")
    onset = parse_seconds(table, "onset", is_event, problems)
    offset = parse_seconds(table, "offset", is_event, problems)
    _report_times(table, onset, offset, problems)
    good = is_event & (clip >= 0) & (label >= 0) & (onset >= 0) & (offset > onset)
    rows = _ordered(EventRows(np.flatnonzero(good), clip[good], label[good], onset[good], offset[good]))
    if not may_overlap:
        _report_overlaps(table, rows, problems)
    return rows


def latest_end(longest: float) -> float:
    """Return the latest time (s) at which a detection may end in a set whose longest clip has this duration (s)."""
    return _FAR * max(longest, _PADDED)


def check_seconds(table: Table, rows: EventRows, longest: float, problems: list[str]) -> None:
    """Add a line for the latest event of a table if its times are milliseconds, samples or frames.

    Args:
        table: the table of the events.
        rows: the events of the table.
        longest: duration (s) of the longest clip.
        problems: list that receives the line.
    """
    if not len(rows.row) or rows.offset.max() <= latest_end(longest):
        return
    latest = int(rows.offset.argmax())
    problems.append(
        f"{table.where(rows.row[latest])}: {rows.onset[latest]:g} to {rows.offset[latest]:g} s, but the longest clip "
        f"has {longest:g} s; expected times in seconds"
    )


def find_larger_unit(
    clip: NDArray[np.integer],
    label: NDArray[np.integer],
    onset: NDArray[np.float64],
    offset: NDArray[np.float64],
    duration: NDArray[np.float64],
) -> str | None:
    """Describe reference events whose times must be minutes or hours; None if they may be seconds.

    Args:
        clip: number of the clip of each event ``[event]``.
        label: number of its class ``[event]``.
        onset: its onset ``[event]``.
        offset: its offset ``[event]``.
        duration: duration of its clip in s ``[event]``.
    """
    if len(np.unique(clip)) < _FEWEST_CLIPS or len(np.unique(label)) < _FEWEST_CLASSES or duration.max() > _LONGEST:
        return None
    if (offset > _PART * duration).any() or np.ptp(onset) <= offset.max() / 2:
        return None
    return (
        f"all {len(clip):,} events are in the first {100 * _PART:g} % of their clips: none ends after "
        f"{offset.max():.3g} s, in clips of up to {duration.max():g} s; expected times in seconds"
    )


def merge_overlapping(rows: EventRows) -> EventRows:
    """Merge overlapping events of one class in a clip; events that only touch are not merged."""
    keep: list[int] = []
    offset = rows.offset.copy()
    for i in range(len(rows.row)):
        last = keep[-1] if keep else -1
        same = last >= 0 and rows.clip[last] == rows.clip[i] and rows.label[last] == rows.label[i]
        if same and rows.onset[i] < offset[last]:
            offset[last] = max(offset[last], offset[i])
        else:
            keep.append(i)
    return EventRows(rows.row[keep], rows.clip[keep], rows.label[keep], rows.onset[keep], offset[keep])


def _report_times(table: Table, onset: NDArray[np.float64], offset: NDArray[np.float64], problems: list[str]) -> None:
    for row in np.flatnonzero(onset < 0):
        problems.append(f"{table.where(row)}: onset {onset[row]:g} s is negative; expected 0 s or later")
    for row in np.flatnonzero(offset <= onset):
        problems.append(
            f"{table.where(row)}: offset {offset[row]:g} s is not after onset {onset[row]:g} s; swap or remove them"
        )


def _ordered(rows: EventRows) -> EventRows:
    order = np.lexsort((rows.offset, rows.onset, rows.label, rows.clip))
    return EventRows(rows.row[order], rows.clip[order], rows.label[order], rows.onset[order], rows.offset[order])


def _report_overlaps(table: Table, rows: EventRows, problems: list[str]) -> None:
    same = (rows.clip[1:] == rows.clip[:-1]) & (rows.label[1:] == rows.label[:-1])
    for before in np.flatnonzero(same & (rows.onset[1:] < rows.offset[:-1])):
        first, second = rows.row[before], rows.row[before + 1]
        problems.append(
            f"{table.source}, rows {table.lines[first]} and {table.lines[second]}: two events of "
            f"{table.columns['event_label'][first]} overlap in {table.columns['filename'][first]} "
            f"({rows.onset[before]:g} to {rows.offset[before]:g} s and {rows.onset[before + 1]:g} to "
            f"{rows.offset[before + 1]:g} s); merge them into one"
        )
