"""Number of clips of each class, device and city in each split of a data set."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dcase_sweep.data.events import EventData
from dcase_sweep.data.scenes import SceneData

#: The name of the row for clips without known classes.
UNLABELLED = "(unlabelled)"


@dataclass(frozen=True, slots=True)
class Counts:
    """A table of clips with a row for each class, device or city, and a column for each split.

    Attributes:
        what: kind of the rows: ``class``, ``device`` or ``city``.
        splits: names of the columns.
        rows: name of the row → number of clips in each split.
        seconds: name of the row → length of its clips or, if events have times, of its events, s.
        events: name of the row → number of its events; empty for data without events.
    """

    what: str
    splits: tuple[str, ...]
    rows: dict[str, tuple[int, ...]]
    seconds: dict[str, float]
    events: dict[str, int]


def count_clips(data: Any, lengths: Mapping[str, float]) -> list[Counts]:
    """Count the clips of a data set.

    Args:
        data: a data set of any task. Unknown properties are not counted.
        lengths: length of each recording that can be read, s.
    """
    if isinstance(data, SceneData):
        tables = [("class", [(each.scene_label,) for each in data.recordings])]
        for what in ("device", "city"):
            values = [getattr(each, what) for each in data.recordings]
            if any(values):
                tables.append((what, [(value or "?",) for value in values]))
        return [_count(what, labels, data, lengths) for what, labels in tables]
    if isinstance(data, EventData):
        labels = [clip.labels or ((UNLABELLED,) if clip.duration is None else ()) for clip in data.clips]
        return [_count_events(_count("class", labels, data, lengths), data)]
    return []


def labels_of(data: Any) -> dict[str, tuple[str, ...]]:
    """Return the known classes of each recording."""
    if isinstance(data, SceneData):
        return {each.filename: (each.scene_label,) for each in data.recordings}
    if isinstance(data, EventData):
        return {clip.filename: clip.labels for clip in data.clips}
    return {}


def _count(what: str, labels: Sequence[Iterable[str]], data: Any, lengths: Mapping[str, float]) -> Counts:
    splits = tuple(data.splits)
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    seconds: dict[str, float] = defaultdict(float)
    for split, indices in data.splits.items():
        for index in indices:
            for label in labels[index]:
                rows[label][split] += 1
                seconds[label] += lengths.get(data.filenames[index], 0.0)
    ordered = sorted(rows, key=lambda label: (label == UNLABELLED, label))
    return Counts(
        what,
        splits,
        {label: tuple(rows[label][split] for split in splits) for label in ordered},
        {label: seconds[label] for label in ordered},
        {},
    )


def _count_events(counts: Counts, data: EventData) -> Counts:
    """Replace the lengths of clips with those of events, if there are any."""
    events: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)
    for clip in data.clips:
        for event in clip.events:
            events[event.event_label] += 1
            seconds[event.event_label] += event.offset - event.onset
    known = {label: seconds.get(label, 0.0) for label in counts.rows if label != UNLABELLED}
    return Counts(counts.what, counts.splits, counts.rows, known, {label: events[label] for label in known})
