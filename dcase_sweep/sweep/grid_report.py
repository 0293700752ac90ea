"""What a sweep over all combinations leaves: the outcomes of its jobs, their comparison, and files."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from hydra.core.utils import JobReturn

from dcase_sweep.sweep.application import Application, Record
from dcase_sweep.sweep.comparison import Comparison, Entry, compare, table, to_csv
from dcase_sweep.sweep.job import GridJob, PooledRow
from dcase_sweep.sweep.launchers import JobFailed, JobLost, is_stopped_job
from dcase_sweep.sweep.lost_jobs import find_error
from dcase_sweep.sweep.outcomes import Outcome
from dcase_sweep.sweep.summary import draw_comparison, summarise, to_markdown
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.secrets import mask_word
from dcase_sweep.utils.text_table import terminal_width

log = logging.getLogger(__name__)

#: The figure of a comparison; by its name it comes before the tables in a list.
FIGURE = "comparison-figure.png"


@dataclass(frozen=True, slots=True)
class Failures:
    """The jobs that have not finished, one line each."""

    failed: list[str]
    interrupted: list[str]


def report(
    application: Application,
    record: Record,
    jobs: Sequence[GridJob],
    results: Mapping[int, JobReturn],
    folder: Path,
    finished: Sequence[GridJob] = (),
    status: str | None = None,
) -> Failures:
    """Compare the finished jobs; the others count as not finished.

    Args:
        application: the application of the jobs.
        record: the record of the sweep.
        jobs: the jobs that were run.
        results: the result of each job that has ended, by its position.
        folder: the folder of the sweep.
        finished: jobs that finished earlier.
        status: status of the record; None = failed if any job has failed.
    """
    run = [
        replace(job, outcome=read_outcome(application, results[number])) if number in results else job
        for number, job in enumerate(jobs)
    ]
    failures = Failures(_list_errors(run, "failed"), _list_errors(run, "interrupted"))
    pooled = _pool(application, [*finished, *run])
    entries = [_entry(job.values, job.outcome) for job in [*finished, *run]]
    together = [_entry(each.values, each.outcome) for each in pooled]
    comparison = compare([*entries, *together])
    _save(record, comparison, pooled, folder)
    # A fold is a part of the test set: the best one is the easiest one.
    record.log_metrics(summarise(together or entries))
    if status or failures.interrupted:
        record.give_up(status or "KILLED")
    else:
        record.end("FAILED" if failures.failed else "FINISHED")
    log.info(f"\n{table(comparison, terminal_width())}\n")
    done = len(results) - len(failures.failed) - len(failures.interrupted) + len(finished)
    wanted = len(jobs) + len(finished)
    log.info(f"sweep     {done} of {wanted} jobs finished, {os.path.relpath(folder)}")
    if record.command:
        log.info(f"compare   {record.command}")
    if record.link:
        log.info(f"page      {record.link}")
    return failures


def read_outcome(application: Application, result: JobReturn) -> Outcome:
    """Read the outcome of a job. An error may come from the task function or from the launcher."""
    error = find_error(result)
    if error is not None:
        status: Literal["failed", "interrupted"] = "interrupted" if is_stopped_job(error) else "failed"
        kind = "" if isinstance(error, JobLost | JobFailed) else f"{type(error).__name__}: "
        return Outcome(status, error=f"{kind}{' '.join(str(error).split())}")
    try:
        return application.read_outcome(result.return_value)
    except UserError as unusable:
        return Outcome("failed", error=str(unusable))


def _pool(application: Application, jobs: Sequence[GridJob]) -> list[PooledRow]:
    """Return the rows for several jobs together. An error is only logged."""
    try:
        return application.pool(jobs)
    except UserError as error:
        log.warning(f"pooled    none: {error}")
        return []


def _list_errors(jobs: Sequence[GridJob], status: str) -> list[str]:
    """Describe the jobs that ended in this way, one line each."""
    return [
        f"{' '.join(map(mask_word, job.overrides))}: {job.outcome.error}"
        for job in jobs
        if job.outcome is not None and job.outcome.status == status
    ]


def _entry(values: dict[str, str], outcome: Outcome | None) -> Entry:
    if outcome is None:
        return Entry(values, "interrupted", {})
    return Entry(
        values,
        outcome.status,
        dict(outcome.metrics),
        outcome.seconds,
        outcome.note,
        outcome.coverage,
        outcome.columns,
    )


def _save(record: Record, comparison: Comparison, pooled: Sequence[PooledRow], folder: Path) -> None:
    record.describe(comparison.notes, to_markdown(comparison))
    files = {"comparison.txt": table(comparison) + "\n", "comparison.csv": to_csv(comparison)}
    reports = [f"{_describe(each.values)}\n\n{each.report}\n" for each in pooled if each.report]
    if reports:
        files["pooled.txt"] = "\n\n".join(reports)
    for name, text in files.items():
        write_text(folder / name, text)
        record.log_text(text, name)
    if len(pooled) == 1:
        found = pooled[0].outcome.metrics
        shown = [column.metric for column in pooled[0].outcome.columns if column.metric.startswith("test/")]
        record.log_metrics({f"pooled/{name}": found[name] for name in shown if name in found})
    try:
        figure = draw_comparison(comparison, folder / FIGURE)
    except Exception as error:  # what cannot be drawn costs a line, not the sweep
        log.warning(f"note      {FIGURE} cannot be drawn: {type(error).__name__}: {str(error).splitlines()[:1]}")
        return
    if figure is not None:
        record.log_file(figure, None)


def _describe(values: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in values.items())
