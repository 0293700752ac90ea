"""A table that compares the jobs of a sweep: varied settings, and mean ± standard deviation over seeds."""

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dcase_sweep.utils.text import printable
from dcase_sweep.utils.text_table import format_table, wrap


@dataclass(frozen=True, slots=True)
class Column:
    """The format of one metric in a table.

    Args:
        metric: name of the metric.
        title: title of the column.
        factor: factor applied to the values.
        digits: digits after the decimal point.
        unless_near: another metric; the column is hidden unless some row is more than one percent below it.
        larger_is_better: whether larger values are better.
    """

    metric: str
    title: str
    factor: float = 1.0
    digits: int = 3
    unless_near: str | None = None
    larger_is_better: bool = True


#: Longest value in the table, in characters. The CSV file contains full values.
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class Entry:
    """One job: its overrides and, if it finished, its metrics."""

    overrides: dict[str, str]
    status: str
    metrics: dict[str, float]
    seconds: float = 0.0
    #: A note on the metrics.
    note: str | None = None
    #: Number of test clips that were scored, and number of all test clips.
    coverage: tuple[float, float] | None = None
    #: Format of the metrics; empty = each metric under its own name.
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """Jobs that differ only in their seed."""

    values: tuple[str, ...]
    jobs: int
    finished: int
    #: Metric → mean and standard deviation (of the sample; 0 for one job) over the finished jobs.
    metrics: dict[str, tuple[float, float]]
    seconds: float
    note: str | None = None
    #: "3 of 4" if the job with the fewest scored test clips was scored on 3 of 4; empty if all were scored.
    scored_on: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The jobs of a sweep, grouped by configuration."""

    #: The overrides that differ between jobs, except the seed.
    varying: tuple[str, ...]
    rows: tuple[Row, ...]
    #: The columns of all jobs, without duplicates.
    columns: tuple[Column, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the notes on the rows, with row numbers unless a note applies to all rows."""
        noted = [row.note for row in self.rows if row.finished]
        lines = []
        for note in dict.fromkeys(filter(None, noted)):
            where = [str(number) for number, row in enumerate(self.rows, start=1) if row.note == note]
            rows = f"row{'s' if len(where) > 1 else ''} {', '.join(where)}: "
            lines.append(note if len(where) == len(noted) else rows + note)
        return tuple(lines)


def compare(entries: Sequence[Entry]) -> Comparison:
    """Group jobs by all varied settings except the seed, in order of first occurrence."""
    keys = dict.fromkeys(key for entry in entries for key in entry.overrides)
    differing = [key for key in keys if len({entry.overrides.get(key) for entry in entries}) > 1]
    varying = tuple(key for key in differing if key != "seed")
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(tuple(entry.overrides.get(key, "") for key in varying), []).append(entry)
    # If entries have different columns, the common ones come last.
    columns = reversed(dict.fromkeys(column for entry in reversed(entries) for column in reversed(entry.columns)))
    return Comparison(varying, tuple(_row(values, group) for values, group in groups.items()), tuple(columns))


def _row(values: tuple[str, ...], group: Sequence[Entry]) -> Row:
    finished = [entry for entry in group if entry.status == "finished"]
    names = dict.fromkeys(name for entry in finished for name in entry.metrics)
    metrics = {}
    for name in names:
        metrics[name] = mean_and_std([entry.metrics[name] for entry in finished if name in entry.metrics])
    seconds = statistics.fmean(entry.seconds for entry in finished) if finished else math.nan
    note = next((entry.note for entry in finished if entry.note), None)
    return Row(values, len(group), len(finished), metrics, seconds, note, _scored_on(finished))


def mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    """Compute the mean and the standard deviation of a sample (0 for one value).

    Does not use NumPy, whose import would slow down `--help` and `--cfg job`.
    """
    mean = statistics.fmean(values)
    squares = sum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else 0.0


def _scored_on(entries: Sequence[Entry]) -> str | None:
    """Return the smallest scored part of the test set, if a job was scored on a part."""
    parts = [
        entry.coverage for entry in entries if entry.coverage is not None and entry.coverage[0] < entry.coverage[1]
    ]
    if not parts:
        return None
    scored, listed = min(parts, key=lambda part: part[0] / part[1])
    return f"{scored:,.0f} of {listed:,.0f}"


def table(comparison: Comparison, width: int | None = None) -> str:
    """Format a table as plain text, with one row for each configuration, and the notes.

    Args:
        comparison: the comparison of the jobs.
        width: width of the terminal in characters; None = any.
    """
    parts = list(dict.fromkeys(row.scored_on for row in comparison.rows if row.scored_on))
    note = f"* scored on {', '.join(parts)} clips: not comparable with a score on all of them"
    shown = format_table(list_cells(comparison), left=len(comparison.varying), width=width, where="comparison.csv")
    return "\n".join(
        [*(wrap(each, width) for each in comparison.notes), shown, *([wrap(note, width)] if parts else [])]
    )


def list_cells(comparison: Comparison) -> list[list[str]]:
    """Return the cells of the table: a row of titles, then one row for each configuration."""
    several = any(row.jobs > 1 for row in comparison.rows)
    unfinished = any(row.finished < row.jobs for row in comparison.rows)
    shown = [column for column in _columns(comparison) if _is_shown(column, comparison.rows)]
    header = [*comparison.varying, *(["seeds"] if several else []), *(column.title for column in shown), "seconds"]
    header += ["finished"] if unfinished else []
    lines = [header]
    for row in comparison.rows:
        cells = [*(printable(value, _LONGEST) for value in row.values), *([str(row.jobs)] if several else [])]
        cells += [_cell(row, column) for column in shown]
        cells.append("-" if math.isnan(row.seconds) else f"{row.seconds:.0f}")
        lines.append(cells + ([f"{row.finished} of {row.jobs}"] if unfinished else []))
    return lines


def _columns(comparison: Comparison) -> Sequence[Column]:
    if comparison.columns:
        return comparison.columns
    return [Column(name, name) for name in dict.fromkeys(name for row in comparison.rows for name in row.metrics)]


def _is_shown(column: Column, rows: Sequence[Row]) -> bool:
    """Whether a row has the metric, with a value that differs from the metric to compare with."""
    found = [row for row in rows if column.metric in row.metrics]
    other = column.unless_near
    if other is None:
        return bool(found)
    pairs = ((row.metrics[column.metric][0], row.metrics.get(other, (0.0, 0.0))[0]) for row in found)
    return any(0 < value < 0.99 * whole for value, whole in pairs)


def _cell(row: Row, column: Column) -> str:
    if column.metric not in row.metrics:
        return "-"
    mean, std = (column.factor * value for value in row.metrics[column.metric])
    spread = f" ± {std:.{column.digits}f}" if row.finished > 1 and std > 0 else ""
    mark = " *" if row.scored_on and column.metric.startswith("test/") else ""
    return f"{mean:,.{column.digits}f}{spread}{mark}"


def to_csv(comparison: Comparison) -> str:
    """Format all metrics of all rows as CSV: mean and standard deviation, unrounded."""
    names = dict.fromkeys(name for row in comparison.rows for name in row.metrics)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    pairs = [f"{name} {what}" for name in names for what in ("mean", "deviation")]
    noted = ["note"] if comparison.notes else []
    writer.writerow([*comparison.varying, "jobs", "finished", "seconds", *pairs, *noted])
    for row in comparison.rows:
        numbers = [value for name in names for value in row.metrics.get(name, ("", ""))]
        writer.writerow([*row.values, row.jobs, row.finished, row.seconds, *numbers, *([row.note] if noted else [])])
    return buffer.getvalue()
