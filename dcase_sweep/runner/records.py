"""Logging of a run except the metrics of its epochs: configuration, complexity, tables, network and figures."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from dcase_sweep import tracking
from dcase_sweep.complexity.networks import complexity_before_training, cost_metrics, describe_limit, within_limit
from dcase_sweep.complexity.report import complexity_table
from dcase_sweep.complexity.rules import RULES
from dcase_sweep.config import Experiment, flatten
from dcase_sweep.evaluation.figures import save_figure
from dcase_sweep.evaluation.result import METRICS_FILE, EvaluationResult
from dcase_sweep.runner.job import Job
from dcase_sweep.tasks.notes import describe_tags
from dcase_sweep.tasks.protocols import TaskData
from dcase_sweep.tracking.provenance import signature
from dcase_sweep.training.checkpoints import BEST, FOLDER
from dcase_sweep.utils import console
from dcase_sweep.utils.errors import get_reason
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.secrets import mask_values
from dcase_sweep.utils.text_table import terminal_width

log = logging.getLogger(__name__)


def log_configuration(
    mlrun: tracking.AnyRun, experiment: Experiment, job: Job, data: TaskData, fingerprint: str
) -> None:
    mlrun.log_parameters(
        list_parameters(experiment, job.choices) | {"data.fingerprint": fingerprint},
        {tracking.SIGNATURE: signature(flatten(experiment), fingerprint), **describe_tags(data)},
    )
    mlrun.log_data(data.name, fingerprint, str(data.root))
    mlrun.log_text(job.composed, "config.yaml")


def list_parameters(experiment: Experiment, choices: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters of a run: its configuration without locations, secrets masked, and choices of groups."""
    parameters = flatten(experiment)
    parameters |= {group: choice for group, choice in choices.items() if group not in parameters}
    hidden = ("tracking.", "logger.", "store.", "resume")
    return mask_values({key: value for key, value in parameters.items() if not key.startswith(hidden)})


def log_complexity(mlrun: tracking.AnyRun, experiment: Experiment, classes: int) -> dict[str, float]:
    """Log the complexity of the network before training, with all parameters non-zero."""
    complexity = complexity_before_training(experiment, classes)
    kept = within_limit(complexity, experiment)
    size = f"{complexity.size_kib(16):,.2f} KiB at 16 bit{describe_limit(kept, experiment)}"
    peak = complexity.peak_activation_bytes(16) / 1024
    activations = f", {peak:,.1f} KiB of activations at 16 bit" if peak else ""
    console.field(
        "model",
        f"{complexity.parameters:,} parameters, {size}, "
        f"{complexity.multiply_accumulates / 1e6:,.1f} MMAC a clip{activations}",
    )
    table = complexity_table(complexity, rules=RULES if kept else ())
    mlrun.log_text(table + "\n", "complexity.txt")
    metrics = cost_metrics(complexity) | kept
    mlrun.log_metrics(metrics)
    mlrun.flush()  # must not delay the results of a long training
    return metrics


def log_tables(mlrun: tracking.AnyRun, result: EvaluationResult, job: Job) -> None:
    everything = json.dumps(result.metrics, indent=2) + "\n"
    for name, text in {**result.files, METRICS_FILE: everything}.items():
        write_text(job.folder / name, text)
        mlrun.log_text(text, name)
    for name, write in result.writers.items():
        write(job.folder / name)
        mlrun.log_file(job.folder / name)
    log.info(f"\n{result.show(terminal_width())}\n")


def log_model(mlrun: tracking.AnyRun, experiment: Experiment, job: Job, classes: Sequence[str]) -> None:
    """Log the network as an MLflow model. A network that cannot be logged does not fail the run."""
    checkpoint = job.folder / FOLDER / BEST
    if not experiment.tracking.model or mlrun.id is None or not checkpoint.is_file():
        return
    from dcase_sweep.inference.packaging import package_model

    try:
        mlrun.log_model(package_model(experiment, checkpoint, tuple(map(str, classes))))
    except Exception as error:
        reason = get_reason(error)
        log.warning(f"model     not logged as an MLflow model: {reason}"[:300])


def draw_figures(mlrun: tracking.AnyRun, result: EvaluationResult, job: Job) -> None:
    """Draw and log each figure after everything else. A figure that cannot be drawn does not fail the run."""
    mlrun.flush()
    for name in result.figures:
        try:
            save_figure(result.figures[name], job.folder / name)
            mlrun.log_file(job.folder / name)
        except Exception as error:
            reason = (str(error).strip().splitlines() or [""])[0]
            log.warning(f"{name} cannot be drawn: {type(error).__name__}: {reason}"[:300])
