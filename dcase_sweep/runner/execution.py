"""Runs an experiment, from its configuration to its results in MLflow."""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from dcase_sweep import __version__, tracking
from dcase_sweep.complexity.capacity import check_capacity
from dcase_sweep.complexity.networks import measure_complexity
from dcase_sweep.config import Experiment, build, build_task, find_learner, flatten, get_learner
from dcase_sweep.config.path_words import typed_word
from dcase_sweep.evaluation.result import Figures
from dcase_sweep.evaluation.training_figure import training_figure
from dcase_sweep.result import Result
from dcase_sweep.runner.job import Job
from dcase_sweep.runner.records import draw_figures, log_complexity, log_configuration, log_model, log_tables
from dcase_sweep.tasks.columns import list_columns
from dcase_sweep.tasks.compression import begin_compression, conclude_compression
from dcase_sweep.tasks.features import compute_fingerprint, load_features
from dcase_sweep.tasks.notes import describe_note
from dcase_sweep.tasks.protocols import Learner, TaskData
from dcase_sweep.tracking.energy import check_energy, measured_energy
from dcase_sweep.tracking.provenance import signature
from dcase_sweep.training.callbacks import RunCallback, StopTraining
from dcase_sweep.training.checkpoints import FOLDER, LAST
from dcase_sweep.training.device import front_end_device, resolve_device, resolve_precision, use_threads
from dcase_sweep.training.resume import Resumable, find_resumable
from dcase_sweep.utils import console
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import mask_values
from dcase_sweep.utils.signals import Interrupted

log = logging.getLogger(__name__)


#: The file of the learning curves.
TRAINING_FIGURE = "training.png"


@dataclass(frozen=True, slots=True)
class _Trained:
    """What a training came to: metrics of the whole run, and its curves."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)


def run(experiment: Experiment, job: Job, callback: RunCallback | None = None) -> Result:
    """Run a validated experiment: data, features, training and evaluation, with logging.

    Callbacks are called after every epoch and may stop the training. The run then ends as stopped, without evaluation.

    Raises:
        UserError: for an error that the user can correct. The MLflow run, if it has been started, is marked as failed.
        Interrupted: after Ctrl-C or SIGTERM. The run is marked as killed, and the last checkpoint is kept.
    """
    began = time.perf_counter()
    task = build_task(experiment)
    device, resumable = _make_ready(experiment, job)
    _introduce(experiment, job)
    # A run is only resumed if its data are unchanged, so the data are loaded first.
    loaded = _load_to_resume(experiment, job, device) if resumable else None
    mlrun = _start_run(experiment, job, resumable, loaded)
    try:
        if callback is not None:
            callback.on_start(mlrun.id or "")
        data, store = loaded or load_features(experiment, front_end_device(device))
        log_configuration(mlrun, experiment, job, data, compute_fingerprint(data, store))
        use_threads(experiment.hardware)
        learner: Learner = find_learner(experiment)(experiment, data, store.features)
        metrics = log_complexity(mlrun, experiment, len(data.classes))
        dense = begin_compression(task, experiment, data, learner, store.features)
        with measured_energy("training", experiment.tracking, mlrun) as energy:
            trained = _fit(mlrun, learner, experiment, job, resumable, callback, data.classes)
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
        metrics |= results
        log_model(mlrun, experiment, job, data.classes)
        draw_figures(mlrun, result, job)
        mlrun.end("FINISHED")
    except Interrupted as interrupted:
        interrupted.handled()
        mlrun.give_up("KILLED")
        _tell_how_to_resume(job)
        raise
    except StopTraining as stop:
        mlrun.set_tags({"dcase_sweep.stopped": str(stop)})
        mlrun.end("KILLED")
        console.field("stopped", str(stop))
        return Result("stopped", mlrun.name, str(job.folder), mlrun.id, seconds=time.perf_counter() - began)
    except BaseException:
        mlrun.give_up("FAILED")
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
        columns=list_columns(experiment),
    )


@contextmanager
def _shown_in_its_sweep(experiment: Experiment, job: Job) -> Iterator[None]:
    """Show each job of a sweep as a run, including jobs that fail during the checks."""
    try:
        yield
    except UserError:
        if experiment.tracking.parent:
            _start_run(experiment, job, None).give_up("FAILED")
        raise


def _make_ready(experiment: Experiment, job: Job) -> tuple[str, Resumable | None]:
    """Set up the device and the resumption, after all checks that do not need the data."""
    with _shown_in_its_sweep(experiment, job):
        if not _is_shipped(experiment):  # our own loggers need no check, and importing one takes seconds
            find_learner(experiment)
        dataset = build("data", experiment.data)
        if hasattr(dataset, "check_root"):  # for generated recordings, which are written there
            dataset.check_root()
        device = resolve_device(experiment.hardware)
        check_capacity(experiment)
        resumable = find_resumable(experiment)
        build_task(experiment).check_files(experiment)
        tracking.check_loggers(experiment.logger)
        check_energy(experiment.tracking)
    if tracking.logs_to_mlflow(experiment.logger):
        tracking.check_parent(experiment.tracking)
    return device, resumable


def _load_to_resume(experiment: Experiment, job: Job, device: str) -> tuple[TaskData, Any]:
    """Load data and features before the run is resumed, so that errors do not change the interrupted run."""
    with _shown_in_its_sweep(experiment, job):
        return load_features(experiment, front_end_device(device))


def _is_shipped(experiment: Experiment) -> bool:
    """Whether the learner belongs to this package."""
    return get_learner(experiment).startswith("dcase_sweep.training.")


def _introduce(experiment: Experiment, job: Job) -> None:
    hardware = f"{experiment.hardware.accelerator}, {resolve_precision(experiment.hardware)}"
    chosen = f"task {experiment.task.name}, {job.choices.get('model')} on {job.choices.get('data')}"
    console.field("dcase", f"{__version__}: {chosen}, {hardware}, seed {experiment.seed}")


def _start_run(
    experiment: Experiment,
    job: Job,
    resumable: Resumable | None,
    loaded: tuple[TaskData, Any] | None = None,
) -> tracking.AnyRun:
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
        experiment.tracking, name=name, tags=tags, resume_id=run_id, signature=expected, code=Path.cwd()
    )
    return tracking.MultiLoggerRun(run, loggers) if loggers else run


def _fit(
    mlrun: tracking.AnyRun,
    learner: Learner,
    experiment: Experiment,
    job: Job,
    resumable: Resumable | None,
    callback: RunCallback | None,
    classes: Sequence[str],
) -> _Trained:
    """Train with a progress bar over epochs, and log the metrics of each epoch."""
    if experiment.published_checkpoint is not None:
        console.field("training", f"none: the weights of {experiment.published_checkpoint}")
        return _Trained()
    epochs, clips = experiment.training.epochs, learner.clips_per_epoch
    done = float(resumable.epochs if resumable else 0)
    began = previous = time.perf_counter()
    text = ""
    history = resumable.history if resumable else {}
    for epoch, earlier in resumable.metrics_by_epoch().items() if resumable else ():
        mlrun.log_metrics(earlier, step=epoch)  # those that were not written earlier
    with console.progress("training", epochs) as bar:

        def on_batch(count: int) -> None:
            nonlocal done
            done += count / clips
            bar.update(done, text=text)
            mlrun.beat()

        def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
            nonlocal done, previous, text
            now = time.perf_counter()
            metrics_logged = {**metrics, "speed/clips_per_second": clips / (now - previous)}
            mlrun.log_metrics(metrics_logged, step=epoch)
            for name, value in metrics_logged.items():
                history.setdefault(name, {})[epoch] = value
            done, previous = epoch + 1.0, now
            text = learner.headline(metrics)
            bar.update(done, text=text)
            if callback is not None:
                callback.on_epoch(epoch, metrics)

        fitted = learner.fit(
            job.folder / FOLDER,
            # Metrics are buffered for some seconds. Write them before the checkpoint, so that a kill does not lose
            # them.
            extra={
                "run_id": mlrun.id,
                "configuration": mask_values(flatten(experiment)),
                "choices": job.choices,
                "classes": [str(label) for label in classes],
                "history": history,
            },
            on_epoch=on_epoch,
            on_batch=on_batch,
            resume=resumable.checkpoint if resumable else None,
        )
    seconds = time.perf_counter() - began
    mlrun.log_file(fitted.checkpoint, FOLDER)
    kept = f"epoch {fitted.best_epoch + 1} kept ({fitted.metric} {fitted.best_value:.3f})"
    console.field("training", f"{console.pluralize(fitted.epochs, 'epoch')} in {seconds:.1f} s, {kept}")
    metrics = {
        "best/epoch": float(fitted.best_epoch + 1),  # counted from 1, as the line above
        f"best/{fitted.metric}": fitted.best_value,
        "time/training_seconds": seconds,
    }
    drawing = partial(training_figure, history, monitor=fitted.metric, best_epoch=fitted.best_epoch)
    return _Trained(metrics, Figures({TRAINING_FIGURE: drawing}))


def _tell_how_to_resume(job: Job) -> None:
    last = job.folder / FOLDER / LAST
    if last.is_file():
        folder = typed_word("resume", os.path.relpath(last.parent.parent))
        log.info(f"interrupted; to continue: {job.command} {folder}")
    else:
        log.info("interrupted before the first epoch was over: nothing to continue from")
