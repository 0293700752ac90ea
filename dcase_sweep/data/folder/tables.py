"""Tables of clip labels in a folder of recordings."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcase_sweep.data.folder.columns import CLIP_ALIASES, Aliases, choose_columns, describe_columns
from dcase_sweep.data.folder.files import TABLE_SUFFIXES, AudioFiles, find_files
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.lookalikes import shorten
from dcase_sweep.utils.tables import Table, check_spelling, path_problem, read_table, tidy_path
from dcase_sweep.utils.text import printable

log = logging.getLogger(__name__)

#: Larger files are not searched for labels (bytes).
_LARGEST = 64 * 2**20
#: The columns of results of ``predict`` that are no probabilities of classes.
_PREDICTIONS = (
    ("filename", "onset", "offset", "event_label", "confidence"),
    ("filename", "onset", "offset", "scene_label", "confidence"),
)
#: Tables of test clips that a run of scene classification writes, and a file that it writes before them.
_RESULTS, _BESIDE = ("clips.csv", "reference.csv", "scores.csv", "scores_float16.csv"), "scenes.json"
#: Number of files in a message.
_SHOWN = 2


@dataclass(frozen=True, slots=True)
class ClipRow:
    """A labelled recording. Unknown fields are empty."""

    #: Its path on disk, relative to the folder.
    filename: str
    label: str
    #: The table and the row, or the file, for messages.
    where: str
    split: str = ""
    group: str = ""
    device: str = ""
    fold: str = ""


@dataclass(frozen=True, slots=True)
class ClipLabels:
    """All labelled recordings, and the source of the labels."""

    rows: tuple[ClipRow, ...]
    #: The path of the table, or the root.
    source: str
    #: One line about the source and the columns that were used.
    description: str
    #: Whether the group is specified, by a column named "group" or by the user.
    names_groups: bool = True
    #: Number of rows that were skipped because their file is not on disk.
    missing: int = 0


def locate_table(root: Path, name: str) -> Path:
    """Return the path of a table that the user names, relative to the folder of the recordings or as typed.

    Raises:
        UserError: if it does not exist.
    """
    for path in (root / name, Path(name).expanduser()):
        if path.is_file():
            return path
    raise UserError(f"data.table={printable(name)}: no such file in {root}; expected the path of a table")


def read_columns(
    path: Path,
    named: Mapping[str, str | None],
    aliases: Aliases,
    problems: list[str],
    *,
    may_be_short: bool = False,
) -> tuple[Table, dict[str, str]]:
    """Read the columns of a table that are used; return the table, and the column for each use.

    Raises:
        UserError: if the file is not a table, or does not have a column that the user specifies.
    """
    header = read_table(path, problems=[]).header
    chosen = choose_columns(header, named, aliases, str(path))
    columns = list(dict.fromkeys(chosen.values()))
    return read_table(path, columns, may_be_short=may_be_short, problems=problems), chosen


def find_label_tables(
    root: Path, named: Mapping[str, str | None], aliases: Aliases, needs: Sequence[Sequence[str]]
) -> list[str]:
    """Return the tables under a folder that have the columns for one of several lists of uses.

    Tables that ``predict`` has written are left out: a network must not be trained on its own results unnoticed. A line
    names each of them, and each table that cannot be read. Those of runs, whose folders may be below the recordings,
    are left out too, in one line.

    Args:
        root: the folder.
        named: columns that the user names.
        aliases: use → names of columns.
        needs: lists of uses; a table must have columns for all uses of one of them.
    """
    found = []
    names = find_files(root, TABLE_SUFFIXES, [])
    of_runs = [name for name in names if _is_of_run(root / name)]
    if of_runs:
        tables = f"{printable(of_runs[0])}{', ...' if of_runs[1:] else ''}"
        log.info(f"left out  {pluralize(len(of_runs), 'table')} with results of runs: {tables}")
    ignored = set(of_runs)
    for name in names:
        if name in ignored or (root / name).stat().st_size > _LARGEST:
            continue
        try:
            header = read_table(root / name, problems=[]).header
        except UserError as error:
            log.info(f"left out  {error}")
            continue
        if len(header) == 1 and ";" in header[0]:
            log.info(f"left out  {printable(name)}: separated by semicolons; expected commas or tabs")
            continue
        try:
            chosen = choose_columns(header, named, aliases, name)
        except UserError:  # without a column that the user names
            continue
        if not any(set(uses) <= chosen.keys() for uses in needs):
            continue
        if _is_of_predictions(root / name, header):
            log.info(f"left out  {printable(name)}: results of predict; data.table={printable(name)} reads it")
            continue
        found.append(name)
    return found


def _is_of_run(path: Path) -> bool:
    """Whether a run has written a table, beside its other results."""
    return path.name in _RESULTS and path.with_name(_BESIDE).is_file()


def _is_of_predictions(path: Path, header: Sequence[str]) -> bool:
    """Whether a table has the columns that ``predict`` writes: a confidence, or a probability of each class."""
    if tuple(header) in _PREDICTIONS:
        return True
    if tuple(header[:2]) != ("filename", "scene_label") or len(header) < 4:
        return False
    labels = read_table(path, ["scene_label"], problems=[]).columns["scene_label"]
    return len(labels) > 0 and set(labels) <= set(header[2:])


def read_clip_table(
    root: Path, path: Path, audio: AudioFiles, named: Mapping[str, str | None], problems: list[str], *, skip: bool
) -> ClipLabels:
    """Read a table with a row for each recording and its label.

    Args:
        root: folder of the recordings.
        path: path of the table.
        audio: the recordings.
        named: columns that the user names.
        problems: list that receives a line for each problem.
        skip: whether to skip rows whose file is not on disk.

    Raises:
        UserError: if the file is not a table, or does not have columns of names and labels.
    """
    table, chosen = read_columns(path, named, CLIP_ALIASES, problems)
    for use in ("filename", "label"):
        if use not in chosen:
            found = ", ".join(filter(None, table.header)) or "nothing"
            raise UserError(
                f"{path}: no column of the {use}; found {printable(found)}; expected {CLIP_ALIASES[use][0]}, or "
                f"data.columns.{use}=COLUMN"
            )
    for use in ("label", "device"):
        problems += check_spelling(table, chosen[use]) if use in chosen else []
    rows, missing = _read_rows(root, table, chosen, audio, problems)
    if not len(table):
        problems.append(f"{path}: a header without rows; expected a row for each recording")
    if missing and not skip:
        problems += missing
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    names_groups = "group" in named or chosen.get("group", "").lower() == "group"
    description = f"{shown}: {describe_columns(chosen)}"
    return ClipLabels(tuple(rows), str(path), description, names_groups, len(missing) if skip else 0)


def _read_rows(
    root: Path, table: Table, chosen: Mapping[str, str], audio: AudioFiles, problems: list[str]
) -> tuple[list[ClipRow], list[str]]:
    """Return the rows with a file and a label, and a line for each whose file is not on disk."""
    rows: list[ClipRow] = []
    missing: list[str] = []
    first: dict[str, str] = {}
    within = Path(table.source).relative_to(root).as_posix() if Path(table.source).is_relative_to(root) else ""
    for row in range(len(table)):
        cells = {use: table.columns[column][row] for use, column in chosen.items()}
        where = table.where(row)
        empty = [chosen[use] for use, cell in cells.items() if not cell]
        if empty:
            problems.append(f"{where}: {empty[0]} is empty; expected a value in every row")
            continue
        filename = resolve(cells["filename"], within, audio, where, problems, missing)
        if filename is None:
            continue
        if filename in first:
            problems.append(f"{where}: {cells['filename']} is also in {first[filename]}; expected each file once")
            continue
        first[filename] = where.rpartition(", ")[2]
        rows.append(ClipRow(**{**cells, "filename": filename}, where=where))
    return rows, missing


def resolve(
    name: str, table: str, audio: AudioFiles, where: str, problems: list[str], missing: list[str]
) -> str | None:
    """Return the recording to which a name in a table refers; None unless there is exactly one.

    Args:
        name: name in the table.
        table: path of the table, relative to the folder of the recordings.
        audio: the recordings.
        where: table and row, for messages.
        problems: list that receives a line if the name may refer to several files, or leads out of the folder.
        missing: list that receives a line if there is no such file.
    """
    outside = path_problem(name)
    if outside is not None:
        problems.append(f"{where}: {outside}")
        return None
    found = audio.find(tidy_path(name), table)
    if len(found) == 1:
        return found[0]
    if found:
        shown = " and ".join(sorted(found)[:_SHOWN])
        problems.append(f"{where}: {shorten(name, 80)} may be {shown}; expected its path from data.root")
    else:
        missing.append(f"{where}: {shorten(name, 80)} {audio.describe_absence(tidy_path(name))}")
    return None


def describe_tables(root: Path) -> str:
    """Describe the columns of the first tables under a folder, which are not those that were expected."""
    found = []
    for name in find_files(root, TABLE_SUFFIXES, [])[:_SHOWN]:
        try:
            header = ", ".join(filter(None, read_table(root / name, problems=[]).header))
        except UserError:  # it is named on its own
            continue
        found.append(f"{printable(name)} has {shorten(printable(header), 80)}")
    return f" ({'; '.join(found)})" if found else ""
