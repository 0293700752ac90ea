"""Tables of predictions: CSV, TSV, JSON Lines, and label tracks for Audacity."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from dcase_sweep.tasks.prediction import Segment
from dcase_sweep.tasks.protocols import Prediction
from dcase_sweep.utils.errors import UserError

Format = Literal["csv", "tsv", "jsonl", "audacity"]
#: Suffix of a file → format.
FORMATS: dict[str, Format] = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".txt": "audacity"}
#: Attributes that a prediction must have to be written as a table (`tasks.protocols.Prediction`).
_NEEDED = ("labels", "probabilities", "segments")


@dataclass(frozen=True, slots=True)
class TableFormat:
    """A format of tables of predictions.

    Attributes:
        name: name of the format.
        classes: class labels in the order of the columns of probabilities.
        segments: whether to write one row for each window instead of one for each recording.
    """

    name: Format
    classes: tuple[str, ...]
    segments: bool = False

    def header(self, prediction: Prediction) -> str:
        """Return the line with the names of the columns; empty if the format has none."""
        if self.name not in ("csv", "tsv"):
            return ""
        return self._join([["filename", *columns(prediction, self.classes, self.segments)]])

    def lines(self, filename: str, prediction: Prediction) -> str:
        """Return the lines of one recording."""
        if self.name == "audacity":
            return "".join(
                f"{each.onset:.6f}\t{each.offset:.6f}\t{each.label}\n" for each in _merge(prediction.segments)
            )
        if self.name == "jsonl":
            return json.dumps(_plain(filename, prediction), ensure_ascii=False) + "\n"
        found = rows(prediction, self.classes, self.segments)
        return self._join([filename, *map(_cell, row)] for row in found)

    def _join(self, rows: Iterable[Sequence[str]]) -> str:
        text = io.StringIO()
        csv.writer(text, delimiter="\t" if self.name == "tsv" else ",", lineterminator="\n").writerows(rows)
        return text.getvalue()


def check_prediction(prediction: Any, task: str) -> Prediction:
    """Check that a prediction can be written as a table.

    Raises:
        UserError: if not; that is possible only for a predictor from outside this package.
    """
    if not all(hasattr(prediction, name) for name in _NEEDED):
        raise UserError(
            f"task {task}: its predictor returns a {type(prediction).__name__}, which is not a table; expected "
            "make_predictor of the task to return a dcase_sweep.tasks.predictors.ClipPredictor, or one whose "
            "predictions have labels, probabilities and segments"
        )
    found: Prediction = prediction
    return found


def columns(prediction: Prediction | type[Prediction], classes: Sequence[str], segments: bool = False) -> list[str]:
    """Return the names of the columns of a table of predictions, without that of the file name.

    Args:
        prediction: a prediction or its class.
        classes: class labels in the order of the columns of probabilities.
        segments: whether the table has one row for each window instead of one for each recording.
    """
    of_recording, of_segment = prediction.columns
    if prediction.has_segments or segments:
        return ["onset", "offset", of_segment, "confidence"]
    return [of_recording, *classes]


def rows(prediction: Prediction, classes: Sequence[str], segments: bool = False) -> list[list[str | float]]:
    """Return the rows of one recording, with the columns of `columns`."""
    if prediction.has_segments or segments:
        return [[each.onset, each.offset, each.label, each.confidence] for each in prediction.segments]
    return [[",".join(prediction.labels), *(float(prediction.probabilities[name]) for name in classes)]]


def _cell(value: str | float) -> str:
    return value if isinstance(value, str) else f"{_round(value):.12g}"


def _round(value: float) -> float:
    """Round to six decimals, or six digits below 1: the log loss of a table depends on small probabilities."""
    return float(f"{value:.6g}") if abs(value) < 1 else round(value, 6)


def _plain(filename: str, prediction: Prediction) -> dict[str, Any]:
    segments = [
        {
            "onset": _round(each.onset),
            "offset": _round(each.offset),
            "label": each.label,
            "confidence": _round(each.confidence),
        }
        for each in prediction.segments
    ]
    return {
        "filename": filename,
        "seconds": _round(prediction.seconds),
        "labels": list(prediction.labels),
        "probabilities": {name: _round(float(value)) for name, value in prediction.probabilities.items()},
        "segments": segments,
    }


def _merge(segments: Sequence[Segment]) -> list[Segment]:
    """Merge segments of the same label that touch or overlap."""
    merged: list[Segment] = []
    last: dict[str, int] = {}
    for each in sorted(segments, key=lambda segment: segment.onset):
        place = last.get(each.label)
        if place is not None and each.onset <= merged[place].offset:
            merged[place] = replace(merged[place], offset=max(merged[place].offset, each.offset))
        else:
            last[each.label] = len(merged)
            merged.append(each)
    return merged
