"""The results of an export as text tables, CSV and metrics."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dcase_sweep.export.comparison import Difference, ScoreMetrics
from dcase_sweep.export.flatbuffer import StoredTensor
from dcase_sweep.export.layers import LayerNoise
from dcase_sweep.utils.text_table import format_table, wrap

#: Accuracy (percentage points) that a file may lose before the table of files says so.
TOLERATED_POINTS = 2.0
#: Limit on the non-zero parameters (DCASE 2021 task 1A), in bytes.
_LIMIT = 128 * 1024


@dataclass(frozen=True, slots=True)
class Exported:
    """The measurements of one file, or of the float network.

    Attributes:
        kind: ``float32``, ``float16``, ``dynamic`` or ``int8``; for the float network the library that computes it.
        file_bytes: size of the file; None for the float network.
        tensors: parameters as the file stores them.
        milliseconds: median time of one clip on one thread.
        difference: difference from the float network; None for the float network itself.
    """

    kind: str
    file_bytes: int | None
    tensors: tuple[StoredTensor, ...]
    score_metrics: ScoreMetrics
    milliseconds: float
    difference: Difference | None

    @property
    def nonzero_bytes(self) -> int:
        """Bytes of the parameters that are not 0."""
        return sum(tensor.nonzero_bytes for tensor in self.tensors)

    @property
    def metrics(self) -> dict[str, float]:
        """Return the metrics to log, by their names."""
        values = {
            "accuracy": self.score_metrics.accuracy,
            "log_loss": self.score_metrics.log_loss,
            "log_loss_floored": self.score_metrics.log_loss_floored,
            "milliseconds_per_clip": self.milliseconds,
            "nonzero_kib": self.nonzero_bytes / 1024,
        }
        if self.file_bytes is not None:
            values["file_kib"] = self.file_bytes / 1024
        if self.difference is not None:
            values["accuracy_points_from_float"] = self.difference.accuracy_points
            values["same_decision"] = self.difference.same_decision
        return values


def export_table(exported: Sequence[Exported], *, title: str, width: int | None = None) -> str:
    """Format a table with a row for each file, the float network first.

    Args:
        exported: the measurements.
        title: the first line.
        width: width of the terminal in characters; None = any.
    """
    header = [
        "Kind",
        "File KiB",
        "Non-zero KiB",
        "Accuracy",
        "Log loss",
        "ms a clip",
        "Δ points",
        "Δ log loss",
        "Δp mean",
        "Δp max",
        "Same decision",
    ]
    rows = [[*_absolute(each), *_relative(each.difference)] for each in exported]
    lines = [wrap(title, width), "", format_table([header, *rows], width=width, where="table.txt")]
    lost = [
        f"{each.kind} {-each.difference.accuracy_points:.1f}"
        for each in exported
        if each.difference is not None and each.difference.accuracy_points < -TOLERATED_POINTS
    ]
    if lost:
        lines += ["", wrap(f"More than {TOLERATED_POINTS:g} points of accuracy are lost: {', '.join(lost)}.", width)]
    over = [each.kind for each in exported if each.nonzero_bytes > _LIMIT]
    if over:
        lines += ["", wrap(f"Non-zero parameters over the 128 KB of DCASE 2021: {', '.join(over)}.", width)]
    as_written = [
        f"{each.kind} {each.score_metrics.log_loss:.3f}"
        for each in exported
        if each.score_metrics.log_loss != each.score_metrics.log_loss_floored
    ]
    if as_written:
        note = "A probability of 0 in an int8 output counts as half a quantisation step in the log loss; as 0 it gives "
        lines += ["", wrap(f"{note}{', '.join(as_written)}.", width)]
    return "\n".join(lines)


def _absolute(each: Exported) -> list[str]:
    file = "" if each.file_bytes is None else f"{each.file_bytes / 1024:.1f}"
    size = f"{each.nonzero_bytes / 1024:.1f}"
    score_metrics = each.score_metrics
    return [
        each.kind,
        file,
        size,
        f"{100 * score_metrics.accuracy:.1f} %",
        f"{score_metrics.log_loss_floored:.3f}",
        f"{each.milliseconds:.1f}",
    ]


def _relative(difference: Difference | None) -> list[str]:
    if difference is None:
        return [""] * 5
    return [
        f"{difference.accuracy_points:+.1f}",
        f"{difference.log_loss:+.3f}",
        f"{difference.mean:.1e}",
        f"{difference.largest:.1e}",
        f"{100 * difference.same_decision:.1f} %",
    ]


def layer_table(layers: Sequence[LayerNoise], width: int | None = None) -> str:
    """Format a table with a row for each layer: the ratio of the signal to the quantisation noise of int8."""
    rows = [["Layer", "Output", "Signal to noise", "Lost here"]]
    rows += [
        [each.name, "×".join(map(str, each.shape)), f"{each.decibel:.1f} dB", f"{each.lost:.1f} dB"] for each in layers
    ]
    return format_table(rows, left=2, width=width, where="table.txt")


def describe_int8(int8: Exported, layers: Sequence[LayerNoise]) -> str:
    """Describe the accuracy of int8, and the layer that adds the most noise."""
    assert int8.difference is not None
    points = -int8.difference.accuracy_points
    worst = max(layers, key=lambda each: each.lost)
    where = f"the most signal is lost at {worst.name}: {worst.lost:.1f} dB, to {worst.decibel:.1f} dB"
    if points <= TOLERATED_POINTS:
        return f"int8 keeps the accuracy within {TOLERATED_POINTS:g} points ({-points:+.1f}); {where}"
    return f"int8 LOSES {points:.1f} points of accuracy; {where}"


def tensor_table(exported: Iterable[Exported]) -> str:
    """Write every tensor of parameters of every file as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["kind", "tensor", "type", "shape", "values", "zeros", "bytes", "nonzero_bytes"])
    for each in exported:
        for tensor in each.tensors:
            shape = "×".join(map(str, tensor.shape))
            sizes = (tensor.values, tensor.zeros, tensor.stored_bytes, tensor.nonzero_bytes)
            writer.writerow([each.kind, tensor.name, tensor.type, shape, *sizes])
    return text.getvalue()


def to_json(exported: Sequence[Exported], layers: Sequence[LayerNoise], **facts: Any) -> dict[str, Any]:
    """Convert all measurements to plain types."""
    files = {
        each.kind: {
            "file_bytes": each.file_bytes,
            "nonzero_bytes": each.nonzero_bytes,
            "milliseconds_per_clip": each.milliseconds,
            **asdict(each.score_metrics),
            "difference_from_float": asdict(each.difference) if each.difference else None,
        }
        for each in exported
    }
    return {**facts, "files": files, "int8_layers": [asdict(layer) for layer in layers]}
