"""The comparison as text for the terminal, CSV, Markdown and LaTeX."""

import csv
import io
import math
import textwrap
from collections.abc import Sequence

from dcase_sweep.evaluation.comparison.differences import Comparison
from dcase_sweep.evaluation.comparison.published import PUBLISHED, PublishedResult
from dcase_sweep.evaluation.comparison.systems import MEASURES, Measure, System, list_notes
from dcase_sweep.utils.lookalikes import shorten
from dcase_sweep.utils.text import printable
from dcase_sweep.utils.text_table import format_table

#: Letters of a name that a table shows at least.
_SHORTEST_NAME = 16
_LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
}


def format_value(mean: float, std: float | None, measure: Measure) -> str:
    """``47.7 ± 1.0``; - where there is none."""
    if math.isnan(mean):
        return "-"
    spread = f" ± {measure.factor * std:,.{measure.digits}f}" if std else ""
    return f"{measure.factor * mean:,.{measure.digits}f}{spread}"


def to_text(systems: Sequence[System], comparisons: Sequence[Comparison], width: int) -> str:
    """One table for each task, no wider than the terminal: columns on the right go first, and names are cut.

    Args:
        systems: the best of a task first.
        comparisons: of each with the best.
        width: of the terminal, in letters.
    """
    parts = []
    for task in dict.fromkeys(system.task for system in systems):
        of_task = [system for system in systems if system.task == task]
        notes = [line for note in list_notes(of_task) for line in textwrap.wrap(note, max(width, 40))]
        parts.append("\n".join([f"task {task}", *notes, _table(task, of_task, width)]))
        of_comparisons = [each for each in comparisons if each.best.task == task]
        if of_comparisons:
            parts.append(describe_differences(of_comparisons, width))
    return "\n\n".join(parts)


def describe_differences(comparisons: Sequence[Comparison], width: int) -> str:
    """What the tests say of each system against the best one, a line or two each."""
    lines = [f"compared with the best, {printable(comparisons[0].best.name, 60)}:"]
    for each in comparisons:
        lines.append(f"  {shorten(printable(each.other.name, 200), max(width - 4, _SHORTEST_NAME))}")
        lines += [f"    {line}" for line in describe_difference(each)]
    return "\n".join(lines)


def describe_difference(comparison: Comparison) -> list[str]:
    """What each test says."""
    measure, clips = comparison.measure, comparison.clips
    lines = []
    if clips is None:
        lines.append("test clips: not compared, as a run has no counts by clip or other clips")
    else:
        value, low, high = (
            f"{measure.factor * each:+.{measure.digits}f}" for each in (clips.value, clips.low, clips.high)
        )
        says = "differs" if clips.is_significant else "no difference shown"
        lines.append(f"test clips: {measure.title} {value} [{low}, {high}], p {clips.p_value:.3f}: {says}")
    if comparison.seeds < 2:
        lines.append("seeds: not compared, as fewer than 2 are common to both")
    else:
        least = 2 / 2**comparison.seeds
        says = "differs" if comparison.seeds_p < 0.05 else "no difference shown"
        note = f"; {comparison.seeds} seeds cannot give less than {least:.3g}" if least > 0.05 else ""
        lines.append(f"seeds: {comparison.seeds} pairs, p {comparison.seeds_p:.3f}: {says}{note}")
    return lines


def _table(task: str, systems: Sequence[System], width: int) -> str:
    shown = shown_measures(systems)
    header = ["", "n", *(measure.title for measure in shown)]
    if any(system.coverage for system in systems):
        header.append("clips")
    rows = [_cells(system, shown, len(header)) for system in systems]
    rows += [_published_cells(each, shown, len(header)) for each in PUBLISHED if each.task == task]
    return format_table([header, *rows], width=width, where="--out FOLDER")


def shown_measures(systems: Sequence[System]) -> list[Measure]:
    """The measures that a system has."""
    return [measure for measure in MEASURES if any(len(system.values(measure)) for system in systems)]


def _cells(system: System, shown: Sequence[Measure], count: int) -> list[str]:
    values = [format_value(system.mean(measure), system.std(measure), measure) for measure in shown]
    cells = [printable(system.name, 200), str(len(system.runs)), *values, system.coverage]
    return cells[:count]


def _published_cells(result: PublishedResult, shown: Sequence[Measure], count: int) -> list[str]:
    values = [format_value(*result.metrics.get(measure.metric, (math.nan, None)), measure) for measure in shown]
    return [f"published: {result.name}", result.runs, *values, ""][:count]


def list_rows(systems: Sequence[System]) -> tuple[list[str], list[list[str]]]:
    """Titles and cells of all tasks in one table, with the published results."""
    shown = shown_measures(systems)
    header = ["system", "task", "n", *(measure.title for measure in shown), "clips"]
    count = len(header) - 1
    rows = [[cells[0], system.task, *cells[1:]] for system in systems if (cells := _cells(system, shown, count))]
    tasks = {system.task for system in systems}
    for each in PUBLISHED:
        if each.task in tasks:
            cells = _published_cells(each, shown, count)
            rows.append([cells[0], each.task, *cells[1:]])
    return header, rows


def to_csv(systems: Sequence[System]) -> str:
    """Mean and standard deviation of every measure, unrounded, a row a system."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    shown = shown_measures(systems)
    pairs = [f"{measure.metric} {what}" for measure in shown for what in ("mean", "deviation")]
    writer.writerow(["system", "task", "runs", "clips", *pairs, "run_ids"])
    for system in systems:
        numbers = [value for measure in shown for value in (system.mean(measure), system.std(measure))]
        cells = ["" if math.isnan(value) else repr(float(value)) for value in numbers]
        ids = " ".join(run.id for run in system.runs)
        writer.writerow([system.name, system.task, len(system.runs), system.coverage, *cells, ids])
    return buffer.getvalue()


def to_markdown(systems: Sequence[System], comparisons: Sequence[Comparison]) -> str:
    """A table and the differences, in Markdown."""
    header, rows = list_rows(systems)
    lines = ["| " + " | ".join(map(_escape_markdown, cells)) + " |" for cells in (header, *rows)]
    lines.insert(1, "| --- | --- |" + " ---: |" * (len(header) - 2))
    lines += ["", *(f"- {note}" for note in list_notes(systems))]
    for each in comparisons:
        pair = f"{_escape_markdown(each.other.name)} and {_escape_markdown(each.best.name)}"
        lines += [f"- {pair}: {'; '.join(describe_difference(each))}"]
    return "\n".join(lines) + "\n"


def _escape_markdown(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in printable(text, 200))


def to_latex(systems: Sequence[System]) -> str:
    """A ``tabular`` with the rules of booktabs."""
    header, rows = list_rows(systems)
    lines = [f"\\begin{{tabular}}{{ll{'r' * (len(header) - 2)}}}", r"\toprule", _latex_row(header), r"\midrule"]
    return "\n".join([*lines, *map(_latex_row, rows), r"\bottomrule", r"\end{tabular}", ""])


def _latex_row(cells: Sequence[str]) -> str:
    escaped = ("".join(_LATEX.get(letter, letter) for letter in printable(cell, 200)) for cell in cells)
    return " & ".join(each.replace("±", r"$\pm$") for each in escaped) + r" \\"
