"""The folds of a cross-validation in a sweep, evaluated together."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dcase_sweep.application.outcomes import make_outcome
from dcase_sweep.config import build_task
from dcase_sweep.sweep.job import GridJob, PooledRow
from dcase_sweep.sweep.outcomes import Outcome

log = logging.getLogger(__name__)

#: The key that distinguishes the folds.
FOLD = "data.fold"
#: Replaces the fold in a row: the test clips of all folds evaluated together, or the mean of the folds.
POOLED, MEAN = "pooled", "mean"


def pool_folds(jobs: Sequence[GridJob]) -> list[PooledRow]:
    """Return a row for each set of jobs that differ only in ``data.fold``.

    The test clips of all folds are evaluated together, which differs from the mean of the folds if these have different
    sizes. If the task does not support that, the row is the mean. There is no row for a set with unfinished jobs.

    Args:
        jobs: the jobs of the sweep with their experiments.

    Raises:
        UserError: if the files of a job cannot be read.
    """
    found: list[PooledRow] = []
    sets: dict[tuple[tuple[str, str], ...], list[GridJob]] = {}
    for job in jobs:
        if FOLD in job.values:
            key = tuple((name, value) for name, value in job.values.items() if name != FOLD)
            sets.setdefault(key, []).append(job)
    for key, members in sets.items():
        folds = {job.values[FOLD] for job in members}
        if len(folds) < 2:
            continue
        over = [job for job in members if job.outcome is not None and job.outcome.status == "finished"]
        if len(over) < len(members):
            name = " ".join(f"{each}={value}" for each, value in key)
            log.warning(f"pooled    none{f' for {name}' if name else ''}: {len(over)} of {len(members)} folds finished")
            continue
        found += _pool(over)
    return found


def _pool(jobs: Sequence[GridJob]) -> list[PooledRow]:
    outcomes = [job.outcome for job in jobs if job.outcome is not None]
    folders = [Path(each.folder) for each in outcomes if each.folder is not None]
    result = None
    if len(folders) == len(jobs):
        result = build_task(jobs[0].content).pool(jobs[0].content, folders)
    else:
        log.warning("pooled    the files of earlier runs are on a server, so the row is the mean of the folds")
    if result is None:
        return [PooledRow({**job.values, FOLD: MEAN}, outcome) for job, outcome in zip(jobs, outcomes, strict=True)]
    return [PooledRow({**jobs[0].values, FOLD: POOLED}, _together(outcomes, result.metrics), result.table)]


def _together(outcomes: Sequence[Outcome], metrics: dict[str, float]) -> Outcome:
    """Return the outcome of all folds, with the complexity of the first."""
    first = outcomes[0]
    same = {name: value for name, value in first.metrics.items() if name.startswith("complexity/")}
    seconds = sum(outcome.seconds for outcome in outcomes)
    return replace(make_outcome(same | metrics, first.note, seconds, first.columns), coverage=first.coverage)
