"""Reading of ground truth and scores of scene classification from text files, in the same order."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.scenes.metrics import DEVICES, sort_classes
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.lookalikes import find_lookalikes, shorten, skeleton, strip_blanks
from dcase_sweep.utils.recording_names import check_recording_names
from dcase_sweep.utils.tables import (
    Table,
    check_paths,
    check_spelling,
    parse_number,
    read_table,
    tidy_path,
    unknown_name,
)
from dcase_sweep.utils.text_files import read_text


@dataclass(frozen=True, slots=True)
class SceneReference:
    """The ground truth, one entry for each clip in the order of the file; `devices` is None if not known."""

    path: Path
    filenames: tuple[str, ...]
    scene_labels: tuple[str, ...]
    devices: tuple[str, ...] | None

    @property
    def classes(self) -> tuple[str, ...]:
        """The scenes in alphabetical order, or by value if all are whole numbers."""
        return sort_classes(self.scene_labels)

    @property
    def odd_name(self) -> str | None:
        """The first file name that ends in no device, if most end in one: there are no devices because of it."""
        odd = [name for name in self.filenames if _device_of(name) not in DEVICES]
        return odd[0] if self.devices is None and odd and 2 * len(odd) < len(self.filenames) else None

    def truth(self, classes: Sequence[str]) -> NDArray[np.intp]:
        """Return the index of each clip's scene in `classes`, [clip].

        Raises:
            UserError: a scene label that is not among the classes.
        """
        position = {name: i for i, name in enumerate(classes)}
        for filename, label in zip(self.filenames, self.scene_labels, strict=True):
            if label not in position:
                raise UserError(
                    f"{self.path}: {filename}: unknown scene_label {unknown_name(label, classes)}; expected one of "
                    f"{', '.join(classes)}"
                )
        return np.array([position[label] for label in self.scene_labels], dtype=np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class SceneScores:
    """Scores of a file, in the order of the reference.

    Attributes:
        classes: the scene of each column.
        values: [clip, class].
        rows: file and line of each row for messages, e.g. `scores.txt, line 7`.
        scene_labels: the scene of each clip in the file, if it has such a column.
        ignored: columns without a name, such as the index that `DataFrame.to_csv()` writes; they are not scenes.
    """

    classes: tuple[str, ...]
    values: NDArray[np.float64]
    rows: tuple[str, ...]
    scene_labels: tuple[str, ...] | None = None
    #: Columns that number the rows and were left out: those without a name.
    ignored: tuple[str, ...] = ()


def read_reference(path: str | Path) -> SceneReference:
    """Read the ground truth from a tab- or comma-separated table with a header, e.g. TAU's `fold1_evaluate.csv`.

    Needs the columns `filename` and `scene_label`. The device comes from `source_label`; without that column it is the
    last dash-separated part of the file name (`airport-barcelona-203-6129-s1.wav`), provided that every name ends in
    one of TAU's devices.

    Raises:
        UserError: no such file, a missing column, an empty cell, a repeated file name, no rows.
    """
    path = Path(path)
    columns = ("filename", "scene_label")
    table = _read(path, columns, optional=("source_label",), expected="a table with filename, scene_label")
    for row in range(len(table)):
        for column, cells in table.columns.items():
            if not cells[row]:
                raise UserError(f"{table.where(row)}: {column} is empty; expected a value in every row")
    problems = check_paths(table) + [
        line for name in table.columns if name != "filename" for line in check_spelling(table, name)
    ]
    problems += check_recording_names(table, devices=DEVICES)
    if problems:
        raise UserError(problems[0])
    _places(table)
    filenames = tuple(table.columns["filename"])
    if "source_label" in table.columns:
        devices: tuple[str, ...] | None = tuple(name.lower() for name in table.columns["source_label"])
    else:
        devices = _devices_of(filenames)
    return SceneReference(path, filenames, tuple(table.columns["scene_label"]), devices)


def read_scores(path: str | Path, reference: SceneReference, *, classes: Sequence[str] | None = None) -> SceneScores:
    """Read the scores of the reference's clips, in the order of the reference.

    Two layouts are distinguished by their first line:

    - numbers separated by blanks, one line a clip in the order of the reference, columns in the order of `classes`;
    - a tab- or comma-separated table (the DCASE submission format) with a header, a column `filename`, one column a
      scene and perhaps `scene_label`, rows in any order. File names may lack the folder `audio/` or have it. A column
      without a name, such as pandas writes for its index, is left out. A further column is a scene that no clip has if
      the rows have equal sums with it and not without it; any other is refused.

    Args:
        path: the score file.
        reference: the ground truth whose clips are wanted, all of them and no others.
        classes: the scenes; by default those that occur in the reference, as `SceneReference.classes` sorts them.

    Raises:
        UserError: what is wrong, with file and line: a missing, unknown or repeated column, a label that is no scene, a
            clip that is missing, repeated or unknown, too many or too few rows, a cell that is no finite number.
    """
    path = Path(path)
    wanted = tuple(classes) if classes is not None else reference.classes
    check_classes(wanted)
    lines = read_text(path).splitlines()
    first = next((line for line in lines if line.strip()), "")
    if not first:
        raise UserError(f"{path}: the file is empty; expected one row a clip")
    names = (strip_blanks(cell.strip('"')) for cell in re.split("[\t,;|]", first))
    if any(skeleton(name) == "filename" for name in names):
        return _scores_from_table(path, reference, wanted if classes is not None else None)
    return _scores_from_matrix(path, lines, reference, wanted)


def check_classes(classes: tuple[str, ...]) -> None:
    """Raise a UserError for classes that are blank, repeated or look the same."""
    if "" in classes:
        raise UserError(f"the scenes {', '.join(classes)}: one of them is blank; expected a name for each")
    if len(set(classes)) != len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise UserError(f"the scene '{twice}' is named twice; expected each scene once")
    if pairs := find_lookalikes(classes):
        raise UserError(f"the scenes {pairs[0]}; expected one spelling")


def _scores_from_matrix(
    path: Path, lines: Sequence[str], reference: SceneReference, classes: tuple[str, ...]
) -> SceneScores:
    values: list[list[float]] = []
    rows: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        cells = line.split()
        if not values and not _looks_like_number(cells[0]):
            sign = "," if "," in line else ";"
            if all(_looks_like_number(cell.strip()) for cell in line.split(sign)):
                raise UserError(f"{place}: scores separated by '{sign}'; expected blanks or tabs")
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
    named = classes if classes is not None else reference.classes
    expected = f"filename, scene_label and {', '.join(named)}"
    table = _read(path, ("filename", *named), every_column=True, expected=expected)
    ignored = tuple(name for name in table.header if _is_index(name))
    columns = sorted(name for name in table.columns if name not in ("filename", "scene_label") and not _is_index(name))
    scenes = named if classes is not None else _scenes(table, columns, named, reference)
    if unknown := [name for name in columns if name not in scenes]:
        raise UserError(f"{path}: unknown column {unknown_name(unknown[0], scenes)}; expected {expected}")
    if problems := check_paths(table):
        raise UserError(problems[0])
    clips = {_key(filename): index for index, filename in enumerate(reference.filenames)}
    labels = table.columns.get("scene_label")
    order: dict[int, int] = {}
    for key, row in _places(table).items():
        if key not in clips:
            found = table.columns["filename"][row]
            raise UserError(f"{table.where(row)}: '{found}' is not in {reference.path}; expected only its clips")
        if labels is not None and labels[row] not in scenes:
            raise UserError(
                f"{table.where(row)}: unknown scene_label {unknown_name(labels[row], scenes)}; expected one of "
                f"{', '.join(scenes)}"
            )
        order[clips[key]] = row
    for index, filename in enumerate(reference.filenames):
        if index not in order:
            missing = len(reference.filenames) - len(order)
            raise UserError(f"{path}: no row for '{filename}'; {missing} of {reference.path}'s clips have none")
    ordered = [order[index] for index in range(len(reference.filenames))]
    values = [
        [_number(table.columns[scene][row], table.where(row), f"column {scene}") for scene in scenes] for row in ordered
    ]
    best = None if labels is None else tuple(labels[row] for row in ordered)
    return SceneScores(scenes, np.array(values), tuple(table.where(row) for row in ordered), best, ignored)


def _read(path: Path, columns: Sequence[str], **options: Any) -> Table:
    """Read the rows of a table, which must have some."""
    problems: list[str] = []
    table = read_table(path, columns, unit="line", problems=problems, **options)
    if problems:
        more = f" ({len(problems) - 1} more rows are wrong)" if len(problems) > 1 else ""
        raise UserError(problems[0] + more)
    if not len(table):
        raise UserError(f"{path}: a header without rows; expected one row a clip")
    return table


def _is_index(name: str) -> bool:
    """Whether a column has no name, or the name that pandas gives such a column when it reads a table."""
    return not name or re.fullmatch(r"Unnamed: \d+(_level_\d+)?", name) is not None


def _scenes(table: Table, columns: Sequence[str], named: tuple[str, ...], reference: SceneReference) -> tuple[str, ...]:
    """Return the scenes of a table: those of the reference, and scenes without a clip in it.

    A further column is a scene if the sums of the rows are equal with it and differ without it.
    """
    further = [name for name in columns if name not in named]
    if not further:
        return named
    for row in range(len(table)):
        for name in columns:
            _number(table.columns[name][row], table.where(row), f"column {name}")
    known = np.array([[float(cell) for cell in table.columns[name]] for name in named]).sum(axis=0)
    both = known + np.array([[float(cell) for cell in table.columns[name]] for name in further]).sum(axis=0)
    if find_lookalikes([*named, *further]) or not _is_constant(both) or _is_constant(known):
        names = ", ".join(further[:5])
        raise UserError(
            f"{table.source}: unknown column {unknown_name(further[0], named)}; expected filename, scene_label and "
            f"{', '.join(named)}, the scenes of {reference.path}; remove {names}, or name all scenes with --classes"
        )
    return tuple(columns)


def _is_constant(sums: NDArray[np.float64]) -> bool:
    """Whether all rows have the same sum, as probabilities do, within the digits of tables."""
    return bool(np.ptp(sums) <= 2e-3 * np.abs(sums).max())


def _places(table: Table) -> dict[str, int]:
    """Return the row of each clip; a repeated clip is refused."""
    places: dict[str, int] = {}
    for row, filename in enumerate(table.columns["filename"]):
        key = _key(filename)
        if key in places:
            first = table.where(places[key])
            raise UserError(f"{table.where(row)}: '{filename}' occurs twice, first in {first}; expected it once")
        places[key] = row
    return places


def _key(filename: str) -> str:
    return tidy_path(filename).removeprefix("audio/")


def _devices_of(filenames: Sequence[str]) -> tuple[str, ...] | None:
    devices = tuple(_device_of(name) for name in filenames)
    return devices if set(devices) <= set(DEVICES) else None


def _device_of(filename: str) -> str:
    return PurePosixPath(filename).stem.rsplit("-", 1)[-1].lower()


def _looks_like_number(cell: str) -> bool:
    return parse_number(cell) is not None or cell.lower().lstrip("+-") in ("nan", "inf", "infinity")


def _number(cell: str, place: str, column: str) -> float:
    value = parse_number(cell)
    if value is None:
        raise UserError(f"{place}, {column}: '{shorten(cell, 40)}' is not a finite number; expected a score")
    return value
