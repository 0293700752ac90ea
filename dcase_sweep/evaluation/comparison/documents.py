"""A comparison as CSV, Markdown and LaTeX."""

import csv
import io
import math
from collections.abc import Iterator, Sequence

from dcase_sweep.evaluation.comparison.cells import (
    DIFFERENCE_TITLES,
    TaskRows,
    difference_cells,
    explain_differences,
    list_cells,
    list_header,
    split_by_task,
)
from dcase_sweep.evaluation.comparison.differences import Comparison
from dcase_sweep.evaluation.comparison.measures import list_measures
from dcase_sweep.evaluation.comparison.systems import System, list_notes
from dcase_sweep.utils.text import printable

_LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
    "[": "{[}",  # at the start of a row it would be an argument of the previous line break
}


def to_csv(systems: Sequence[System]) -> str:
    """Return unrounded means and standard deviations, with a row for each system and each published result."""
    shown = list_measures(systems)
    header = ["system", "task", "runs", "rule", "clips"]
    header += [f"{measure.metric} {what}" for measure in shown for what in ("mean", "deviation")]
    header += ["run_ids", "source"]
    table: list[list[object]] = [list(header)]
    for rows in split_by_task(systems):
        for system in rows.systems:
            numbers = [value for measure in shown for value in (system.mean(measure), system.std(measure))]
            ids = " ".join(run.id for run in system.runs)
            first = [system.name, system.task, len(system.runs), system.rule, system.coverage]
            table.append([*first, *map(_to_cell, numbers), ids, ""])
        for each in rows.published:
            pairs = [each.metrics.get(measure.metric, (None, None)) for measure in shown]
            first = [f"published: {each.name}", each.task, each.runs, each.rule, ""]
            table.append([*first, *(_to_cell(value) for pair in pairs for value in pair), "", each.source])
    return _write_csv(table)


def differences_to_csv(comparisons: Sequence[Comparison]) -> str:
    """Return unrounded differences with their intervals and p-values."""
    header = ["task", "rule", "system", "best", "metric", "difference", "low", "high", "p_clips", "p_seeds", "seeds"]
    table: list[list[object]] = [list(header)]
    for each in comparisons:
        clips = each.clips
        interval = [math.nan] * 3 if clips is None else [clips.low, clips.high, clips.p_value]
        first = [each.best.task, each.best.rule, each.other.name, each.best.name, each.measure.metric]
        table.append([*first, *map(_to_cell, [each.value, *interval, each.seeds_p]), each.seeds])
    return _write_csv(table)


def _to_cell(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else repr(float(value))


def _write_csv(table: Sequence[Sequence[object]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(table)
    return buffer.getvalue()


def to_markdown(systems: Sequence[System], comparisons: Sequence[Comparison]) -> str:
    """Return a table and the rules of each task, and a table of the differences."""
    lines: list[str] = []
    for rows in split_by_task(systems):
        shown = rows.measures
        lines += [f"## Task {_escape_markdown(rows.task)}", ""]
        lines += [*_markdown_table(list_header(rows, shown), list_cells(rows, shown), left=1), ""]
        lines += [f"- {letter}: {_escape_markdown(rule, 1000)}" for rule, letter in rows.rules.items()]
        lines += [*(f"- {note}" for note in list_notes(rows.systems)), ""]
        of_task = [each for each in comparisons if each.best.task == rows.task]
        if of_task:
            table = [[each.other.name, each.best.name, each.measure.title, *difference_cells(each)] for each in of_task]
            lines += [*_markdown_table(["system", "less the best", "", *DIFFERENCE_TITLES], table, left=3), ""]
            lines += [*(_escape_markdown(line, 1000) for line in explain_differences(of_task)), ""]
    return "\n".join(lines)


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> Iterator[str]:
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    for cells in (map(_escape_markdown, header), rule, *(map(_escape_markdown, row) for row in rows)):
        yield "| " + " | ".join(cells) + " |"


def _escape_markdown(text: str, longest: int = 200) -> str:
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in printable(text, longest))


def to_latex(systems: Sequence[System], comparisons: Sequence[Comparison]) -> str:
    """Return a ``tabular`` for each task and one for its differences, with the rules of the package booktabs."""
    lines: list[str] = []
    for rows in split_by_task(systems):
        lines += [*_latex_task(rows), ""]
        of_task = [each for each in comparisons if each.best.task == rows.task]
        if of_task:
            table = [[each.other.name, each.best.name, each.measure.title, *difference_cells(each)] for each in of_task]
            lines += [*_latex_table(["system", "less the best", "", *DIFFERENCE_TITLES], table, "lll"), ""]
    return "\n".join(lines)


def _latex_task(rows: TaskRows) -> Iterator[str]:
    shown = rows.measures
    yield from (f"% {letter}: {printable(rule, 1000)}" for rule, letter in rows.rules.items())
    yield from _latex_table(list_header(rows, shown), list_cells(rows, shown), "l")


def _latex_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: str) -> Iterator[str]:
    yield f"\\begin{{tabular}}{{{left}{'r' * (len(header) - len(left))}}}"
    yield from (r"\toprule", _latex_row(header), r"\midrule", *map(_latex_row, rows), r"\bottomrule", r"\end{tabular}")


def _latex_row(cells: Sequence[str]) -> str:
    escaped = ("".join(_LATEX.get(letter, letter) for letter in printable(cell, 200)) for cell in cells)
    return " & ".join(each.replace("±", r"$\pm$") for each in escaped) + r" \\"
