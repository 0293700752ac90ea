"""The results of a scene classifier as metrics, table, files and figures."""

import json
import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.result import EvaluationResult, Figures
from dcase_sweep.evaluation.scenes.figures import confusion_figure, device_accuracy_figure
from dcase_sweep.evaluation.scenes.metrics import SceneReport, as_probabilities, clip_log_losses, evaluate_scenes
from dcase_sweep.evaluation.scenes.report import SCENE, scene_table, to_csv, to_json
from dcase_sweep.utils.text_table import wrap

#: The file of each clip's decision and log loss, from which resamples of the clips are computed.
CLIP_RESULTS = "clips.csv"
#: Files with the probabilities and with the labels of the test clips.
SCORES, REFERENCE = "scores.csv", "reference.csv"
#: Beginnings of the names of metrics that are in the tables alone; accuracy by device is the challenge's own figure.
_DETAILED = ("test/accuracy_scene_", "test/log_loss_scene_", "test/log_loss_device_")


def evaluate_scene_scores(
    scores: NDArray[np.floating],
    truth: NDArray[np.int64],
    *,
    classes: Sequence[str],
    devices: Sequence[str] | None,
    filenames: Sequence[str],
    note: str | None = None,
    extra: Mapping[str, float] | None = None,
    float16_scores: NDArray[np.floating] | None = None,
    noun: str = SCENE,
) -> EvaluationResult:
    """Evaluate scores ``[clip, class]`` as the task 1A baseline does.

    Args:
        devices: device of each clip; None if not known.
        note: note that is shown with the results.
        extra: further metrics by name: ``test/macro_f1``.
        float16_scores: scores of the same clips in float16, whose metrics are shown next to the others.
        noun: the word for a class in tables and figures, such as ``scene``.
    """
    probabilities = as_probabilities(scores, rows=filenames)
    report = evaluate_scenes(probabilities, truth, classes=classes, devices=devices)
    below: list[str] = []
    results: dict[str, object] = {"note": note, **to_json(report)}
    further = {name: value for name, value in (extra or {}).items() if math.isfinite(value)}
    metrics = _metrics(report) | further
    if extra:
        below += [f"{name.removeprefix('test/')}: {value:.4f}" for name, value in extra.items()]
        results["metrics"] = further
    more: dict[str, str] = {}
    if float16_scores is not None:
        half = as_probabilities(float16_scores, rows=filenames)
        half_report = evaluate_scenes(half, truth, classes=classes, devices=devices)
        below.append(_float16_line(half_report, report))
        results["float16"] = to_json(half_report)
        metrics |= {"test/accuracy_float16": half_report.accuracy, "test/log_loss_float16": half_report.log_loss}
        more["scores_float16.csv"] = _score_table(half, classes, filenames)

    def fit(width: int | None) -> str:
        shown = scene_table(report, note=note, noun=noun, width=width)
        return "\n".join([shown, *(wrap(line, width) for line in below)])

    table = fit(None)
    return EvaluationResult(
        metrics=metrics,
        fit=fit,
        detailed=frozenset(name for name in metrics if name.startswith(_DETAILED)),
        table=table,
        files={
            "scenes.txt": table + "\n",
            "scenes.csv": to_csv(report, note=note),
            "scenes.json": json.dumps(results, indent=2) + "\n",
            SCORES: _score_table(probabilities, classes, filenames),
            REFERENCE: _reference_table(filenames, truth, classes, devices),
            CLIP_RESULTS: _clip_table(probabilities, truth, classes, devices, filenames),
            **more,
        },
        figures=_figures(report, note, noun),
    )


def _figures(report: SceneReport, note: str | None, noun: str) -> Figures:
    figures = {"confusion.png": partial(confusion_figure, report, title=note, noun=noun)}
    if report.devices:
        figures["devices.png"] = partial(device_accuracy_figure, report, title=note, noun=noun)
    return Figures(figures)


def _float16_line(half: SceneReport, report: SceneReport) -> str:
    """Format the metrics in float16, and those of the table for comparison."""
    return (
        f"In float16, as the official test stage: accuracy {100 * half.accuracy:.2f} %, log loss {half.log_loss:.4f} "
        f"(above: {100 * report.accuracy:.2f} %, {report.log_loss:.4f})"
    )


def _metrics(report: SceneReport) -> dict[str, float]:
    metrics = {"test/accuracy": report.accuracy, "test/log_loss": report.log_loss, "test/f1": _macro_f1(report)}
    for group, scores in (("device", report.device_scores), ("scene", report.scenes)):
        for score in scores:
            metrics[f"test/accuracy_{group}_{score.name}"] = score.accuracy
            metrics[f"test/log_loss_{group}_{score.name}"] = score.log_loss
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}


def _clip_table(
    probabilities: NDArray[np.floating],
    truth: NDArray[np.int64],
    classes: Sequence[str],
    devices: Sequence[str] | None,
    filenames: Sequence[str],
) -> str:
    """Each clip's scene, device, whether the decision is right, and log loss, separated by tabs."""
    lines = ["\t".join(["filename", "scene_label", "source_label", "correct", "log_loss"])]
    correct, losses = probabilities.argmax(axis=1) == truth, clip_log_losses(probabilities, truth)
    for index, filename in enumerate(filenames):
        device = devices[index] if devices else ""
        cells = [filename, classes[truth[index]], device, f"{correct[index]:d}", f"{losses[index]:.8f}"]
        lines.append("\t".join(cells))
    return "\n".join(lines) + "\n"


def _macro_f1(report: SceneReport) -> float:
    """F1 of each scene that occurs or is estimated (0 to 1), averaged; NaN without a clip."""
    hits = np.diag(report.confusion)
    marked = report.confusion.sum(axis=0) + report.confusion.sum(axis=1)
    occurring = marked > 0
    return float(np.mean(2 * hits[occurring] / marked[occurring])) if occurring.any() else math.nan


def _score_table(probabilities: NDArray[np.floating], classes: Sequence[str], filenames: Sequence[str]) -> str:
    """Write the scores in the challenge's submission format, so that any tool can evaluate them.

    They have the nine digits of float32: log loss depends on those of a small probability, which decimals cut to 0.
    """
    lines = ["\t".join(["filename", "scene_label", *classes])]
    for filename, row in zip(filenames, probabilities, strict=True):
        values = (f"{value:.9g}" for value in row)
        lines.append("\t".join([filename, classes[int(np.argmax(row))], *values]))
    return "\n".join(lines) + "\n"


def _reference_table(
    filenames: Sequence[str], truth: NDArray[np.int64], classes: Sequence[str], devices: Sequence[str] | None
) -> str:
    """The labels of the test clips as the challenge writes them, so that the scores can be evaluated again."""
    columns = ["filename", "scene_label", *(["source_label"] if devices is not None else [])]
    rows = [[name, classes[label]] for name, label in zip(filenames, truth, strict=True)]
    if devices is not None:
        rows = [[*row, device] for row, device in zip(rows, devices, strict=True)]
    return "\n".join("\t".join(row) for row in [columns, *rows]) + "\n"
