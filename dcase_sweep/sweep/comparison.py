"""One table that compares the jobs of a sweep: what varies, and mean ± deviation over seeds."""

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dcase_sweep.utils.text import printable

#: Headline metrics and how they are shown: name, title, factor, digits.
COLUMNS = (
    ("test/accuracy", "accuracy %", 100.0, 1),
    ("test/log_loss", "log loss", 1.0, 3),
    ("test/teacher/psds_score_scenario1", "PSDS 1", 1.0, 3),
    ("test/teacher/psds_score_scenario2", "PSDS 2", 1.0, 3),
    ("test/student/psds_score_scenario1", "student's PSDS 1", 1.0, 3),
    ("test/student/psds_score_scenario2", "student's PSDS 2", 1.0, 3),
    ("test/teacher/event_f1_macro", "collar F1 %", 100.0, 1),
    ("test/teacher/intersection_f1_macro", "intersection F1 %", 100.0, 1),
    ("best/validation/accuracy", "validation %", 100.0, 1),
    ("best/validation/objective", "validation", 1.0, 3),
    ("complexity/parameters", "parameters", 1.0, 0),
    ("complexity/nonzero_parameters", "non-zero", 1.0, 0),
    ("complexity/nonzero_kib_16bit", "KiB at 16 bit", 1.0, 1),
    ("compression/accuracy_lost", "points lost", 1.0, 1),
    ("energy/training_kwh", "training Wh", 1e3, 2),
)
#: Characters of a value that the table shows; the CSV file holds all of them.
_LONGEST = 80
#: What is shown only where pruning made some parameters zero: else it is the column of the parameters once more.
_PRUNED = ("complexity/nonzero_parameters",)


@dataclass(frozen=True, slots=True)
class Entry:
    """One job: its overrides and, if it finished, its metrics."""

    overrides: dict[str, str]
    status: str
    metrics: dict[str, float]
    seconds: float = 0.0
    #: What must stand beside its metrics.
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Jobs that differ in their seed alone."""

    values: tuple[str, ...]
    jobs: int
    finished: int
    #: Metric → mean and standard deviation (of the sample; 0 for one job) over the finished jobs.
    metrics: dict[str, tuple[float, float]]
    seconds: float
    note: str | None = None
    #: How many clips of the test set the job with the fewest of them was scored on, where that is not all: 3 of 4.
    scored_on: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The jobs of a sweep, grouped."""

    #: The overrides that differ between jobs, the seed left out.
    varying: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What must stand above the rows; which of them, where it is not all."""
        noted = [row.note for row in self.rows if row.finished]
        lines = []
        for note in dict.fromkeys(filter(None, noted)):
            where = [str(number) for number, row in enumerate(self.rows, start=1) if row.note == note]
            rows = f"row{'s' if len(where) > 1 else ''} {', '.join(where)}: "
            lines.append(note if len(where) == len(noted) else rows + note)
        return tuple(lines)


def compare(entries: Sequence[Entry]) -> Comparison:
    """Group jobs by everything that varies but the seed, in the order in which they first occur."""
    keys = dict.fromkeys(key for entry in entries for key in entry.overrides)
    differing = [key for key in keys if len({entry.overrides.get(key) for entry in entries}) > 1]
    varying = tuple(key for key in differing if key != "seed")
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(tuple(entry.overrides.get(key, "") for key in varying), []).append(entry)
    return Comparison(varying, tuple(_row(values, group) for values, group in groups.items()))


def _row(values: tuple[str, ...], group: Sequence[Entry]) -> Row:
    finished = [entry for entry in group if entry.status == "finished"]
    names = dict.fromkeys(name for entry in finished for name in entry.metrics)
    metrics = {}
    for name in names:
        metrics[name] = _mean_and_deviation([entry.metrics[name] for entry in finished if name in entry.metrics])
    seconds = statistics.fmean(entry.seconds for entry in finished) if finished else math.nan
    note = next((entry.note for entry in finished if entry.note), None)
    return Row(values, len(group), len(finished), metrics, seconds, note, _scored_on(finished))


def _mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and the standard deviation of a sample, of which one value has none.

    NumPy is not worth its import: `--help` and `--cfg job` come by here.
    """
    mean = statistics.fmean(values)
    squares = sum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else 0.0


def _scored_on(entries: Sequence[Entry]) -> str | None:
    """The smallest part of the test set, where a job says that it was scored on a part."""
    parts = [
        (entry.metrics["test/clips_scored"], entry.metrics["test/clips_listed"])
        for entry in entries
        if entry.metrics.get("test/clips_scored", 0) < entry.metrics.get("test/clips_listed", 0)
    ]
    if not parts:
        return None
    scored, listed = min(parts, key=lambda part: part[0] / part[1])
    return f"{scored:,.0f} of {listed:,.0f}"


def table(comparison: Comparison) -> str:
    """Plain text, a row a configuration; above it what must be known of the results."""
    several = any(row.jobs > 1 for row in comparison.rows)
    unfinished = any(row.finished < row.jobs for row in comparison.rows)
    shown = [column for column in COLUMNS if any(column[0] in row.metrics for row in comparison.rows)]
    if not any(_is_pruned(row) for row in comparison.rows):
        shown = [column for column in shown if column[0] not in _PRUNED]
    header = [*comparison.varying, *(["seeds"] if several else []), *(column[1] for column in shown), "seconds"]
    header += ["finished"] if unfinished else []
    lines = [header]
    for row in comparison.rows:
        cells = [*(printable(value, _LONGEST) for value in row.values), *([str(row.jobs)] if several else [])]
        cells += [_cell(row, name, factor, digits) for name, _, factor, digits in shown]
        cells.append("-" if math.isnan(row.seconds) else f"{row.seconds:.0f}")
        lines.append(cells + ([f"{row.finished} of {row.jobs}"] if unfinished else []))
    parts = list(dict.fromkeys(row.scored_on for row in comparison.rows if row.scored_on))
    note = f"\n* scored on {', '.join(parts)} clips: not comparable with a score on all of them" if parts else ""
    return "\n".join([*comparison.notes, _aligned(lines, left=len(comparison.varying))]) + note


def _is_pruned(row: Row) -> bool:
    """Whether a hundredth of the parameters is zero: single ones are by chance."""
    left, all_of_them = (
        row.metrics.get(f"complexity/{name}", (0.0,))[0] for name in ("nonzero_parameters", "parameters")
    )
    return 0 < left < 0.99 * all_of_them


def _cell(row: Row, name: str, factor: float, digits: int) -> str:
    if name not in row.metrics:
        return "-"
    mean, deviation = (factor * value for value in row.metrics[name])
    spread = f" ± {deviation:.{digits}f}" if row.finished > 1 and deviation > 0 else ""
    mark = " *" if row.scored_on and name.startswith("test/") else ""
    return f"{mean:,.{digits}f}{spread}{mark}"


def _aligned(lines: Sequence[Sequence[str]], left: int) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = [
        "  ".join(cell.ljust(width) if column < left else cell.rjust(width) for column, (cell, width) in pairs).rstrip()
        for pairs in ([*enumerate(zip(line, widths, strict=True))] for line in lines)
    ]
    text.insert(1, "-" * max(len(line) for line in text))
    return "\n".join(text)


def to_csv(comparison: Comparison) -> str:
    """All metrics of all rows, mean and standard deviation, unrounded."""
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
