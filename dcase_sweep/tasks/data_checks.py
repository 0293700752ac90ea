"""Checks of what ``load()`` of a data set returns: a class outside this package may contain mistakes."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dcase_sweep.data.events import EventData
from dcase_sweep.data.scenes import SceneData
from dcase_sweep.tasks.protocols import TaskData
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable


def check_loaded(data: TaskData, target: str) -> None:
    """Check that classes are named, that labels are among them, and that splits are indices of recordings.

    Args:
        data: the loaded data.
        target: full name of the class of the data set, for messages.

    Raises:
        UserError: for the first mistake.
    """
    where = f"data._target_={target}: load() returned"
    if not data.classes:
        raise UserError(f"{where} no classes; expected their names in classes")
    repeated = next((name for row, name in enumerate(data.classes) if name in data.classes[:row]), None)
    if repeated is not None:
        raise UserError(f"{where} the class {printable(repeated, 60)} twice; expected each once in classes")
    known = set(data.classes)
    for filename, labels in _list_labels(data):
        unknown = next((label for label in labels if label not in known), None)
        if unknown is not None:
            raise UserError(
                f"{where} {printable(filename, 80)} with the label {printable(unknown, 60)}; expected one of classes: "
                f"{printable(', '.join(data.classes), 120)}"
            )
    splits: Mapping[str, Any] = {**getattr(data, "splits", {}), "test": data.test}
    for name, rows in splits.items():
        problem = _find_problem(np.asarray(rows), len(data.filenames))
        if problem is not None:
            raise UserError(f"{where} the split {name} with {problem}")
        if isinstance(data, SceneData) and not len(rows):
            raise UserError(f"{where} the split {name} without recordings; expected at least one")


def _list_labels(data: TaskData) -> Iterable[tuple[str, Iterable[str]]]:
    """Return the name and the labels of each recording, if the class of the data is one of this package."""
    if isinstance(data, SceneData):
        return ((each.filename, (each.scene_label,)) for each in data.recordings)
    if isinstance(data, EventData):
        return ((each.filename, each.labels) for each in data.clips)
    return ()


def _find_problem(rows: Any, count: int) -> str | None:
    """Return what is wrong with the indices of a split, and what is expected; None if nothing is.

    Args:
        rows: the indices ``[clip]``.
        count: number of recordings.
    """
    if rows.dtype == bool:
        return "a mask; expected the indices of its recordings: numpy.flatnonzero(mask)"
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        return f"an array {rows.dtype} {list(rows.shape)}; expected indices of recordings: int64 [clip]"
    wrong = rows[(rows < 0) | (rows >= count)]
    if len(wrong):
        return f"the index {wrong[0]}; expected indices of its {count:,} recordings, from 0 to {count - 1:,}"
    return None
