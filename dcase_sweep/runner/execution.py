"""Runs an experiment, from its configuration to its results in MLflow."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dcase_sweep import tracking
from dcase_sweep.complexity.capacity import check_capacity
from dcase_sweep.complexity.networks import measure_complexity
from dcase_sweep.config import Experiment, build, build_task, find_learner, flatten, get_learner, stores_features
from dcase_sweep.config.path_words import typed_word
from dcase_sweep.data.store import FeatureStore
from dcase_sweep.result import Result
from dcase_sweep.runner.folder import Start, announce, check_source, find_start, hold_folder, read_result, write_result
from dcase_sweep.runner.job import Job
from dcase_sweep.runner.records import draw_figures, log_complexity, log_configuration, log_model, log_tables
from dcase_sweep.runner.training import train
from dcase_sweep.tasks.columns import list_columns
from dcase_sweep.tasks.compression import begin_compression, conclude_compression
from dcase_sweep.tasks.features import compute_fingerprint, load_features, load_waveforms
from dcase_sweep.tasks.notes import describe_note
from dcase_sweep.tasks.protocols import Learner, TaskData
from dcase_sweep.tracking.energy import check_energy, measured_energy
from dcase_sweep.tracking.provenance import signature
from dcase_sweep.training.callbacks import RunCallback, StopTraining
from dcase_sweep.training.checkpoints import FOLDER, LAST
from dcase_sweep.training.device import front_end_device, resolve_device, resolve_precision, use_threads
from dcase_sweep.training.gpu_memory import describe_share
from dcase_sweep.training.resume import Resumable, find_resumable
from dcase_sweep.utils import console
from dcase_sweep.utils.batch import is_requeued
from dcase_sweep.utils.errors import UserError, describe_failure
from dcase_sweep.utils.signals import Interrupted, report_time_limit
from dcase_sweep.utils.time_limit import OutOfTime, TimeLimit, find_deadline, parse_duration, seconds_to_first_epoch

log = logging.getLogger(__name__)


def run(experiment: Experiment, job: Job, callback: RunCallback | None = None) -> Result:
    """Run a validated experiment: data, features, training and evaluation, with logging.

    Callbacks are called after every epoch and may stop the training. The run then ends as stopped, without evaluation.
    A run that finds its own interrupted training in its folder continues it. In a job that was requeued, a run that has
    finished in its folder is not run again.

    Raises:
        UserError: for an error that the user can correct. The MLflow run, if it has been started, is marked as failed.
        Interrupted: after Ctrl-C or SIGTERM. The run is marked as killed, and the last checkpoint is kept.
        SystemExit: likewise, if something within the run raises it. Its code is not 0.
    """
    with hold_folder(job.folder):
        if is_requeued() and (finished := read_result(experiment, job.folder)) is not None:
            console.field("run", f"{finished.name} has finished before this job was requeued; it is not run again")
            return finished
        result = _run(experiment, job, callback)
        if result.status == "finished":
            write_result(experiment, result)
        return result


def _run(experiment: Experiment, job: Job, callback: RunCallback | None) -> Result:
    """Run an experiment in a folder that no other process uses."""
    began = time.perf_counter()
    limit = TimeLimit(_find_deadline(experiment))
    try:
        limit.check(seconds_to_first_epoch(), "a run up to its first epoch")
    except OutOfTime as reason:
        return _end_in_time(job, job.name, None, reason, began)
    device, start = _make_ready(experiment, job, is_trial=callback is not None)
    hardware = experiment.hardware
    precision = resolve_precision(hardware)
    console.field("device", f"{hardware.accelerator}, {precision}")
    if start.resumable and start.resumable.precision not in (None, precision):
        earlier = console.pluralize(start.resumable.epochs, "epoch")
        console.field(
            "device",
            f"the first {earlier} were trained in {start.resumable.precision}, the others will be in {precision}",
        )
    if (share := describe_share(device)) is not None:
        console.field("device", share)
    # A run is only resumed if its data are unchanged, so the data are loaded first.
    loaded = _load_to_resume(experiment, job, device) if start.resumable else None
    if loaded and not is_requeued():
        start = check_source(start, signature(flatten(experiment), compute_fingerprint(*loaded)))
    mlrun = _start_run(experiment, job, start.resumable, loaded)
    try:
        if callback is not None:
            callback.on_start(mlrun.id or "")
        data, store = loaded or load_features(experiment, front_end_device(device))
        announce(start, job.folder)
        clock = _Clock(began, limit)
        metrics = _train_and_evaluate(mlrun, experiment, job, data, store, start.resumable, callback, clock)
        mlrun.end("FINISHED")
    except (Interrupted, KeyboardInterrupt, SystemExit) as interruption:
        if isinstance(interruption, Interrupted):
            interruption.handled()
        mlrun.give_up("KILLED")
        _log_how_to_resume(job)
        if isinstance(interruption, SystemExit) and not interruption.code:
            raise SystemExit(1) from interruption  # what has not finished is no success
        raise
    except StopTraining as stop:
        mlrun.set_tags({"dcase_sweep.stopped": str(stop)})
        mlrun.end("KILLED")
        console.field("stopped", str(stop))
        return Result("stopped", mlrun.name, str(job.folder), mlrun.id, seconds=time.perf_counter() - began)
    except OutOfTime as reason:
        mlrun.give_up("KILLED")
        return _end_in_time(job, mlrun.name, mlrun.id, reason, began)
    except BaseException as error:
        mlrun.give_up("FAILED", describe_failure(error))
        raise
    console.field("run", f"{' · '.join(filter(None, [mlrun.name, mlrun.id, os.path.relpath(job.folder)]))}")
    return Result(
        "finished",
        mlrun.name,
        str(job.folder),
        mlrun.id,
        metrics,
        seconds=time.perf_counter() - began,
        note=describe_note(data),
        columns=list_columns(experiment, metrics),
    )


@dataclass(frozen=True, slots=True)
class _Clock:
    """When a run began, by ``time.perf_counter``, and the end of its time."""

    began: float
    limit: TimeLimit


def _find_deadline(experiment: Experiment) -> float | None:
    limit = experiment.hardware.time_limit
    return find_deadline(None if limit is None else parse_duration(limit))


def _end_in_time(job: Job, name: str, run_id: str | None, reason: OutOfTime, began: float) -> Result:
    """End a run as interrupted before its time limit. submitit requeues its job as after a warning of the limit."""
    log.info(f"{reason}")
    _log_how_to_resume(job)
    report_time_limit()
    seconds = time.perf_counter() - began
    return Result("interrupted", name, str(job.folder), run_id, seconds=seconds, error=str(reason))


def _train_and_evaluate(
    mlrun: tracking.AnyRun,
    experiment: Experiment,
    job: Job,
    data: TaskData,
    store: FeatureStore,
    resumable: Resumable | None,
    callback: RunCallback | None,
    clock: _Clock,
) -> dict[str, float]:
    """Train and evaluate the network, log everything, and return the metrics."""
    task = build_task(experiment)
    fingerprint = compute_fingerprint(data, store)
    log_configuration(mlrun, experiment, job, data, fingerprint)
    use_threads(experiment.hardware)
    given = {} if stores_features(experiment) else {"waveforms": load_waveforms(experiment, data)}
    learner: Learner = find_learner(experiment)(experiment, data, store.features, **given)
    metrics = log_complexity(mlrun, experiment, len(data.classes))
    dense = begin_compression(task, experiment, data, learner, store.features)
    with measured_energy("training", experiment.tracking, mlrun) as energy:
        trained = train(
            mlrun,
            learner,
            experiment,
            job,
            resumable,
            callback,
            data.classes,
            signature=signature(flatten(experiment), fingerprint),
            limit=clock.limit,
            began=clock.began,
        )
    metrics |= energy
    evaluation_began = time.perf_counter()
    with measured_energy("evaluation", experiment.tracking, mlrun) as energy:
        result = task.evaluate(experiment, data, learner, store.features)
    metrics |= energy
    result = replace(result, figures=trained.figures | result.figures)
    results = trained.metrics | result.metrics | {"time/evaluation_seconds": time.perf_counter() - evaluation_began}
    log_tables(mlrun, result, job)
    results |= conclude_compression(experiment, measure_complexity(learner.layers(), experiment), dense, result)
    mlrun.log_metrics({name: value for name, value in results.items() if result.is_logged(name)})
    log_model(mlrun, experiment, job, data.classes)
    metrics |= results
    if _draws_figures(experiment, callback, metrics):
        draw_figures(mlrun, result, job)
    return metrics


def _draws_figures(experiment: Experiment, callback: RunCallback | None, metrics: Mapping[str, float]) -> bool:
    """Whether the run draws its figures. Those of a trial take as long as everything else beside its training."""
    wanted = experiment.tracking.figures
    return wanted == "all" or (wanted == "auto" and (callback is None or callback.draws_figures(metrics)))


@contextmanager
def _shown_in_its_sweep(experiment: Experiment, job: Job) -> Iterator[None]:
    """Show each job of a sweep as a run, including jobs that fail during the checks."""
    try:
        yield
    except UserError as error:
        if experiment.tracking.parent:
            _start_run(experiment, job, None).give_up("FAILED", describe_failure(error))
        raise


def _make_ready(experiment: Experiment, job: Job, *, is_trial: bool) -> tuple[str, Start]:
    """Set up the device and the resumption, after all checks that do not need the data."""
    with _shown_in_its_sweep(experiment, job):
        if not _is_shipped(experiment):  # our own loggers need no check, and importing one takes seconds
            find_learner(experiment)
        dataset = build("data", experiment.data)
        if hasattr(dataset, "check_root"):  # for generated recordings, which are written there
            dataset.check_root()
        device = resolve_device(experiment.hardware)
        if not is_trial:  # checked before the trial began
            check_capacity(experiment)
        start = find_start(experiment, job.folder, find_resumable(experiment), is_trial=is_trial)
        build_task(experiment).check_files(experiment)
        tracking.check_loggers(experiment.logger)
        check_energy(experiment.tracking)
    if tracking.logs_to_mlflow(experiment.logger):
        tracking.check_parent(experiment.tracking)
    return device, start


def _load_to_resume(experiment: Experiment, job: Job, device: str) -> tuple[TaskData, FeatureStore]:
    """Load data and features before the run is resumed, so that errors do not change the interrupted run."""
    with _shown_in_its_sweep(experiment, job):
        return load_features(experiment, front_end_device(device))


def _is_shipped(experiment: Experiment) -> bool:
    """Whether the learner belongs to this package."""
    return get_learner(experiment).startswith("dcase_sweep.training.")


def _start_run(
    experiment: Experiment,
    job: Job,
    resumable: Resumable | None,
    loaded: tuple[TaskData, FeatureStore] | None = None,
) -> tracking.AnyRun:
    # Tags, too: a job that fails before its data are loaded has no parameters.
    tags = {f"dcase_sweep.{group}": choice for group, choice in job.choices.items()}
    tags["dcase_sweep.command"] = job.command
    name = experiment.tracking.run_name or job.name
    run_id = resumable.run_id if resumable else None
    if resumable:  # for a new run, if the earlier one cannot be resumed: code or data may differ from its first epochs
        tags[tracking.CONTINUED] = run_id or "unknown"
    expected = signature(flatten(experiment), compute_fingerprint(*loaded)) if loaded else None
    loggers = tracking.build_loggers(experiment.logger, job.folder)
    if not tracking.logs_to_mlflow(experiment.logger):
        return tracking.MultiLoggerRun(tracking.UntrackedRun(name, job.folder), loggers)
    run = tracking.start_run(
        experiment.tracking,
        name=name,
        tags=tags,
        resume_id=run_id,
        signature=expected,
        code=Path.cwd(),
        folder=job.folder,
        continued=resumable.checkpoint.parent.parent if resumable else None,
    )
    return tracking.MultiLoggerRun(run, loggers) if loggers else run


def _log_how_to_resume(job: Job) -> None:
    last = job.folder / FOLDER / LAST
    if last.is_file():
        folder = typed_word("resume", os.path.relpath(last.parent.parent))
        log.info(f"interrupted; to continue: {job.command} {folder}")
    else:
        log.info("interrupted before the first epoch was over: nothing to continue from")
