"""Continuation of the jobs of an interrupted sweep, and of an interrupted trial of a search.

Jobs are identified by the configurations in their checkpoints, not by the numbers of their folders, because a sweep
that skips finished jobs numbers the others from 0 again. A job continues in its own folder; a job that was not started
gets an unused number.
"""

import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import Enum, auto
from pathlib import Path

from dcase_sweep import tracking
from dcase_sweep.application.outcomes import make_outcome
from dcase_sweep.config import Experiment
from dcase_sweep.config.resumed import SWEEP, is_sweep_folder
from dcase_sweep.evaluation.result import METRICS_FILE
from dcase_sweep.sweep.application import Continuation
from dcase_sweep.sweep.job import PreparedJob
from dcase_sweep.sweep.outcomes import Outcome
from dcase_sweep.training.checkpoint_files import Checkpoint, is_run_id, read_checkpoint
from dcase_sweep.training.checkpoints import FOLDER, LAST, RESULT
from dcase_sweep.training.resume import describe_changes, find_changes, find_resumable
from dcase_sweep.utils.batch import is_requeued
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import whole_file
from dcase_sweep.utils.leases import claim
from dcase_sweep.utils.overrides import escape_interpolation, quote

log = logging.getLogger(__name__)


class Continues(Enum):
    """How a sweep continues the one of its folder."""

    #: Because ``resume`` names the folder: each checkpoint there must belong to a job.
    NAMED = auto()
    #: Because the folder has a sweep: interrupted jobs continue, finished ones are run again in another folder.
    FOUND = auto()
    #: Because the command was requeued by its batch system: finished jobs are not run again.
    REQUEUED = auto()
    #: Because jobs of an earlier command were still running there: jobs that have finished are not run again.
    ATTACHED = auto()


def choose_continuation(named: Path | None, folder: Path) -> Continues | None:
    """Return how a sweep continues the one of its folder; None if the folder has none.

    Args:
        named: the folder that ``resume`` names.
        folder: the folder of the sweep.
    """
    if named is not None:
        return Continues.NAMED
    if not is_sweep_folder(folder):
        return None
    return Continues.REQUEUED if is_requeued() else Continues.FOUND


def check_ended(folder: Path, how: Continues) -> None:
    """Check that no command runs the sweep of a folder.

    Raises:
        UserError: if one does.
    """
    key = "resume" if how is Continues.NAMED else "hydra.sweep.dir"
    with claim(folder / SWEEP) as is_free:
        if not is_free:
            raise UserError(f"{key}={folder}: the sweep is still running; wait for its end, or stop it first")


def continue_jobs(experiments: Sequence[Experiment], folder: Path, how: Continues = Continues.NAMED) -> Continuation:
    """Find the checkpoint of each job of a sweep.

    Args:
        experiments: the experiments of the jobs, in the order of the sweep.
        folder: folder of the sweep.
        how: why the sweep is continued.

    Returns:
        For each job the overrides that resume it or give it an unused folder, and the ID of the run of the sweep.

    Raises:
        UserError: in a folder that the user names, if a checkpoint cannot be read or belongs to no job.
    """
    found: dict[int, tuple[int, Path]] = {}
    parents: Counter[str] = Counter()
    finished, others = 0, []
    for path in sorted(folder.rglob(f"{FOLDER}/{LAST}")):
        is_finished = how is not Continues.NAMED and path.with_name(RESULT).is_file()
        finished += is_finished
        if is_finished and how is Continues.FOUND:
            continue
        try:
            checkpoint = _read(path)
            position = _find_job(checkpoint, experiments)
        except UserError as error:
            if how is Continues.NAMED:
                raise
            others.append(str(error))
            continue
        parent = checkpoint.configuration.get("tracking.parent")
        parents.update([parent] if isinstance(parent, str) and is_run_id(parent) else [])
        if is_finished:
            continue
        attempt = (checkpoint.epoch or 0, path.parent.parent)
        found[position] = max(found.get(position, attempt), attempt)  # the attempt with more epochs
    if how is not Continues.NAMED:
        _announce(folder, finished, len(found), others)
    numbers = _unused_numbers(folder, len(experiments))
    jobs = []
    for position in range(len(experiments)):
        _, place = found.get(position, (0, None))
        jobs.append(_overrides(place, folder, position, numbers))
    return Continuation(jobs, parents.most_common(1)[0][0] if parents else None)


def _announce(folder: Path, finished: int, interrupted: int, others: Sequence[str]) -> None:
    """Say what a sweep finds in its folder."""
    log.info(
        f"folder    {folder} has jobs of an earlier command: {finished} finished, {interrupted} continued from the "
        "last epoch"
    )
    if others:
        count = pluralize(len(others), "checkpoint")
        log.info(f"folder    {count} of other jobs there stay; no job of this sweep uses their folders: {others[0]}")


def find_results(experiments: Sequence[Experiment], folder: Path) -> list[tuple[str, Outcome] | None]:
    """Return the name and the outcome of each job that has finished in the folder of its sweep, or None."""
    from dcase_sweep.runner.folder import find_results

    places = [path.parent.parent for path in sorted(folder.rglob(f"{FOLDER}/{RESULT}"))]
    return [
        None
        if result is None
        else (
            " · ".join(filter(None, [result.name, result.run_id])),
            make_outcome(result.metrics, result.note, result.seconds, result.columns, os.path.relpath(result.folder)),
        )
        for result in find_results(experiments, places)
    ]


def resume_trial(job: PreparedJob, folder: str) -> tuple[PreparedJob, int]:
    """Continue the run in a folder from its last epoch.

    Returns:
        The job and the number of completed epochs.

    Raises:
        UserError: if the folder has no checkpoint, or one of another experiment.
    """
    if not Path(folder).is_dir():  # the folder of the search may have another place now
        parts = Path(folder).parts  # the trial's, or the trial's and the seed's
        places = [Path(job.config.hydra.sweep.dir, *parts[-depth:]) for depth in (2, 1)]
        folder = next((str(place) for place in places if place.is_dir()), folder)
    experiment = replace(job.content, resume=folder)
    found = find_resumable(experiment)
    assert found is not None
    job.config.resume = escape_interpolation(folder)
    return replace(job, content=experiment), found.epochs


def fetch_checkpoint(job: PreparedJob, run_id: str) -> str | None:
    """Copy the last checkpoint of a run from its artifacts to the folder of the job that continues it.

    Returns:
        The folder; None if the run has logged none (``tracking.last_checkpoint``).
    """
    settings = job.content.tracking
    if not is_run_id(run_id) or not tracking.logs_to_mlflow(job.content.logger):
        return None
    run = tracking.find_run(settings, run_id)
    if run is None:
        return None
    folder = Path(job.config.hydra.sweep.dir, str(job.config.hydra.sweep.subdir))
    target = folder / FOLDER / LAST
    with tempfile.TemporaryDirectory() as temporary:
        found = run.fetch(f"{FOLDER}/{LAST}", Path(temporary))
        if found is None:
            return None
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as written:
            shutil.copyfile(found, written)
    return str(folder)


def _read(path: Path) -> Checkpoint:
    expected = f"{LAST} of an interrupted job; remove it, so that the job starts again"
    return read_checkpoint(path, where=f"resume={path}", what="a checkpoint to continue from", expected=expected)


def _find_job(checkpoint: Checkpoint, experiments: Sequence[Experiment]) -> int:
    """Find the job of a checkpoint.

    Raises:
        UserError: if there is none, with the differences from the most similar one.
    """
    nearest = None
    for position, experiment in enumerate(experiments):
        changes = find_changes(checkpoint.configuration, experiment)
        if not changes:
            return position
        if nearest is None or len(changes) < len(nearest):
            nearest = changes
    raise UserError(
        f"resume={checkpoint.path}: made by another configuration ({describe_changes(nearest or [])}); expected "
        "that of a job of this sweep"
    )


def _unused_numbers(folder: Path, jobs: int) -> Iterator[int]:
    """Yield numbers that no folder has, starting after those of the jobs."""
    number = jobs
    while True:
        if not (folder / str(number)).exists():
            yield number
        number += 1


def _overrides(place: Path | None, folder: Path, position: int, numbers: Iterator[int]) -> list[str]:
    """Return the overrides of one job. A job without a checkpoint gets its own number unless that folder is in use."""
    if place is not None:
        relative = place.relative_to(folder).as_posix()
        return [f"resume={quote(str(place))}", f"hydra.sweep.subdir={quote(relative)}"]
    own = folder / str(position)
    is_used = (own / FOLDER).exists() or (own / METRICS_FILE).exists()
    return [f"hydra.sweep.subdir={next(numbers) if is_used else position}"]
