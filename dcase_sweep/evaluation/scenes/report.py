"""The task 1A result table as text, CSV and JSON."""

import csv
import io
import math
from collections.abc import Sequence

from dcase_sweep.evaluation.scenes.metrics import GroupScore, SceneReport
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.lookalikes import shorten
from dcase_sweep.utils.text_table import format_table, measure, wrap

#: What a class is called, if it is one of acoustic scenes.
SCENE = "scene"
#: Shown for a scene or a device without clips.
NO_CLIP = "-"
#: Blanks before each row of the table, as in the output of the baseline.
INDENT = "   "
#: Longer names of scenes are shortened in the table, but not in the other files.
LONGEST_NAME = 40


def scene_table(
    report: SceneReport,
    *,
    note: str | None = None,
    noun: str = SCENE,
    width: int | None = None,
    file: str = "scenes.csv",
) -> str:
    """Format a text table as the official baseline prints it: three blanks before each row, cells to the left.

    Each scene has a row: its log loss, its log loss on each device, its accuracy (%). A `Logloss` row over all scenes
    and an `Accuracy` row for each device follow, both macro averages over scenes; then averages over clips, if they
    differ. `-` means that there is no clip. The title line ends with the note, if there is one. The layout is that of
    the baseline, so that tables can be compared line by line; rich has its own.

    Args:
        report: the figures.
        note: text at the end of the title line.
        noun: the word for a class, such as ``scene``.
        width: width of the terminal in characters; None = any. A wider table gets narrower gaps, or one part for the
            classes and one for the devices, without the log loss of each class on each device.
        file: the file that has these, for the text below.
    """
    header = _row(noun.capitalize(), "Logloss", [_device(name) for name in report.devices], "Accuracy")
    scenes = [
        _row(
            shorten(scene.name, LONGEST_NAME),
            _loss(scene.log_loss),
            [_loss(value) for value in cells],
            _percent(scene.accuracy),
        )
        for scene, cells in zip(report.scenes, report.scene_device_log_loss.tolist(), strict=True)
    ]
    totals = [
        _row("Logloss", _loss(report.log_loss), [_loss(device.log_loss) for device in report.device_scores], ""),
        _row("Accuracy", "", [_percent(device.accuracy) for device in report.device_scores], _percent(report.accuracy)),
    ]
    rows = [header, *scenes, *totals]
    lines = [wrap(title(report, note=note, noun=noun), width), ""]
    layouts = (_align(rows), _align(rows, indent="", gap=" "))
    fitting = [layout for layout in layouts if width is None or max(map(measure, layout)) <= width]
    lines += fitting[0] if fitting else _in_two_parts(report, noun, width, file)
    over_clips = clip_average_line(report)
    return "\n".join([*lines, *([wrap(over_clips, width)] if over_clips else [])])


def _in_two_parts(report: SceneReport, noun: str, width: int | None, file: str) -> list[str]:
    """The figures of the classes, and those of the devices."""
    scenes = [(score.name, _loss(score.log_loss), _percent(score.accuracy)) for score in report.scenes]
    overall = ("all", _loss(report.log_loss), _percent(report.accuracy))
    parts = [format_table([(noun.capitalize(), "Logloss", "Accuracy"), *scenes, overall], width=width, ruled=(1, -1))]
    if report.devices:
        devices = [(_device(each.name), _loss(each.log_loss), _percent(each.accuracy)) for each in report.device_scores]
        parts.append(format_table([("Device", "Logloss", "Accuracy"), *devices], width=width))
        parts.append(wrap(f"The log loss of each {noun} on each device is in {file}.", width))
    return "\n\n".join(parts).split("\n")


def title(report: SceneReport, *, note: str | None = None, noun: str = SCENE) -> str:
    """Describe the table: clips, scenes or other classes, devices and the note."""
    scenes = sum(scene.clips > 0 for scene in report.scenes)
    parts = [pluralize(report.clips, "clip"), pluralize(scenes, noun)]
    if report.devices:
        parts.append(pluralize(len(report.devices), "device"))
    task = "Acoustic scene classification" if noun == SCENE else "Classification of clips"
    return f"{task}: {', '.join(parts)}" + (f" ({note})" if note else "")


def headline(report: SceneReport) -> str:
    """Format the two overall values with four decimals."""
    return f"accuracy {report.accuracy:.4f}, log loss {report.log_loss:.4f} (macro averages over scenes)"


def clip_average_line(report: SceneReport) -> str | None:
    """Format the two overall values averaged over clips, or return None if no printed digit differs."""
    over_clips = (f"{report.clip_accuracy:.4f}", f"{report.clip_log_loss:.4f}")
    if over_clips == (f"{report.accuracy:.4f}", f"{report.log_loss:.4f}"):
        return None
    return f"Averaged over clips instead: accuracy {over_clips[0]}, log loss {over_clips[1]}"


def to_csv(report: SceneReport, *, note: str | None = None) -> str:
    """Write the table with six decimals, accuracies from 0 to 1, and an empty cell if there is no clip.

    A note, if there is one, is in a last column of every row, because a separate line would be read as a scene.
    """
    text = io.StringIO()
    losses = [device.log_loss for device in report.device_scores]
    accuracies = [device.accuracy for device in report.device_scores]
    rows = [
        ["scene", "logloss", *(name.upper() for name in report.devices), "accuracy"],
        *(
            [scene.name, *map(_decimal, [scene.log_loss, *cells, scene.accuracy])]
            for scene, cells in zip(report.scenes, report.scene_device_log_loss.tolist(), strict=True)
        ),
        ["Logloss", *map(_decimal, [report.log_loss, *losses]), ""],
        ["Accuracy", "", *map(_decimal, [*accuracies, report.accuracy])],
    ]
    last = [["note"], *([note] for _ in rows[1:])] if note else [[] for _ in rows]
    csv.writer(text, lineterminator="\n").writerows([*row, *end] for row, end in zip(rows, last, strict=True))
    return text.getvalue()


def to_json(report: SceneReport) -> dict[str, object]:
    """Convert the report for `json.dump`; values without clips are None, because JSON has no NaN."""
    return {
        "clips": report.clips,
        "accuracy": report.accuracy,
        "log_loss": report.log_loss,
        "clip_accuracy": report.clip_accuracy,
        "clip_log_loss": report.clip_log_loss,
        "classes": list(report.classes),
        "devices": list(report.devices),
        "scenes": {scene.name: _group(scene) for scene in report.scenes},
        "device_scores": {device.name: _group(device) for device in report.device_scores},
        "scene_device_log_loss": [[_or_none(value) for value in row] for row in report.scene_device_log_loss.tolist()],
        "scene_device_accuracy": [[_or_none(value) for value in row] for row in report.scene_device_accuracy.tolist()],
        "confusion": report.confusion.tolist(),
    }


def _group(score: GroupScore) -> dict[str, float | int | None]:
    return {"clips": score.clips, "accuracy": _or_none(score.accuracy), "log_loss": _or_none(score.log_loss)}


def _row(name: str, overall: str, devices: Sequence[str], accuracy: str) -> list[list[str]]:
    return [[name], [overall], *([list(devices)] if devices else []), [accuracy]]


def _align(rows: Sequence[list[list[str]]], *, indent: str = INDENT, gap: str = "   ") -> list[str]:
    """Align blocks of cells with `|` between blocks, and draw lines under the titles and above the two last rows."""
    least = (13, 7, 5, 5) if len(rows[0]) == 4 else (13, 7, 5)
    widths = [
        [max(narrowest, *(measure(row[block][cell]) for row in rows)) for cell in range(len(rows[0][block]))]
        for block, narrowest in enumerate(least)
    ]

    def line(cells: Sequence[Sequence[str]]) -> str:
        blocks = (gap.join(map(_pad, row, spans)) for row, spans in zip(cells, widths, strict=True))
        return (indent + " | ".join(blocks)).rstrip()

    ruler = line([["-" * width for width in spans] for spans in widths])
    header, *body = (line(row) for row in rows)
    return [header, ruler, *body[:-2], ruler, *body[-2:]]


def _pad(text: str, width: int) -> str:
    return text + " " * (width - measure(text))


def _device(name: str) -> str:
    return shorten(name.upper(), LONGEST_NAME // 2)


def _loss(value: float) -> str:
    return NO_CLIP if math.isnan(value) else f"{value:.3f}"


def _percent(value: float) -> str:
    return NO_CLIP if math.isnan(value) else f"{100 * value:.1f}%"


def _decimal(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
