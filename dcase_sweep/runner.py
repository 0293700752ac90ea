"""Runs an experiment, from its configuration to its results in MLflow."""

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcase_sweep import __version__, tracking
from dcase_sweep.complexity.capacity import check_capacity
from dcase_sweep.complexity.networks import (
    complexity_before_training,
    cost_metrics,
    describe_limit,
    measure_complexity,
    within_limit,
)
from dcase_sweep.complexity.report import complexity_table
from dcase_sweep.complexity.rules import RULES
from dcase_sweep.config import Experiment, build, build_task, find_learner, flatten, get_learner
from dcase_sweep.config.path_words import typed_word
from dcase_sweep.evaluation.figures import save_figure
from dcase_sweep.evaluation.result import METRICS_FILE, EvaluationResult
from dcase_sweep.result import Result
from dcase_sweep.tasks.columns import list_columns
from dcase_sweep.tasks.compression import begin_compression, conclude_compression
from dcase_sweep.tasks.features import compute_fingerprint, load_features
from dcase_sweep.tasks.notes import describe_note, describe_tags
from dcase_sweep.tasks.protocols import Learner, TaskData
from dcase_sweep.tracking.energy import check_energy, measured_energy
from dcase_sweep.tracking.provenance import signature
from dcase_sweep.training.callbacks import RunCallback, StopTraining
from dcase_sweep.training.checkpoints import BEST, FOLDER, LAST
from dcase_sweep.training.device import resolve_device, resolve_precision, use_threads
from dcase_sweep.training.resume import Resumable, find_resumable
from dcase_sweep.utils import console
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.secrets import mask_values
from dcase_sweep.utils.signals import Interrupted

log = logging.getLogger(__name__)

#: What varies in a sweep and needs no key beside its value.
_NAMED_BY_VALUE = ("model", "experiment")


@dataclass(frozen=True, slots=True)
class Job:
    """The circumstances of a run: its folder, and how it was requested."""

    #: Folder of checkpoints, tables and figures.
    folder: Path
    #: Choices of the groups: model → cnn5.
    choices: dict[str, str]
    #: Overrides on the command line.
    overrides: tuple[str, ...] = ()
    #: Keys that vary between the jobs of a sweep.
    varying: tuple[str, ...] = ()
    #: The composed configuration as YAML.
    composed: str = ""
    #: The command line without ``resume``.
    command: str = "python -m dcase_sweep"

    @property
    def name(self) -> str:
        """Name of the run: choices and overrides, such as ``cnn5 seed=1``. Locations are included only if they vary.

        The name of a sweep's job contains only what varies. The file of an experiment, which may change the whole
        model, replaces the name of the model.
        """
        if self.varying:
            return self._name_in_sweep()
        first = "experiment" if self.choices.get("experiment") else "model"
        hidden = (
            f"{first}=",
            "+experiment",
            "data=",
            "data.root",
            "data.name",
            "hardware",
            "tracking",
            "logger",
            "store",
            "hydra",
            "resume",
        )
        shown = set(self.varying) - {first}  # which is the first part of the name
        rest = [
            override.removeprefix("++")
            for override in self.overrides
            if not override.startswith(hidden) or override.partition("=")[0].lstrip("+") in shown
        ]
        return " ".join([self.choices.get(first) or "run", *rest])[:250]

    def _name_in_sweep(self) -> str:
        """The values of what varies: a group's by itself, a key's with its last parts, seeds last."""
        values = {}
        for override in self.overrides:
            key, _, value = override.lstrip("+").partition("=")
            values[key] = value.strip("'\"")
        parts = []
        for key in sorted((key for key in self.varying if key in values), key=lambda key: key == "seed"):
            shown = values[key] if key in _NAMED_BY_VALUE else f"{_shorten(key, self.varying)}={values[key]}"
            parts.append(shown)
        return (" ".join(parts) or self.choices.get("model") or "run")[:250]


def _shorten(key: str, others: Sequence[str]) -> str:
    """The last part of a key, with as many before it as tell it from the other keys."""
    parts = key.split(".")
    for count in range(1, len(parts)):
        short = ".".join(parts[-count:])
        if not any(other != key and (other == short or other.endswith("." + short)) for other in others):
            return short
    return key


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
        data, store = loaded or load_features(experiment, device)
        _log_configuration(mlrun, experiment, job, data, compute_fingerprint(data, store))
        use_threads(experiment.hardware)
        learner: Learner = find_learner(experiment)(experiment, data, store.features)
        metrics = _log_complexity(mlrun, experiment, len(data.classes))
        dense = begin_compression(task, experiment, data, learner, store.features)
        with measured_energy("training", experiment.tracking, mlrun) as energy:
            results = _fit(mlrun, learner, experiment, job, resumable, callback, data.classes)
        metrics |= energy
        evaluation_began = time.perf_counter()
        with measured_energy("evaluation", experiment.tracking, mlrun) as energy:
            result = task.evaluate(experiment, data, learner, store.features)
        metrics |= energy
        results |= result.metrics | {"time/evaluation_seconds": time.perf_counter() - evaluation_began}
        _log_tables(mlrun, result, job)
        results |= conclude_compression(experiment, measure_complexity(learner.layers(), experiment), dense, result)
        mlrun.log_metrics({name: value for name, value in results.items() if result.is_logged(name)})
        metrics |= results
        _log_model(mlrun, experiment, job, data.classes)
        _draw_figures(mlrun, result, job)
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
        return load_features(experiment, device)


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


def _log_configuration(
    mlrun: tracking.AnyRun, experiment: Experiment, job: Job, data: TaskData, fingerprint: str
) -> None:
    parameters = flatten(experiment)
    parameters |= {group: choice for group, choice in job.choices.items() if group not in parameters}
    parameters["data.fingerprint"] = fingerprint
    hidden = ("tracking.", "logger.", "store.", "resume")
    mlrun.log_parameters(
        mask_values({key: value for key, value in parameters.items() if not key.startswith(hidden)}),
        {tracking.SIGNATURE: signature(flatten(experiment), fingerprint), **describe_tags(data)},
    )
    mlrun.log_data(data.name, fingerprint, str(data.root))
    mlrun.log_text(job.composed, "config.yaml")


def _log_complexity(mlrun: tracking.AnyRun, experiment: Experiment, classes: int) -> dict[str, float]:
    """Log the complexity of the network before training, with all parameters non-zero."""
    complexity = complexity_before_training(experiment, classes)
    kept = within_limit(complexity, experiment)
    size = f"{complexity.size_kib(16):.2f} KiB at 16 bit{describe_limit(kept, experiment)}"
    peak = complexity.peak_activation_bytes(16) / 1024
    activations = f", {peak:,.1f} KiB of activations at 16 bit" if peak else ""
    console.field(
        "model",
        f"{complexity.parameters:,} parameters, {size}, "
        f"{complexity.multiply_accumulates / 1e6:.1f} MMAC a clip{activations}",
    )
    table = complexity_table(complexity, rules=RULES if kept else ())
    mlrun.log_text(table + "\n", "complexity.txt")
    metrics = cost_metrics(complexity) | kept
    mlrun.log_metrics(metrics)
    mlrun.flush()  # must not delay the results of a long training
    return metrics


def _fit(
    mlrun: tracking.AnyRun,
    learner: Learner,
    experiment: Experiment,
    job: Job,
    resumable: Resumable | None,
    callback: RunCallback | None,
    classes: Sequence[str],
) -> dict[str, float]:
    """Train with a progress bar over epochs, and log the metrics of each epoch."""
    if experiment.published_checkpoint is not None:
        console.field("training", f"none: the weights of {experiment.published_checkpoint}")
        return {}
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
    return {
        "best/epoch": float(fitted.best_epoch + 1),  # counted from 1, as the line above
        f"best/{fitted.metric}": fitted.best_value,
        "time/training_seconds": seconds,
    }


def _log_tables(mlrun: tracking.AnyRun, result: EvaluationResult, job: Job) -> None:
    everything = json.dumps(result.metrics, indent=2) + "\n"
    for name, text in {**result.files, METRICS_FILE: everything}.items():
        write_text(job.folder / name, text)
        mlrun.log_text(text, name)
    for name, write in result.writers.items():
        write(job.folder / name)
        mlrun.log_file(job.folder / name)
    log.info(f"\n{result.table}\n")


def _log_model(mlrun: tracking.AnyRun, experiment: Experiment, job: Job, classes: Sequence[str]) -> None:
    """Log the network as an MLflow model; one that cannot be logged costs a line, not the run."""
    checkpoint = job.folder / FOLDER / BEST
    if not experiment.tracking.model or mlrun.id is None or not checkpoint.is_file():
        return
    from dcase_sweep.inference.packaging import package_model

    try:
        mlrun.log_model(package_model(experiment, checkpoint, tuple(map(str, classes))))
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        log.warning(f"model     not logged as an MLflow model: {reason}"[:300])


def _draw_figures(mlrun: tracking.AnyRun, result: EvaluationResult, job: Job) -> None:
    """Draw and log each figure after everything else. A figure that cannot be drawn does not fail the run."""
    mlrun.flush()
    for name in result.figures:
        try:
            save_figure(result.figures[name], job.folder / name)
            mlrun.log_file(job.folder / name)
        except Exception as error:
            reason = (str(error).strip().splitlines() or [""])[0]
            log.warning(f"{name} cannot be drawn: {type(error).__name__}: {reason}"[:300])


def _tell_how_to_resume(job: Job) -> None:
    last = job.folder / FOLDER / LAST
    if last.is_file():
        folder = typed_word("resume", os.path.relpath(last.parent.parent))
        log.info(f"interrupted; to continue: {job.command} {folder}")
    else:
        log.info("interrupted before the first epoch was over: nothing to continue from")
