"""An evaluation as text, JSON and CSV; every value is given with its definition."""

import csv
import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dcase_sweep.evaluation.events.error_rates import ErrorRates
from dcase_sweep.evaluation.events.evaluation import EventEvaluation
from dcase_sweep.evaluation.events.f1 import F1
from dcase_sweep.evaluation.events.plausibility import list_doubts
from dcase_sweep.evaluation.events.psds import RULE_OF, Psds
from dcase_sweep.evaluation.events.reference_figures import ReferenceFigure
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.lookalikes import shorten
from dcase_sweep.utils.text_table import format_table

#: Width of the text in columns, where there is no terminal.
_WIDTH = 120
#: Clips of DESED's validation set, whose published figures a note compares with.
_PUBLISHED_CLIPS = 1168


@dataclass(frozen=True, slots=True)
class Figure:
    """One value: `average` is macro, micro or overall; `label` is the class of a value for one class."""

    metric: str
    average: str
    label: str
    value: float
    rule: str


def draw_figures(evaluation: EventEvaluation) -> list[Figure]:
    """List all values of an evaluation: first those over all classes, then those of each class."""
    overall: list[Figure] = []
    per_class: list[Figure] = []
    for prefix, score, is_other in _psds_results(evaluation):
        metric = f"{prefix}_{score.parameters.name.replace(' ', '_')}"
        metric += f"_{RULE_OF[score.cross_trigger_average].replace(' ', '_')}" if is_other else ""
        overall.append(Figure(metric, "overall", "", score.value, score.rule + _over_classes(score, evaluation)))
        per_class += [
            Figure(metric, "class", label, value, score.rule)
            for label, value in zip(score.labels, score.per_class, strict=True)
        ]
    for metric, result in list_f1(evaluation):
        rule = f"threshold {evaluation.f1_threshold:g}; {result.rule}"
        overall.append(Figure(metric, "macro", "", result.macro, f"{_averaged(result)}; {rule}"))
        if result.micro is not None:
            overall.append(Figure(metric, "micro", "", result.micro, rule))
        per_class += [Figure(metric, "class", item.label, item.f1, rule) for item in result.per_class]
    for metric, errors in (
        ("collar_error_rate", evaluation.collar_errors),
        ("segment_error_rate", evaluation.segment_errors),
    ):
        rule = f"threshold {evaluation.f1_threshold:g}; {errors.rule}"
        mean = f"mean of {len(errors.per_class)} of {len(evaluation.truth.labels)} classes"
        overall.append(Figure(metric, "micro", "", errors.overall, f"{_parts(errors)}; {rule}"))
        overall.append(Figure(metric, "macro", "", errors.macro, f"{mean}; {rule}"))
        per_class += [Figure(metric, "class", label, value, rule) for label, value in errors.per_class.items()]
    return overall + per_class


def format_text(evaluation: EventEvaluation, width: int | None = None) -> str:
    """Format a table of all values with their definitions, a table of the classes, and notes. PSDS 0 to 1, F1 in %.

    Args:
        evaluation: the evaluation of one network.
        width: width of the terminal in characters; None = 120 for wrapped text, and any for tables.
    """
    mark = "" if evaluation.coverage.complete else " *"
    rows = [("metric", "score", "rule")]
    for figure in draw_figures(evaluation):
        if figure.average != "class":
            name = _title(figure.metric)
            average = "" if figure.average == "overall" else f", {figure.average}"
            rows.append((f"{name}{average}{mark}", format_value(figure.metric, figure.value), figure.rule))
    events = pluralize(len(evaluation.truth.clip), "reference event")
    lines = [f"Sound event detection: {evaluation.coverage}, {events}", ""]
    wrapped = min(width or _WIDTH, _WIDTH)
    classes = format_table(_class_rows(evaluation), width=width, ruled=(), where="--csv FILE")
    parts = [*lines, *_aligned(rows, wrapped), "", classes, *_reference_table(evaluation, wrapped)]
    return "\n".join([*parts, "", *(_wrapped(note, wrapped) for note in list_notes(evaluation))])


def _reference_table(evaluation: EventEvaluation, width: int) -> list[str]:
    """Format the metrics of psds_eval and sed_eval next to ours, if they were computed."""
    if not evaluation.reference:
        return []
    rows = [("metric", "this package", "reference", "difference", "by")]
    for figure in evaluation.reference:
        average = "" if figure.average == "overall" else f", {figure.average}"
        rows.append(
            (
                f"{_title(figure.metric)}{average}",
                _decimal(figure.ours),
                _decimal(figure.theirs),
                "-" if figure.difference is None or math.isnan(figure.difference) else f"{figure.difference:.1e}",
                figure.package,
            )
        )
    problems = dict.fromkeys(f"{each.package}: {each.problem}" for each in evaluation.reference if each.problem)
    return ["", *_aligned(rows, width), *(_wrapped(problem, width) for problem in problems)]


def _decimal(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.6f}"


def _title(metric: str) -> str:
    name, rule, version = metric.partition("_psds_eval_")
    title = name.replace("_", " ").replace("psds", "PSDS").replace("f1", "F1")
    return f"{title}, psds_eval {version}" if rule else title


def to_json(evaluation: EventEvaluation) -> dict[str, Any]:
    """Convert to plain types for `json.dump`; an undefined value is None. F1 is 0 to 1."""
    return {
        "coverage": {
            "clips_scored": evaluation.coverage.scored,
            "clips_in_all": evaluation.coverage.total,
            "complete": evaluation.coverage.complete,
        },
        "f1_threshold": evaluation.f1_threshold,
        "hp_metric": None if math.isnan(evaluation.hp_metric) else evaluation.hp_metric,
        "merged_events": evaluation.truth.merged_events,
        **({"reference": [_reference_json(figure) for figure in evaluation.reference]} if evaluation.reference else {}),
        "figures": [
            {
                "metric": figure.metric,
                "average": figure.average,
                "class": figure.label or None,
                "value": None if math.isnan(figure.value) else figure.value,
                "rule": figure.rule,
            }
            for figure in draw_figures(evaluation)
        ],
    }


def _reference_json(figure: ReferenceFigure) -> dict[str, Any]:
    values = {"ours": figure.ours, "theirs": figure.theirs, "difference": figure.difference}
    plain = {name: None if value is None or math.isnan(value) else value for name, value in values.items()}
    problem = {"problem": figure.problem} if figure.problem else {}
    return {"metric": figure.metric, "average": figure.average, "package": figure.package, **plain, **problem}


def to_csv(evaluation: EventEvaluation) -> str:
    """Write a line for each value: metric, average, class, value, clips_scored, clips_in_all, rule. F1 is 0 to 1."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["metric", "average", "class", "value", "clips_scored", "clips_in_all", "rule"])
    for figure in draw_figures(evaluation):
        value = "" if math.isnan(figure.value) else repr(figure.value)
        clips = (evaluation.coverage.scored, evaluation.coverage.total)
        writer.writerow([figure.metric, figure.average, figure.label, value, *clips, figure.rule])
    return text.getvalue()


def _psds_results(evaluation: EventEvaluation) -> list[tuple[str, Psds, bool]]:
    """List every PSDS with its prefix, and whether it follows the other rule."""
    return [
        (prefix, score, is_other)
        for prefix, chosen, other in (
            ("psds", evaluation.psds, evaluation.psds_other),
            ("exact_psds", evaluation.exact, evaluation.exact_other),
        )
        for is_other, scores in ((False, chosen), (True, other))
        for score in scores
    ]


def list_f1(evaluation: EventEvaluation) -> tuple[tuple[str, F1], ...]:
    return (
        ("collar_f1", evaluation.collar),
        ("segment_f1", evaluation.segment),
        ("intersection_f1", evaluation.intersection),
    )


def _over_classes(score: Psds, evaluation: EventEvaluation) -> str:
    """The number of classes that PSDS is over, if it is not all of them: those with a reference event."""
    count = len(evaluation.truth.labels)
    return "" if len(score.labels) == count else f"; over {len(score.labels)} of {pluralize(count, 'class')}"


def _parts(errors: ErrorRates) -> str:
    if math.isnan(errors.overall):
        return "no reference event"
    return (
        f"substitutions {errors.substitutions:.3f}, deletions {errors.deletions:.3f}, "
        f"insertions {errors.insertions:.3f}"
    )


def _averaged(result: F1) -> str:
    return f"mean of {result.averaged} of {len(result.per_class)} classes"


def format_value(metric: str, value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{100 * value:.2f} %" if metric.endswith("f1") else f"{value:.4f}"


def _class_rows(evaluation: EventEvaluation) -> list[tuple[str, ...]]:
    scores: list[tuple[str, Psds]] = [
        *((f"PSDS {score.parameters.name.removeprefix('scenario ')}", score) for score in evaluation.psds),
        *((f"exact {score.parameters.name.removeprefix('scenario ')}", score) for score in evaluation.exact),
    ]
    columns = [(name, "psds", dict(zip(score.labels, score.per_class, strict=True))) for name, score in scores]
    columns += [
        (name.replace("_f1", " F1"), "f1", {item.label: item.f1 for item in result.per_class})
        for name, result in list_f1(evaluation)
    ]
    detected = [0] * len(evaluation.truth.labels)
    for label in evaluation.decisions.label:
        detected[label] += 1
    rows = [("class", "events", "detected", *(name for name, _, _ in columns))]
    for index, label in enumerate(evaluation.truth.labels):
        values = (format_value(kind, column.get(label, math.nan)) for _, kind, column in columns)
        rows.append(
            (shorten(label, 40), str(evaluation.truth.events_per_label()[index]), str(detected[index]), *values)
        )
    return rows


def list_notes(evaluation: EventEvaluation) -> list[str]:
    notes = []
    if evaluation.coverage.total == _PUBLISHED_CLIPS:
        notes.append(
            "intersection F1 is not comparable with figures of psds_eval 0.3 (79.5 % for the 2021 baseline), which "
            "added detections with the same row number: it gives 76.6 % for the detections that give 63.7 % here"
        )
    if evaluation.truth.merged_events:
        merged = pluralize(evaluation.truth.merged_events, "reference event")
        notes.append(f"{merged} merged with an overlapping event of the class: this is not the published table")
    if len(evaluation.truth.labels) == 1:
        notes.append("a single class: there are no cross-triggers, and no standard deviation over classes")
    coverage = evaluation.coverage
    if not coverage.complete:
        notes.append(f"* measured on {coverage} only: not comparable with a score on all of them")
    absent = [
        label
        for label, count in zip(evaluation.truth.labels, evaluation.truth.events_per_label(), strict=True)
        if not count
    ]
    if absent:
        notes.append(
            f"without a reference event: {_listed(absent)}; PSDS and intersection F1 leave their detections out, "
            "collar and segment F1 count them in the micro average only"
        )
    if not len(evaluation.decisions.clip) and len(evaluation.truth.clip):
        notes.append(f"nothing is detected at threshold {evaluation.f1_threshold:g}: F1 is 0, as in the recipe")
    for name, result in list_f1(evaluation) if len(evaluation.decisions.clip) else ():
        left_out = [item.label for item in result.per_class if math.isnan(item.f1) and item.reference]
        if left_out:
            reason = "no true positive" if name == "intersection_f1" else "no detection"
            notes.append(f"{name.replace('_f1', ' F1')}: {_listed(left_out)} not in the mean, as there is {reason}")
    return notes + list_doubts(evaluation.truth, evaluation.detections)


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(shorten(label, 40) for label in labels)


def _aligned(rows: Sequence[tuple[str, ...]], width: int) -> list[str]:
    """Align the first column to the left and values to the right; wrap the last column of definitions."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(size) for cell, size in zip(row[1:-1], widths[1:-1], strict=True)]
        line = "  ".join(cells)
        lines.append(_wrapped(row[-1], width, first=f"{line}  ", then=" " * (len(line) + 2)))
    return lines


def _wrapped(text: str, width: int, *, first: str = "", then: str = "  ") -> str:
    return textwrap.fill(
        text, width, initial_indent=first, subsequent_indent=then, break_on_hyphens=False, break_long_words=False
    )
