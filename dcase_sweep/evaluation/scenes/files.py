"""Reads ground truth and scores of scene classification from text files and brings them into one order."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.errors import UserError
from dcase_sweep.evaluation.scenes.metrics import DEVICES


@dataclass(frozen=True, slots=True)
class SceneReference:
    """The ground truth, one entry a clip in the order of the file; `devices` is None where they are not known."""

    path: Path
    filenames: tuple[str, ...]
    scene_labels: tuple[str, ...]
    devices: tuple[str, ...] | None

    @property
    def classes(self) -> tuple[str, ...]:
        """The scenes that occur, in alphabetical order."""
        return tuple(sorted(set(self.scene_labels)))

    def truth(self, classes: Sequence[str]) -> NDArray[np.intp]:
        """Index of each clip's scene in `classes`, [clip].

        Raises:
            UserError: a scene label that is not among the classes.
        """
        position = {name: i for i, name in enumerate(classes)}
        for filename, label in zip(self.filenames, self.scene_labels, strict=True):
            if label not in position:
                raise UserError(
                    f"{self.path}: {filename}: unknown scene_label '{label}'; expected one of {', '.join(classes)}"
                )
        return np.array([position[label] for label in self.scene_labels], dtype=np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class SceneScores:
    """Scores as they stand in the file, in the order of the reference.

    Attributes:
        classes: the scene of each column.
        values: [clip, class].
        rows: where each row stands, e.g. `scores.txt, line 7`, for messages.
        scene_labels: the scene that the file names for each clip, where it has such a column.
    """

    classes: tuple[str, ...]
    values: NDArray[np.float64]
    rows: tuple[str, ...]
    scene_labels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    place: str
    cells: dict[str, str]


def read_reference(path: str | Path) -> SceneReference:
    """Ground truth from a tab- or comma-separated table with a header, e.g. TAU's `fold1_evaluate.csv`.

    Needs the columns `filename` and `scene_label`. The device comes from `source_label`; without that column it is the
    last dash-separated part of the file name (`airport-barcelona-203-6129-s1.wav`), provided that every name ends in
    one of TAU's devices.

    Raises:
        UserError: no such file, a missing column, an empty cell, a file name that stands twice, no row at all.
    """
    path = Path(path)
    header, rows = _read_table(path)
    _require_columns(path, header, ("filename", "scene_label"))
    seen: dict[str, str] = {}
    for row in rows:
        for column in ("filename", "scene_label", *(("source_label",) if "source_label" in header else ())):
            if not row.cells[column]:
                raise UserError(f"{row.place}: {column} is empty; expected a value in every row")
        _claim(seen, row)
    filenames = tuple(row.cells["filename"] for row in rows)
    if "source_label" in header:
        devices: tuple[str, ...] | None = tuple(row.cells["source_label"].lower() for row in rows)
    else:
        devices = _devices_of(filenames)
    return SceneReference(path, filenames, tuple(row.cells["scene_label"] for row in rows), devices)


def read_scores(path: str | Path, reference: SceneReference, *, classes: Sequence[str] | None = None) -> SceneScores:
    """Scores of the reference's clips, in the reference's order.

    Two layouts are told apart by their first line:

    - numbers separated by blanks, one line a clip in the order of the reference, columns in the order of `classes`;
    - a tab- or comma-separated table (the DCASE submission format) with a header, a column `filename`, one column a
      scene and perhaps `scene_label`, rows in any order. File names may lack the folder `audio/` or have it.

    Args:
        path: the score file.
        reference: the ground truth whose clips are wanted, all of them and no others.
        classes: the scenes; by default those that occur in the reference, in alphabetical order.

    Raises:
        UserError: what is wrong, with file and line: a missing, unknown or repeated column, a label that is no scene, a
            clip that is missing, repeated or unknown, too many or too few rows, a cell that is no finite number.
    """
    path = Path(path)
    wanted = tuple(classes) if classes is not None else reference.classes
    if "filename" in _header(path):
        return _scores_from_table(path, reference, wanted if classes is not None else None)
    return _scores_from_matrix(path, reference, wanted)


def _scores_from_matrix(path: Path, reference: SceneReference, classes: tuple[str, ...]) -> SceneScores:
    values: list[list[float]] = []
    rows: list[str] = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        cells = line.split()
        if number == 1 and not _is_number(cells[0]):
            raise UserError(f"{place}: neither scores nor a header with a column 'filename'; found '{line[:60]}'")
        row = [_number(cell, place, f"column {column}") for column, cell in enumerate(cells, start=1)]
        if len(row) != len(classes):
            raise UserError(
                f"{place}: {len(row)} scores; expected {len(classes)}, one for each of {', '.join(classes)}"
            )
        values.append(row)
        rows.append(place)
    if len(values) != len(reference.filenames):
        raise UserError(
            f"{path}: {len(values)} rows of scores; expected {len(reference.filenames)}, one for each clip of "
            f"{reference.path}"
        )
    return SceneScores(classes, np.array(values), tuple(rows))


def _scores_from_table(path: Path, reference: SceneReference, classes: tuple[str, ...] | None) -> SceneScores:
    header, rows = _read_table(path)
    columns = tuple(sorted(name for name in header if name not in ("filename", "scene_label")))
    _require_columns(path, header, classes if classes is not None else reference.classes)
    scenes = classes if classes is not None else columns
    if unknown := [name for name in columns if name not in scenes]:
        raise UserError(
            f"{path}: unknown column '{unknown[0]}'; expected filename, scene_label and {', '.join(scenes)}"
        )
    clips = {_key(filename): index for index, filename in enumerate(reference.filenames)}
    order: dict[int, _Row] = {}
    seen: dict[str, str] = {}
    for row in rows:
        _claim(seen, row)
        filename = row.cells["filename"]
        if _key(filename) not in clips:
            raise UserError(f"{row.place}: '{filename}' is not in {reference.path}; expected only its clips")
        label = row.cells.get("scene_label", scenes[0])
        if label not in scenes:
            raise UserError(f"{row.place}: unknown scene_label '{label}'; expected one of {', '.join(scenes)}")
        order[clips[_key(filename)]] = row
    for index, filename in enumerate(reference.filenames):
        if index not in order:
            missing = len(reference.filenames) - len(order)
            raise UserError(f"{path}: no row for '{filename}'; {missing} of {reference.path}'s clips have none")
    ordered = [order[index] for index in range(len(reference.filenames))]
    values = [[_number(row.cells[scene], row.place, f"column {scene}") for scene in scenes] for row in ordered]
    named = tuple(row.cells["scene_label"] for row in ordered) if "scene_label" in header else None
    return SceneScores(scenes, np.array(values), tuple(row.place for row in ordered), named)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); expected a text file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text (byte {error.start}); expected a text file") from error


def _header(path: Path) -> list[str]:
    lines = _lines(path)
    if not lines:
        raise UserError(f"{path}: the file is empty; expected one row a clip")
    return [cell.strip() for cell in _split(lines[0])]


def _split(line: str) -> list[str]:
    return next(csv.reader([line], delimiter="\t" if "\t" in line else ","))


def _read_table(path: Path) -> tuple[list[str], list[_Row]]:
    header = _header(path)
    for name in header:
        if header.count(name) > 1:
            raise UserError(f"{path}, line 1: column '{name}' stands twice; expected each column once")
    rows = list(_rows(path, header))
    if not rows:
        raise UserError(f"{path}: a header without rows; expected one row a clip")
    return header, rows


def _rows(path: Path, header: list[str]) -> Iterator[_Row]:
    lines = _lines(path)
    delimiter = "\t" if "\t" in lines[0] else ","
    reader = csv.reader(lines, delimiter=delimiter)
    next(reader)
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        place = f"{path}, line {reader.line_num}"
        if len(cells) != len(header):
            raise UserError(f"{place}: {len(cells)} cells; expected {len(header)} as in the header")
        yield _Row(place, {name: cell.strip() for name, cell in zip(header, cells, strict=True)})


def _require_columns(path: Path, header: Sequence[str], wanted: Sequence[str]) -> None:
    for name in wanted:
        if name not in header:
            raise UserError(f"{path}, line 1: no column '{name}'; found {', '.join(header)}")


def _claim(seen: dict[str, str], row: _Row) -> None:
    """Remembers a row's clip, refusing one that an earlier row has."""
    key = _key(row.cells["filename"])
    if key in seen:
        raise UserError(f"{row.place}: '{row.cells['filename']}' stands twice, first in {seen[key]}; expected it once")
    seen[key] = row.place


def _key(filename: str) -> str:
    return filename.replace("\\", "/").removeprefix("./").removeprefix("audio/")


def _devices_of(filenames: Sequence[str]) -> tuple[str, ...] | None:
    devices = tuple(PurePosixPath(name).stem.rsplit("-", 1)[-1].lower() for name in filenames)
    return devices if set(devices) <= set(DEVICES) else None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(cell: str, place: str, column: str) -> float:
    value = float(cell) if _is_number(cell) else float("nan")
    if not np.isfinite(value):
        raise UserError(f"{place}, {column}: '{cell}' is no finite number; expected a score")
    return value
