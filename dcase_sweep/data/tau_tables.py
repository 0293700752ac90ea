"""The tables of a data set in TAU's layout: what stands in which row, and everything that is wrong with it."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcase_sweep.data.scenes import SceneRecording

META = "meta.csv"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table and where it stands."""

    number: int
    values: dict[str, str]


def read_table(path: Path, columns: Sequence[str], holds: str, problems: list[str]) -> list[Row] | None:
    """The rows of a tab-separated table; None, and a problem more, where there are none to be had.

    Args:
        holds: what its rows are, for the message about a table without any.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, delimiter="\t")
            found = reader.fieldnames or []
            missing = [column for column in columns if column not in found]
            rows = [Row(number, row) for number, row in enumerate(reader, start=2)]
    except FileNotFoundError:
        problems.append(f"{path}: no such file; expected TAU's table with {', '.join(columns)}")
        return None
    except OSError as error:
        problems.append(f"{path}: cannot be read ({error.strerror}); expected TAU's table with {', '.join(columns)}")
        return None
    except UnicodeDecodeError as error:
        problems.append(f"{path}: is not UTF-8 text (byte {error.start}); expected a tab-separated table")
        return None
    except csv.Error as error:
        problems.append(f"{path}: is no table: {error}; expected a tab-separated one")
        return None
    if missing:
        problems.append(
            f"{path}: no column {', '.join(missing)}; found {', '.join(found) or 'nothing'}; "
            "expected a tab-separated table"
        )
        return None
    if not rows:
        problems.append(f"{path}: a header without rows; expected {holds}")
        return None
    return rows


def read_recordings(root: Path, problems: list[str]) -> dict[str, SceneRecording] | None:
    """Every row of the metadata by filename; None where there are no metadata to be had."""
    columns = ("filename", "scene_label", "identifier", "source_label")
    rows = read_table(root / META, columns, "a row for every recording", problems)
    if rows is None:
        return None
    known: dict[str, SceneRecording] = {}
    first: dict[str, int] = {}
    for row in rows:
        filename, label, identifier, device = (row.values[column] for column in columns)
        where = f"{root / META}, row {row.number}"
        if not (filename and label and identifier and device):
            problems.append(f"{where}: an empty cell; expected filename, scene_label, identifier, source_label")
            continue
        if filename in first:
            problems.append(f"{where}: {filename} is also in row {first[filename]}; expected each file once")
            continue
        first[filename] = row.number
        known[filename] = SceneRecording(filename, label, identifier.split("-")[0], identifier, device)
    return known


def read_list(
    path: Path, holds: str, known: dict[str, SceneRecording] | None, problems: list[str]
) -> dict[str, int] | None:
    """Row number of each file that a list of the fold names; None where there is no list to be had."""
    rows = read_table(path, ("filename", "scene_label"), holds, problems)
    if rows is None:
        return None
    listed: dict[str, int] = {}
    for row in rows:
        filename, label = row.values["filename"], row.values["scene_label"]
        where = f"{path}, row {row.number}"
        if filename in listed:
            problems.append(f"{where}: {filename} is also in row {listed[filename]}; expected each file once")
        elif not (filename and label):
            problems.append(f"{where}: an empty cell; expected filename, scene_label")
        elif known is not None:
            problems += [f"{where}: {wrong}" for wrong in _wrong_with(filename, label, known)]
        listed.setdefault(filename, row.number)
    return listed


def _wrong_with(filename: str, label: str, known: dict[str, SceneRecording]) -> Iterable[str]:
    """What the metadata have against a row of a list."""
    if filename not in known:
        yield f"{filename} is not in {META}; expected a row there with its label and device"
    elif label != known[filename].scene_label:
        labels = sorted({recording.scene_label for recording in known.values()})
        if label not in labels:
            yield f"unknown label {label!r}; expected one of {', '.join(labels)}"
        else:
            yield f"label {label!r}, but {META} says {known[filename].scene_label!r}"


def overlaps(train: dict[str, int], test: dict[str, int], known: dict[str, SceneRecording]) -> list[str]:
    """Files and places that are both learned from and judged by."""
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
