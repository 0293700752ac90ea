"""Tables of sound events in a folder of recordings: strong labels with times, or weak labels of whole clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dcase_sweep.data.desed_tables import PlacedEvent, StrongTable, WeakTable, check_labels, parse_event
from dcase_sweep.data.events import EventClip, SubsetCoverage
from dcase_sweep.data.folder.columns import EVENT_ALIASES, describe_columns
from dcase_sweep.data.folder.files import AudioFiles
from dcase_sweep.data.folder.splits import parse_split
from dcase_sweep.data.folder.tables import read_columns, resolve
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.lookalikes import strip_blanks
from dcase_sweep.utils.tables import Table, tidy_path
from dcase_sweep.utils.text import printable

#: Columns of a table with the times of events, and of a table with the labels of whole clips.
STRONG, WEAK = ("filename", "onset", "offset", "event_label"), ("filename", "event_labels")

#: Number of missing files of a subset in a message.
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class LabeledClip:
    """A labelled recording. Unknown fields are empty."""

    #: Its path on disk, relative to the folder.
    filename: str
    #: The table and the row, for messages.
    where: str
    split: str = ""
    group: str = ""
    fold: str = ""


@dataclass(slots=True)
class EventTable:
    """The strongly or weakly labelled clips of one table."""

    path: Path
    is_strong: bool
    #: One line about the columns that were used.
    description: str
    #: Whether the group is specified, by a column named "group" or by the user.
    names_groups: bool
    clips: dict[str, LabeledClip] = field(default_factory=dict)
    #: Events of the clips of a strong table.
    events: dict[str, list[PlacedEvent]] = field(default_factory=dict)
    #: Labels of the clips of a weak table.
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: Name of each clip that is not on disk → the line of its first row, and its split.
    missing: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def strong(self) -> StrongTable:
        """The events in the form in which they are checked."""
        return StrongTable(self.path, self.events)


@dataclass(slots=True)
class EventLabels:
    """The labels of all tables."""

    tables: list[EventTable]
    #: File name → labelled clip.
    strong: dict[str, LabeledClip]
    weak: dict[str, LabeledClip]
    #: Number of events that were merged with an overlapping event of their class.
    merged: int = 0

    def labels_of(self, filename: str) -> tuple[str, ...]:
        """Return the known classes of a clip."""
        for table in self.tables:
            if filename in table.labels:
                return table.labels[filename]
            if filename in table.events:
                return tuple(sorted({placed.event.event_label for placed in table.events[filename]}))
        return ()


def read_event_table(
    root: Path, path: Path, audio: AudioFiles, named: Mapping[str, str | None], problems: list[str]
) -> EventTable:
    """Read a table with a row for each event, or with a row for each clip and its labels, separated by commas.

    In a table of events, a row with only a file name is a clip without events. If the table has no column of splits,
    the split of all clips is the name of the table or of a folder above it, if that is the name of a split.

    Args:
        root: folder of the recordings.
        path: path of the table.
        audio: the recordings.
        named: columns that the user names.
        problems: list that receives a line for each problem.

    Raises:
        UserError: if the file is not a table, or of neither kind.
    """
    table, chosen = read_columns(path, named, EVENT_ALIASES, problems, may_be_short=True)
    is_strong = set(STRONG) <= chosen.keys()
    if not is_strong and not set(WEAK) <= chosen.keys():
        found = ", ".join(filter(None, table.header)) or "nothing"
        raise UserError(
            f"{path}: found the columns {printable(found)}; expected {', '.join(STRONG)}, or {', '.join(WEAK)}, or "
            "data.columns.NAME=COLUMN"
        )
    unused = "event_labels" if is_strong else "event_label"
    chosen = {use: column for use, column in chosen.items() if use != unused and (is_strong or use in _OF_WEAK)}
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    made = EventTable(
        path,
        is_strong,
        f"{shown}: {describe_columns(chosen)}",
        "group" in named or chosen.get("group", "").lower() == "group",
    )
    _read_rows(root, table, chosen, audio, made, problems)
    problems += check_labels(made.strong if is_strong else _as_weak(made))
    return made


_OF_WEAK = (*WEAK, "split", "group", "fold")


def _read_rows(
    root: Path, table: Table, chosen: Mapping[str, str], audio: AudioFiles, made: EventTable, problems: list[str]
) -> None:
    within = made.path.relative_to(root).as_posix() if made.path.is_relative_to(root) else ""
    default = find_split(within)
    for row in range(len(table)):
        cells = {use: table.columns[column][row] for use, column in chosen.items()}
        where = table.where(row)
        if not cells["filename"]:
            problems.append(f"{where}: no {chosen['filename']}; expected a value in every row")
            continue
        absent: list[str] = []
        filename = resolve(cells["filename"], within, audio, where, problems, absent)
        for line in absent:
            made.missing.setdefault(tidy_path(cells["filename"]), (line, cells.get("split", default)))
        if filename is None:
            continue
        clip = LabeledClip(filename, where, cells.get("split", default), cells.get("group", ""), cells.get("fold", ""))
        before = made.clips.setdefault(filename, clip)
        if (before.split, before.group, before.fold) != (clip.split, clip.group, clip.fold):
            problems.append(
                f"{where}: {filename} has another split, group or fold than in {_row(before.where)}; expected the same"
            )
        if made.is_strong:
            _add_event(made, cells, filename, where, problems)
        else:
            _add_labels(made, cells["event_labels"], before, where, problems)


def _add_event(made: EventTable, cells: Mapping[str, str], filename: str, where: str, problems: list[str]) -> None:
    events = made.events.setdefault(filename, [])
    onset, offset, label = (cells[use] for use in STRONG[1:])
    if onset or offset or label:
        event = parse_event(where, onset, offset, label, problems)
        if event is not None:
            events.append(PlacedEvent(int(where.rpartition(" ")[2]), event))


def _add_labels(made: EventTable, text: str, clip: LabeledClip, where: str, problems: list[str]) -> None:
    if clip.where != where:
        problems.append(f"{where}: {clip.filename} is also in {_row(clip.where)}; expected each file once")
        return
    labels = {strip_blanks(label) for label in text.split(",")} - {""}
    if not labels:
        problems.append(f"{where}: {clip.filename} has no event_labels; add them or remove the row")
    made.labels[clip.filename] = tuple(sorted(labels))


def _as_weak(made: EventTable) -> WeakTable:
    rows = {name: int(clip.where.rpartition(" ")[2]) for name, clip in made.clips.items()}
    return WeakTable(made.path, made.labels, rows)


def _row(where: str) -> str:
    return where.rpartition(", ")[2]


def find_split(path: str) -> str:
    """Return the split that the first part of a path names; empty if no part names one."""
    parts: Sequence[str] = PurePosixPath(path).with_suffix("").parts if path else ()
    return next((part for part in parts if parse_split(part)), "")


def count_missing(labels: EventLabels, clips: Sequence[EventClip]) -> tuple[SubsetCoverage, ...]:
    """Count the clips of the tables that are not on disk, separately for the test split and the others."""
    missing: dict[str, list[str]] = {}
    for table in labels.tables:
        for line, split in table.missing.values():
            is_test = table.is_strong and parse_split(split) == "test"
            missing.setdefault("test" if is_test else "strong" if table.is_strong else "weak", []).append(line)
    return tuple(
        SubsetCoverage(
            subset,
            found := sum(clip.subset == subset for clip in clips),
            found + len(lines),
            tuple(lines[:_SHOWN]),
        )
        for subset, lines in sorted(missing.items())
    )
