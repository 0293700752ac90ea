"""Reading and checking of the tables of a data set in TAU's layout."""

import logging
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from dcase_sweep.data.scenes import SceneRecording
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.lookalikes import find_lookalikes, strip_blanks
from dcase_sweep.utils.recording_names import check_recording_names
from dcase_sweep.utils.tables import (
    Table,
    check_paths,
    check_spelling,
    read_table,
    stored_name,
    tidy_path,
    unknown_name,
)

log = logging.getLogger(__name__)

META = "meta.csv"


def read_rows(path: Path, columns: Sequence[str], holds: str, problems: list[str]) -> Table | None:
    """Read columns of a table; return None and add a problem if it has no rows.

    Args:
        path: path of the table.
        columns: names of the columns; the first contains file names.
        holds: description of the rows for messages.
        problems: list that receives a line for each problem.
    """
    expected = f"a tab-separated table with {', '.join(columns)}"
    found: list[str] = []
    try:
        table = read_table(path, columns, expected=expected, problems=found)
    except UserError as error:
        problems.append(str(error))
        return None
    if not len(table) and not found:
        problems.append(f"{path}: a header without rows; expected {holds}")
        return None
    problems += found + check_paths(table, columns[0])
    table.columns[columns[0]] = [tidy_path(name) for name in table.columns[columns[0]]]
    return table


def read_recordings(root: Path, problems: list[str]) -> dict[str, SceneRecording] | None:
    """Read the metadata of each file; None if they cannot be read."""
    columns = ("filename", "scene_label", "identifier", "source_label")
    table = read_rows(root / META, columns, "a row for every recording", problems)
    if table is None:
        return None
    known: dict[str, SceneRecording] = {}
    first: dict[str, int] = {}
    for row, cells in enumerate(zip(*(table.columns[column] for column in columns), strict=True)):
        filename, label, identifier, device = cells
        if not all(cells):
            problems.append(
                f"{table.where(row)}: an empty cell; expected filename, scene_label, identifier, source_label"
            )
            continue
        if filename in first:
            problems.append(f"{table.where(row)}: {filename} is also in row {first[filename]}; expected each file once")
            continue
        first[filename] = table.lines[row]
        city = strip_blanks(identifier.split("-")[0])
        known[filename] = SceneRecording(stored_name(root, filename), label, city, identifier, device)
    for column in columns[1:]:
        problems += check_spelling(table, column)
    problems += check_recording_names(table)
    problems += [
        f"{root / META}: the cities of identifier {pair}; expected one spelling"
        for pair in find_lookalikes(recording.city for recording in known.values())
    ]
    return known


def read_list(
    path: Path, holds: str, known: dict[str, SceneRecording] | None, problems: list[str]
) -> dict[str, int] | None:
    """Read the row number of each file in a list of the fold; None if it cannot be read."""
    table = read_rows(path, ("filename", "scene_label"), holds, problems)
    if table is None:
        return None
    listed: dict[str, int] = {}
    for row, (filename, label) in enumerate(zip(table.columns["filename"], table.columns["scene_label"], strict=True)):
        if filename in listed:
            problems.append(
                f"{table.where(row)}: {filename} is also in row {listed[filename]}; expected each file once"
            )
        elif not (filename and label):
            problems.append(f"{table.where(row)}: an empty cell; expected filename, scene_label")
        elif known is not None:
            problems += [f"{table.where(row)}: {wrong}" for wrong in _compare(filename, label, known)]
        listed.setdefault(filename, table.lines[row])
    return listed


def _compare(filename: str, label: str, known: dict[str, SceneRecording]) -> Iterable[str]:
    """Describe differences between a row of a list and the metadata."""
    if filename not in known:
        yield f"{filename} is not in {META}; expected a row there with its label and device"
    elif label != known[filename].scene_label:
        labels = sorted({recording.scene_label for recording in known.values()})
        if label not in labels:
            yield f"unknown label {unknown_name(label, labels)}; expected one of {', '.join(labels)}"
        else:
            yield f"label {label!r}, but {META} says {known[filename].scene_label!r}"


def find_overlaps(train: dict[str, int], test: dict[str, int], known: dict[str, SceneRecording]) -> list[str]:
    """Describe files and locations that are in both lists."""
    problems = [
        f"{filename}: in the training list (row {train[filename]}) and in the test list (row {test[filename]}); "
        "expected it in one"
        for filename in train
        if filename in test
    ]
    places = {(known[name].scene_label, known[name].location): name for name in train if name in known}
    seen = set()
    for name in test:
        place = (known[name].scene_label, known[name].location) if name in known else None
        if place in places and place not in seen and name not in train:
            seen.add(place)
            problems.append(
                f"location {place[1]} of {place[0]}: trained on ({places[place]}) and tested on ({name}); "
                "expected a location in one split"
            )
    return problems


def report_untested(listed: Path, evaluated: Path, tested: Collection[str]) -> None:
    """Warn of clips in the list without labels that the list with labels lacks; the latter may be cut off.

    Args:
        listed: path of the list without labels, ``fold1_test.csv``; it may be missing.
        evaluated: path of the list with labels, ``fold1_evaluate.csv``.
        tested: names of the clips in the list with labels.
    """
    table = read_rows(listed, ("filename",), "the clips to test on", []) if listed.is_file() else None
    names = dict.fromkeys(table.columns["filename"]) if table is not None else {}
    missing = [name for name in names if name not in tested]
    if missing:
        count = f"{len(missing):,} of {len(names):,} clips of {listed.name}"
        more = ", ..." if missing[1:] else ""
        log.warning(f"data      {count} are not in {evaluated.name} and are not tested: {missing[0]}{more}")
