"""The cells of a comparison, which are the same in its table, its files and its page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dcase_sweep.evaluation.comparison.differences import Comparison
from dcase_sweep.evaluation.comparison.measures import Measure, list_measures
from dcase_sweep.evaluation.comparison.published import PublishedResult, published_results
from dcase_sweep.evaluation.comparison.rules import letter_rules
from dcase_sweep.evaluation.comparison.systems import System
from dcase_sweep.utils.text import printable

#: Smaller p-values are marked.
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class TaskRows:
    """The rows of one task.

    Attributes:
        task: its name.
        systems: the systems, the best of each rule first.
        published: published results on a data set of the systems.
        rules: description of a rule → its letter.
    """

    task: str
    systems: tuple[System, ...]
    published: tuple[PublishedResult, ...]
    rules: dict[str, str]

    @property
    def measures(self) -> list[Measure]:
        """Measures for which a system has values; F1 is the last one unless it is the main measure."""
        shown = list_measures(self.systems)
        is_minor = any(measure.metric == "test/accuracy" for measure in shown)
        return sorted(shown, key=lambda measure: is_minor and measure.metric == "test/f1")

    @property
    def has_coverage(self) -> bool:
        """Whether the number of scored clips is known for a system."""
        return any(system.coverage for system in self.systems)


def split_by_task(systems: Sequence[System]) -> list[TaskRows]:
    """Return the rows of each task, in the order of the systems."""
    found = []
    for task in dict.fromkeys(system.task for system in systems):
        of_task = tuple(system for system in systems if system.task == task)
        data = {run.parameters.get("data") for system in of_task for run in system.runs}  # None: of an early version
        published = tuple(each for each in published_results() if each.task == task and {each.data, None} & data)
        rules = letter_rules([*(each.rule for each in of_task), *(each.rule for each in published)])
        found.append(TaskRows(task, of_task, published, rules))
    return found


def format_value(mean: float, std: float | None, measure: Measure) -> str:
    """Format a mean and its standard deviation: ``47.7 ± 1.0``, or ``-`` for NaN."""
    if math.isnan(mean):
        return "-"
    spread = "" if std is None or math.isnan(std) else f" ± {measure.factor * std:,.{measure.digits}f}"
    return f"{measure.factor * mean:,.{measure.digits}f}{spread}"


def list_header(rows: TaskRows, shown: Sequence[Measure]) -> list[str]:
    """Return the titles of the columns of `list_cells`."""
    return ["system", "n", "rule", *(measure.title for measure in shown), *(["clips"] if rows.has_coverage else [])]


def list_cells(rows: TaskRows, shown: Sequence[Measure], mark: str = "published: ") -> list[list[str]]:
    """Return a row of cells for each system and for each published result, whose name starts with the mark."""
    measured = [
        [
            printable(system.name, 200),
            str(len(system.runs)),
            rows.rules[system.rule],
            *(format_value(system.mean(measure), system.std(measure), measure) for measure in shown),
            *([system.coverage] if rows.has_coverage else []),
        ]
        for system in rows.systems
    ]
    published = [
        [
            f"{mark}{each.name}",
            each.runs,
            rows.rules[each.rule],
            *(format_value(*each.metrics.get(measure.metric, (math.nan, None)), measure) for measure in shown),
            *([""] if rows.has_coverage else []),
        ]
        for each in rows.published
    ]
    return [*measured, *published]


#: Titles of the columns of `difference_cells`, without the measure.
DIFFERENCE_TITLES = ("difference", "95 % interval", "p, clips", "p, seeds (n)")


def difference_cells(comparison: Comparison) -> list[str]:
    """Return the cells of a difference: value, interval, p-values over clips and over seeds; ``-`` if not known."""
    measure, clips = comparison.measure, comparison.clips
    value, interval, over_clips = "-", "-", "-"
    if clips is not None or comparison.seeds:
        value = f"{measure.factor * comparison.value:+,.{measure.digits}f}"
    if clips is not None:
        low, high = (f"{measure.factor * each:+,.{measure.digits}f}" for each in (clips.low, clips.high))
        interval, over_clips = f"[{low}, {high}]", format_p(clips.p_value)
    over_seeds = "-" if comparison.seeds < 2 else f"{format_p(comparison.seeds_p)} ({comparison.seeds})"
    return [value, interval, over_clips, over_seeds]


def format_p(value: float) -> str:
    """Format a p-value: ``0.012 *``, with a mark if it is below `LEVEL`."""
    if math.isnan(value):
        return "-"
    return f"{value:.3f}{' *' if value < LEVEL else ''}"


def explain_differences(comparisons: Sequence[Comparison]) -> list[str]:
    """Explain the cells of differences in lines of text."""
    lines = [
        "p, clips: paired bootstrap over the test clips; p, seeds: exact sign-flip test over n common seeds; "
        f"* below {LEVEL:g}: differs, else no difference is shown. Not corrected for the number of comparisons."
    ]
    few = sorted({each.seeds for each in comparisons if each.seeds >= 2 and 2 / 2**each.seeds > LEVEL})
    if few:
        lines.append("; ".join(f"{count} seeds cannot give less than {2 / 2**count:.3g}" for count in few) + ".")
    if any(each.clips is None for each in comparisons):
        lines.append("No interval: a run has no results by clip, or the test clips differ.")
    if any(each.seeds < 2 for each in comparisons):
        lines.append("No p over seeds: fewer than 2 seeds are common to both.")
    return lines
