"""The headline of an evaluation: one table of the main metrics of each network, for a terminal."""

import math
from collections.abc import Mapping

from dcase_sweep.evaluation.events.evaluation import EventEvaluation
from dcase_sweep.evaluation.events.report import format_value, list_f1, list_notes
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.text_table import format_table, wrap

#: The values of a headline, by the names of figures, and their titles.
_HEADLINES = {
    "psds_scenario_1": "PSDS 1 (exact times)",
    "psds_scenario_2": "PSDS 2 (right classes)",
    "collar_f1": "collar F1",
    "intersection_f1": "intersection F1",
    "segment_f1": "segment F1",
}


def format_headline(evaluations: Mapping[str, EventEvaluation], *, note: str | None, width: int | None) -> str:
    """Format one table of the main values of each network, the number of classes that each is over, and notes.

    Args:
        evaluations: name of the network → its evaluation; all on the same clips.
        note: text at the end of the title line.
        width: width of the terminal in characters; None = any.
    """
    first = next(iter(evaluations.values()))
    mark = "" if first.coverage.complete else " *"
    rows = [["metric", *evaluations, "classes"]]
    for metric, title in _HEADLINES.items():
        found = [_find_headline(evaluation, metric) for evaluation in evaluations.values()]
        values = [format_value(metric, value) + mark for value, _ in found]
        counts = ", ".join(str(count) for count in dict.fromkeys(count for _, count in found))
        rows.append([title, *values, f"{counts} of {len(first.truth.labels)}"])
    events = pluralize(len(first.truth.clip), "reference event")
    title = f"Sound event detection: {first.coverage}, {events}" + (f" ({note})" if note else "")
    notes = _list_notes(evaluations)
    more = "all metrics, their definitions and those of each class are in events.txt"
    texts = [*(wrap(each, width) for each in notes), wrap(more, width)]
    return "\n".join([wrap(title, width), "", format_table(rows, width=width), "", *texts])


def _list_notes(evaluations: Mapping[str, EventEvaluation]) -> list[str]:
    """The notes of all networks; one that does not hold for all of them begins with the names of those it holds for."""
    networks: dict[str, list[str]] = {}
    for name, evaluation in evaluations.items():
        for note in list_notes(evaluation):
            networks.setdefault(note, []).append(name)
    return [
        note if len(names) == len(evaluations) else f"{', '.join(names)}: {note}" for note, names in networks.items()
    ]


def _find_headline(evaluation: EventEvaluation, metric: str) -> tuple[float, int]:
    """The value of a metric, macro-averaged, and the number of classes that it is over."""
    results = dict(list_f1(evaluation))
    if metric in results:
        return results[metric].macro, results[metric].averaged
    score = next((each for each in evaluation.psds if f"psds_{each.parameters.name.replace(' ', '_')}" == metric), None)
    return (math.nan, 0) if score is None else (score.value, len(score.labels))
