"""Detected events at one or many decision thresholds."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.event_rows import EVENT_COLUMNS, EventRows, check_event_rows, check_seconds
from dcase_sweep.evaluation.events.ground_truth import Event
from dcase_sweep.utils.errors import DataError, UserError
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.tables import read_table

_THRESHOLD = re.compile(r"\d*\.\d+")
#: Largest difference between the threshold of F1 and that of the nearest table, from which F1 is computed then.
LARGEST_DISTANCE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Detected events of a set of clips, ordered by clip, class, onset.

    Event `i` is detected at `thresholds[first[i]:last[i]]`, so an event at several thresholds is stored once.
    `thresholds` ascend. `clip`, `label` [event] are indices into `clips` and `labels`; times [event] are in s.
    """

    clips: tuple[str, ...]
    labels: tuple[str, ...]
    thresholds: NDArray[np.float64]
    clip: NDArray[np.intp]
    label: NDArray[np.intp]
    onset: NDArray[np.float64]
    offset: NDArray[np.float64]
    first: NDArray[np.intp]
    last: NDArray[np.intp]

    def at(self, index: int) -> "Detections":
        """Return the detections at `thresholds[index]` only."""
        found = (self.first <= index) & (index < self.last)
        first = np.zeros(int(found.sum()), dtype=np.intp)
        return Detections(
            self.clips,
            self.labels,
            self.thresholds[index : index + 1],
            self.clip[found],
            self.label[found],
            self.onset[found],
            self.offset[found],
            first,
            first + 1,
        )

    def events_in(self, clip: str) -> list[Event]:
        """Return the events of one clip; meant for detections at one threshold."""
        return [
            Event(self.labels[self.label[i]], float(self.onset[i]), float(self.offset[i]))
            for i in np.flatnonzero(self.clip == self.clips.index(clip))
        ]


def read_detections(
    tables: Mapping[float, Path | str], *, clips: Sequence[str], labels: Sequence[str], longest: float | None = None
) -> Detections:
    """Read detections from one table for each threshold, with the columns filename, onset, offset, event_label.

    A clip without a row has no detection. Detections may reach beyond their clip: networks pad clips to full length.

    Args:
        tables: the table of each threshold.
        clips: names of the clips of the set.
        labels: the classes.
        longest: duration (s) of the longest clip; None if it is not known.

    Raises:
        DataError: clips or classes that are not in `clips` or `labels`, negative or reversed times, overlapping
            events of one class, or times that cannot be seconds: one line each, with file and row.
    """
    thresholds = sorted(tables)
    clip_index = {name: i for i, name in enumerate(clips)}
    label_index = {name: i for i, name in enumerate(labels)}
    problems: list[str] = []
    parts = []
    for threshold in thresholds:
        table = read_table(tables[threshold], EVENT_COLUMNS)
        parts.append(check_event_rows(table, clips=clip_index, labels=label_index, problems=problems))
        if longest is not None:
            check_seconds(table, parts[-1], longest, problems)
    if problems:
        raise DataError(problems)
    return _collect(parts, thresholds, tuple(clips), tuple(labels))


def write_detections(detections: Detections, folder: Path | str) -> list[Path]:
    """Write one table for each threshold, predictions_th_0.05.tsv and so on, as `read_detections` reads them.

    The folder is created if necessary; existing tables are overwritten.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for index, threshold in enumerate(detections.thresholds):
        decimals = max(2, len(f"{threshold:.10g}") - 2)
        path = folder / f"predictions_th_{threshold:.{decimals}f}.tsv"
        write_text(path, format_detections(detections.at(index)))
        written.append(path)
    return written


def format_detections(detections: Detections) -> str:
    """Format detections at one threshold as a tab-separated table, a row for each event."""
    lines = ["\t".join(EVENT_COLUMNS)]
    rows = zip(detections.clip, detections.label, detections.onset, detections.offset, strict=True)
    for clip, label, onset, offset in rows:
        lines.append(f"{detections.clips[clip]}\t{float(onset)!r}\t{float(offset)!r}\t{detections.labels[label]}")
    return "\n".join(lines) + "\n"


def find_threshold_tables(folder: Path | str) -> dict[float, Path]:
    """Find the tables (.tsv, .csv) in a folder by the threshold in their names, such as predictions_th_0.05.tsv.

    Raises:
        UserError: no folder, no table, a name without a threshold between 0 and 1, or two names with the same one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: not a folder; expected one with a table of detections (.tsv or .csv) per threshold")
    tables: dict[float, Path] = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".tsv", ".csv")):
        threshold = get_threshold(path)
        if threshold in tables:
            raise UserError(f"{path}: has the threshold {threshold:g} of {tables[threshold].name}; remove one of them")
        tables[threshold] = path
    if not tables:
        raise UserError(f"{folder}: contains no .tsv or .csv table; expected one table of detections per threshold")
    return tables


def find_nearest(thresholds: Iterable[float], wanted: float) -> float:
    """Return the threshold that is nearest to the wanted one; of two, the lower one."""
    return min(thresholds, key=lambda threshold: (abs(threshold - wanted), threshold))


def get_threshold(path: Path | str) -> float:
    """Read the threshold in a table's name: its last number with a decimal point, as in predictions_th_0.05.tsv.

    Raises:
        UserError: no such number between 0 and 1.
    """
    numbers = _THRESHOLD.findall(Path(path).stem)
    if not numbers or not 0 <= float(numbers[-1]) <= 1:
        raise UserError(f"{path}: no threshold in the name; expected one from 0 to 1, as in predictions_th_0.05.tsv")
    return float(numbers[-1])


def _collect(
    parts: Iterable[EventRows], thresholds: Sequence[float], clips: tuple[str, ...], labels: tuple[str, ...]
) -> Detections:
    parts = list(parts)
    first = np.repeat(np.arange(len(parts)), [len(part.row) for part in parts])
    clip, label, onset, offset = (
        np.concatenate([getattr(part, name) for part in parts] or [np.empty(0)])
        for name in ("clip", "label", "onset", "offset")
    )
    # An event that is equal at neighbouring thresholds is stored once.
    order = np.lexsort((first, offset, onset, label, clip))
    clip, label, onset, offset, first = (a[order] for a in (clip, label, onset, offset, first))
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = (
        (clip[1:] != clip[:-1])
        | (label[1:] != label[:-1])
        | (onset[1:] != onset[:-1])
        | (offset[1:] != offset[:-1])
        | (first[1:] != first[:-1] + 1)
    )
    ends = np.flatnonzero(np.append(starts[1:], len(order) > 0))
    return Detections(
        clips,
        labels,
        np.asarray(thresholds, dtype=np.float64),
        clip[starts].astype(np.intp),
        label[starts].astype(np.intp),
        onset[starts],
        offset[starts],
        first[starts],
        first[ends] + 1,
    )
