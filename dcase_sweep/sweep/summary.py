"""The summary of the jobs in the record of a sweep: metrics, a table in Markdown, a figure."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from dcase_sweep.sweep.comparison import Column, Comparison, Entry, Row, list_cells
from dcase_sweep.utils.palette import BLUE
from dcase_sweep.utils.text import printable

#: Bars of a figure at most, and the letters of their names.
_MOST_BARS, _LONGEST_NAME = 40, 44


def summarise(entries: Sequence[Entry]) -> dict[str, float]:
    """The best job's figures, and mean and standard deviation over the seeds of the configuration with the best mean.

    Their names are those of the compared metrics after ``best/``, ``mean/`` and ``sd/``. Jobs of several tasks are
    compared within their task. What is best is decided by the first column.
    """
    figures: dict[str, float] = {}
    finished = [entry for entry in entries if entry.status == "finished" and entry.columns]
    for main in dict.fromkeys(entry.columns[0] for entry in finished):
        group = [entry for entry in finished if entry.columns[0] == main and main.metric in entry.metrics]
        if not group:
            continue
        sign = 1 if main.larger_is_better else -1
        best = max(group, key=lambda entry: sign * entry.metrics[main.metric])
        seeds = max(
            _group_by_configuration(group),
            key=lambda jobs: sign * statistics.fmean(job.metrics[main.metric] for job in jobs),
        )
        for name in dict.fromkeys(column.metric for column in main_columns(best)):
            if name in best.metrics:
                figures[f"best/{name}"] = best.metrics[name]
            values = [job.metrics[name] for job in seeds if name in job.metrics]
            if values:
                figures[f"mean/{name}"] = statistics.fmean(values)
            if len(values) > 1:
                figures[f"sd/{name}"] = statistics.stdev(values)
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def main_columns(entry: Entry) -> tuple[Column, ...]:
    """The columns of a job but those of the validation, which chose its epoch."""
    return tuple(column for column in entry.columns if not column.metric.startswith("best/"))


def _group_by_configuration(entries: Sequence[Entry]) -> list[list[Entry]]:
    groups: dict[tuple[tuple[str, str], ...], list[Entry]] = {}
    for entry in entries:
        key = tuple(sorted((name, value) for name, value in entry.overrides.items() if name != "seed"))
        groups.setdefault(key, []).append(entry)
    return list(groups.values())


def to_markdown(comparison: Comparison) -> str:
    """The table of a comparison in Markdown."""
    header, *rows = list_cells(comparison)
    return make_markdown(header, rows, left=len(comparison.varying))


def make_markdown(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> str:
    """A table in Markdown, in which no value is read as markup.

    Args:
        header: titles of the columns.
        rows: their cells.
        left: number of columns of words, which are aligned to the left.
    """
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    lines = [map(_escape, header), rule, *(map(_escape, row) for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _escape(cell: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in cell.replace("\n", " "))


def draw_comparison(comparison: Comparison, path: Path) -> Path | None:
    """Draw a bar for each configuration and the standard deviation over its seeds; None without a finished job.

    Each task has a panel, with its first column as the axis.

    Args:
        comparison: the comparison of the jobs.
        path: path of the PNG file.
    """
    panels = [
        (column, rows)
        for column in _main(comparison)
        if (rows := [row for row in comparison.rows if column.metric in row.metrics][:_MOST_BARS])
    ]
    if not panels:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bars = [len(rows) for _, rows in panels]
    figure = Figure(figsize=(8.0, sum(1.3 + 0.38 * count for count in bars)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": [1 + 0.4 * n for n in bars]})
    for (column, rows), each in zip(panels, axes[:, 0], strict=True):
        pairs = [tuple(column.factor * value for value in row.metrics[column.metric]) for row in rows]
        places = range(len(rows))
        each.barh(places, [mean for mean, _ in pairs], color=BLUE, height=0.65)
        spread = [(place, mean, std) for place, (mean, std) in enumerate(pairs) if std > 0]
        if spread:
            where, means, stds = zip(*spread, strict=True)
            each.errorbar(means, where, xerr=stds, fmt="none", ecolor="black", capsize=3)
        for place, (mean, std) in enumerate(pairs):
            each.text(mean + std, place, f"  {mean:,.{column.digits}f}", va="center", fontsize=9)
        each.set_yticks(places, [_name(comparison, row) for row in rows])
        each.invert_yaxis()
        each.margins(x=0.12)
        each.set_xlabel(column.title.replace(" %", " (%)"))
        each.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_title("mean over seeds; lines show the standard deviation" if spread_over_seeds(comparison) else "")
    figure.savefig(path, dpi=120)
    return path


def spread_over_seeds(comparison: Comparison) -> bool:
    """Whether a configuration has several finished jobs."""
    return any(row.finished > 1 for row in comparison.rows)


def _main(comparison: Comparison) -> list[Column]:
    """The first column of each task: one that begins where the rows of an earlier one have nothing."""
    found: list[Column] = []
    for row in comparison.rows:
        if any(column.metric in row.metrics for column in found):
            continue
        found += [column for column in comparison.columns if column.metric in row.metrics][:1]
    return found


def _name(comparison: Comparison, row: Row) -> str:
    text = " ".join(row.values) or "all jobs"
    shown = printable(text, _LONGEST_NAME).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown
