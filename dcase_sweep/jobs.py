"""A Hydra job: validation and execution of a composed configuration."""

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dcase_sweep.config.command_line import repeat_command
from dcase_sweep.result import Result
from dcase_sweep.sweep.gpu_sharing import take_gpu
from dcase_sweep.sweep.stored_jobs import mask_saved_configurations
from dcase_sweep.training.callbacks import RunCallback
from dcase_sweep.utils.errors import UserError, describe_failure, describe_os_error
from dcase_sweep.utils.gpus import DeviceLost, is_gpu_lost
from dcase_sweep.utils.secrets import mask_word, masked_yaml

if TYPE_CHECKING:
    from dcase_sweep.config import Experiment
    from dcase_sweep.runner import Job

log = logging.getLogger(__name__)


def run_composed(
    composed: DictConfig, callback: RunCallback | None = None, experiment: "Experiment | None" = None
) -> Any:
    """The function that Hydra calls for each job. It raises only interruptions, so that a failed job does not end a
    sweep.

    Args:
        experiment: the validated configuration, if it has already been validated.
    """
    from dcase_sweep import tracking
    from dcase_sweep.config import check, check_hydra, check_written
    from dcase_sweep.config.choices import introduce, read_choices

    settings = HydraConfig.get()
    mask_saved_configurations(settings, composed)
    with suppress(OmegaConfBaseException):  # of a value that cannot be resolved; the check names its key
        introduce(read_choices(settings.runtime.choices, composed), composed.get("seed"))
    try:
        check_hydra(settings)
        check_written("hydra.run.dir", str(settings.runtime.output_dir))
        checked = experiment or check(composed)
        if tracking.logs_to_mlflow(checked.logger):
            tracking.check_store(checked.tracking)
    except UserError as error:  # before importing the libraries for training and logging, which takes seconds
        _say_error(str(error))
        folder = str(settings.runtime.output_dir)
        return Result("failed", str(settings.job.name), folder, error=describe_failure(error))
    return _run_checked(checked, composed, callback)


def _run_checked(experiment: "Experiment", composed: DictConfig, callback: RunCallback | None) -> Result:
    """Run an experiment as this Hydra job."""
    from dcase_sweep import runner
    from dcase_sweep.config import task_overrides
    from dcase_sweep.config.choices import read_choices
    from dcase_sweep.utils.signals import interruptible

    settings = HydraConfig.get()
    if experiment.hardware.accelerator == "gpu":
        take_gpu()
    overrides = tuple(
        mask_word(override)
        for override in task_overrides(settings)
        if not override.startswith(("++tracking.", "search="))
    )
    job = runner.Job(
        folder=Path(settings.runtime.output_dir),
        choices=read_choices(settings.runtime.choices, composed),
        overrides=overrides,
        varying=tuple(OmegaConf.select(composed, "tracking.varying", default=())),
        composed=masked_yaml(composed),
        command=repeat_command(settings, [word for word in overrides if not word.startswith("resume=")]),
    )
    with interruptible():  # a handler of another library acts when the block is left, and what it raises is passed on
        return _run_safely(lambda: runner.run(experiment, job, callback), job)


def _run_safely(run: Callable[[], Result], job: "Job") -> Result:
    """Run an experiment; an error is its result.

    Raises:
        DeviceLost: after an error of a GPU that this process cannot use any more. All further jobs would fail, too.
    """
    try:
        return run()
    except UserError as error:
        line = describe_failure(error)
        _say_error(str(error))
    except Exception as error:
        line = describe_failure(error)
        found = describe_os_error(error)
        if found is not None:
            _say_error(found)
        else:
            log.exception(f"error: {job.name} failed: {type(error).__name__}: {error}")
    if is_gpu_lost():
        raise DeviceLost(f"this process cannot use the GPU any more: {line}")
    return Result("failed", job.name, str(job.folder), error=line)


def _say_error(line: str) -> None:
    """Log an error, or print it if the configured logging is silent, so that no failure goes unexplained."""
    if log.disabled or not log.isEnabledFor(logging.ERROR):
        print(f"error: {line}", file=sys.stderr)
    else:
        log.error(f"error: {line}")
