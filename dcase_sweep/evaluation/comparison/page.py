"""A comparison as one HTML file that needs no network access, with sortable tables, learning curves and bars."""

import json
import math
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from dcase_sweep.evaluation.comparison.cells import (
    DIFFERENCE_TITLES,
    TaskRows,
    difference_cells,
    explain_differences,
    format_value,
    split_by_task,
)
from dcase_sweep.evaluation.comparison.differences import Comparison
from dcase_sweep.evaluation.comparison.measures import Measure, list_measures
from dcase_sweep.evaluation.comparison.published import PublishedResult
from dcase_sweep.evaluation.comparison.systems import System, list_notes
from dcase_sweep.utils.palette import COLOURS
from dcase_sweep.utils.text import printable

#: Largest number of points of a curve. Of longer curves every n-th value is drawn.
_MOST_POINTS = 200


def to_html(systems: Sequence[System], comparisons: Sequence[Comparison]) -> str:
    """Return the page. Names are embedded as data and inserted as text, so they cannot contain markup.

    Args:
        systems: systems in the order of `group_runs`, the best of each task first.
        comparisons: comparison of each system with the best.
    """
    shown = list_measures(systems)
    tasks = split_by_task(systems)
    content = {
        "palette": COLOURS,
        "measures": [_describe_measure(measure) for measure in shown],
        "systems": [_describe_system(system, rows, shown) for rows in tasks for system in rows.systems],
        "published": [_describe_published(each, rows, shown) for rows in tasks for each in rows.published],
        "notes": {printable(rows.task): _list_lines(rows) for rows in tasks},
        "titles": DIFFERENCE_TITLES,
        "differences": [_describe_difference(each, rows) for rows in tasks for each in _of(rows, comparisons)],
        "explanations": {
            printable(rows.task): explain_differences(found) for rows in tasks if (found := _of(rows, comparisons))
        },
    }
    # "</script>" would end the script element. HTML and JavaScript interpret the other characters differently.
    data = json.dumps(content, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        data = data.replace(letter, f"\\u{ord(letter):04x}")
    template = (files("dcase_sweep.evaluation.comparison") / "page.html").read_text(encoding="utf-8")
    return template.replace("@DATA@", data)


def _describe_measure(measure: Measure) -> dict[str, Any]:
    return {"title": measure.title, "larger": measure.larger_is_better}


def _of(rows: TaskRows, comparisons: Sequence[Comparison]) -> list[Comparison]:
    return [each for each in comparisons if each.best.task == rows.task]


def _list_lines(rows: TaskRows) -> list[str]:
    """Return the notes on the rows of a task, with the rules by letter."""
    rules = [f"Rule {letter}: {printable(rule, 1000)}" for rule, letter in rows.rules.items()]
    return [*rules, *list_notes(rows.systems)]


def _describe_system(system: System, rows: TaskRows, shown: Sequence[Measure]) -> dict[str, Any]:
    return {
        "name": printable(system.name),
        "task": printable(system.task),
        "rule": rows.rules[system.rule],
        "group": f"{rows.rules[system.rule]} {system.data}",
        "coverage": system.coverage,
        "values": [_number(system.mean(measure)) for measure in shown],
        "cells": [format_value(system.mean(measure), system.std(measure), measure) for measure in shown],
        "details": system.details(),
        "runs": [
            {
                "name": printable(run.name),
                "id": run.id,
                "seed": printable(run.seed),
                "link": run.link if run.link and run.link.startswith(("http://", "https://")) else None,
                "cells": [format_value(measure.read(run.metrics), None, measure) for measure in shown],
                "history": {name: _thin(values) for name, values in run.history.items()},
            }
            for run in system.runs
        ],
    }


def _describe_published(result: PublishedResult, rows: TaskRows, shown: Sequence[Measure]) -> dict[str, Any]:
    return {
        "name": result.name,
        "task": result.task,
        "rule": rows.rules[result.rule],
        "runs": result.runs,
        "source": result.source,
        "cells": [format_value(*result.metrics.get(measure.metric, (math.nan, None)), measure) for measure in shown],
    }


def _describe_difference(comparison: Comparison, rows: TaskRows) -> dict[str, Any]:
    return {
        "task": printable(comparison.best.task),
        "rule": rows.rules[comparison.best.rule],
        "best": printable(comparison.best.name),
        "other": printable(comparison.other.name),
        "measure": comparison.measure.title,
        "cells": difference_cells(comparison),
        "interval": _describe_interval(comparison),
    }


def _describe_interval(comparison: Comparison) -> list[float] | None:
    """Return the difference and the ends of its interval, in the unit in which they are shown."""
    clips = comparison.clips
    if clips is None or not all(map(math.isfinite, (clips.value, clips.low, clips.high))):
        return None
    return [comparison.measure.factor * value for value in (clips.value, clips.low, clips.high)]


def _number(value: float) -> float | None:
    return float(f"{value:.7g}") if math.isfinite(value) else None


def _thin(values: Sequence[float]) -> list[list[float | None]]:
    """Return at most `_MOST_POINTS` pairs of an epoch, counted from 1, and its value."""
    step = max(1, math.ceil(len(values) / _MOST_POINTS))
    return [[epoch + 1, _number(values[epoch])] for epoch in range(0, len(values), step)]
