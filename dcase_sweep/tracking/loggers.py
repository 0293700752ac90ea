"""Loggers of a run in addition to MLflow: any Lightning logger, or an object with the same methods."""

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from dcase_sweep.config import locate
from dcase_sweep.config.checks import MLFLOW
from dcase_sweep.config.signatures import read_signature
from dcase_sweep.tracking.models import ModelPackage
from dcase_sweep.tracking.run import Run
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.native_log import without_notices
from dcase_sweep.utils.secrets import mask_values

log = logging.getLogger(__name__)

_STATUS = {"FINISHED": "success", "FAILED": "failed", "KILLED": "failed"}


class Logger(Protocol):
    """The methods that a logger must have, a subset of `lightning.pytorch.loggers.Logger`."""

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """Log the flattened configuration once, before training."""
        ...

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Log metrics of an epoch, counted from 0, or of the whole run, with the last epoch as the step."""
        ...

    def finalize(self, status: str) -> None:
        """Close the log with the status ``success`` or ``failed``."""
        ...


def logs_to_mlflow(entries: Mapping[str, Any]) -> bool:
    """Whether MLflow is one of the chosen loggers."""
    return any(entry.get("_target_") == MLFLOW for entry in entries.values())


def check_loggers(entries: Mapping[str, Any]) -> None:
    """Check that all entries are loggers.

    Args:
        entries: the group ``logger``: name → ``_target_`` and arguments.

    Raises:
        UserError: if not, in one line with the entry, what was found and what is expected.
    """
    for name, entry in entries.items():
        if not isinstance(entry, Mapping) or not isinstance(entry.get("_target_"), str):
            raise UserError(f"logger.{name}={entry}: expected a _target_ that names a logger, and its arguments")
        if entry["_target_"] != MLFLOW:
            _locate(name, entry["_target_"])


def build_loggers(entries: Mapping[str, Any], folder: Path) -> dict[str, Logger]:
    """Instantiate the loggers other than MLflow, by name.

    Args:
        entries: the group ``logger``. Partial entries, and those that need it, get the run's folder as ``save_dir``.
        folder: the run's folder.

    Raises:
        UserError: if a logger cannot be instantiated, for example because its package is not installed.
    """
    made: dict[str, Logger] = {}
    for name, entry in entries.items():
        if entry["_target_"] == MLFLOW:
            continue
        arguments = {key: value for key, value in entry.items() if key not in ("_target_", "_partial_")}
        target = _locate(name, entry["_target_"])
        if entry.get("_partial_") or ("save_dir" not in arguments and "save_dir" in read_signature(target).required):
            arguments["save_dir"] = str(folder)
        try:
            made[name] = _make(target, arguments)
        except Exception as error:  # a logger may fail in any way
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"logger.{name}: {type(error).__name__}: {reason}") from None
    return made


def _make(target: Any, arguments: Mapping[str, Any]) -> Any:
    if getattr(target, "__name__", "") != "TensorBoardLogger" or "tensorflow" in sys.modules:
        return target(**arguments)
    with without_notices():  # TensorBoard imports TensorFlow where it is installed
        logger = target(**arguments)
        _ = logger.experiment  # what does so
    return logger


def _locate(name: str, target: str) -> Any:
    found = locate(f"logger.{name}._target_", target)
    missing = [method for method in ("log_hyperparams", "log_metrics", "finalize") if not hasattr(found, method)]
    if isinstance(found, type) and missing:
        raise UserError(f"logger.{name}._target_={target}: has no {missing[0]}; expected a logger like Lightning's")
    return found


class MultiLoggerRun:
    """A run in MLflow, or an untracked one, whose parameters and metrics are also sent to further loggers.

    A logger that fails is reported once and no longer used. Training continues.

    Args:
        run: the run that gets everything first.
        loggers: the loggers by name.
    """

    def __init__(self, run: Any, loggers: Mapping[str, Logger]) -> None:
        self._run = run
        self._loggers = dict(loggers)
        self._step = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def log_parameters(self, parameters: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> None:
        """Log the flattened configuration."""
        self._run.log_parameters(parameters, tags)
        self._call("log_hyperparams", dict(mask_values(parameters)))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics of an epoch, counted from 0, or of the whole run if None."""
        self._run.log_metrics(metrics, *(() if step is None else (step,)))
        self._step = self._step if step is None else step
        self._call("log_metrics", dict(metrics), self._step)

    def end(self, status: str) -> None:
        """Close the run and its loggers."""
        self._finalize(status)
        self._run.end(status)

    def give_up(self, status: str, reason: str = "") -> None:
        """Close the run and its loggers after an error."""
        self._finalize(status)
        self._run.give_up(status, reason)

    def _finalize(self, status: str) -> None:
        self._call("finalize", _STATUS.get(status, "failed"))

    def _call(self, method: str, *arguments: Any) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                getattr(logger, method)(*arguments)
            except Exception as error:
                del self._loggers[name]
                reason = " ".join(str(error).split())[:200]
                log.warning(f"logger    {name} is no longer used: {type(error).__name__}: {reason}")


class UntrackedRun:
    """A run that is not logged to MLflow. Its results are in the run's folder and in other loggers.

    Args:
        name: name of the run.
        folder: the run's folder, where texts are written.
    """

    id: str | None = None

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self._metrics: dict[str, float] = {}

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Store the last value of each metric."""
        self._metrics |= metrics

    def logged_metrics(self) -> dict[str, float]:
        """Return the last value of each metric."""
        return dict(self._metrics)

    def log_parameters(self, parameters: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> None:
        """Do nothing: the configuration is in the run's folder."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Do nothing."""

    def log_data(self, name: str, fingerprint: str, source: str) -> None:
        """Do nothing."""

    def log_text(self, text: str, name: str) -> None:
        """Write a text to the run's folder."""
        write_text(self.folder / name, text)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Do nothing: the file is in the run's folder."""

    def log_model(self, package: ModelPackage) -> None:
        """Do nothing: the checkpoint is in the folder of the run."""

    def flush(self, tags: Sequence[Any] = ()) -> None:
        """Do nothing."""

    def beat(self) -> None:
        """Do nothing."""

    def end(self, status: str) -> None:
        """Do nothing."""

    def give_up(self, status: str, reason: str = "") -> None:
        """Do nothing."""


AnyRun = Run | UntrackedRun | MultiLoggerRun
