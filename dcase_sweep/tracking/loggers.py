"""Loggers of a run beside MLflow: any logger of Lightning's, or an object with the same few methods."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from dcase_sweep.config import locate
from dcase_sweep.config.checks import MLFLOW
from dcase_sweep.tracking.models import ModelPackage
from dcase_sweep.tracking.run import Run
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.secrets import mask_values

log = logging.getLogger(__name__)

_STATUS = {"FINISHED": "success", "FAILED": "failed", "KILLED": "failed"}


class Logger(Protocol):
    """What a logger must offer: a part of `lightning.pytorch.loggers.Logger`."""

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """Log the flattened configuration, once, before the training."""
        ...

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log metrics of an epoch, counted from 0, or of the whole run, with the last epoch as its step."""
        ...

    def finalize(self, status: str) -> None:
        """End the log: ``success`` or ``failed``."""
        ...


def logs_to_mlflow(entries: Mapping[str, Any]) -> bool:
    """Whether one of the chosen loggers is MLflow."""
    return any(entry.get("_target_") == MLFLOW for entry in entries.values())


def check_loggers(entries: Mapping[str, Any]) -> None:
    """Refuse what is no logger.

    Args:
        entries: of the group ``logger``: name → ``_target_`` and arguments.

    Raises:
        UserError: in one line with the entry, what was found and what is expected.
    """
    for name, entry in entries.items():
        if not isinstance(entry, Mapping) or not isinstance(entry.get("_target_"), str):
            raise UserError(f"logger.{name}={entry}: expected a _target_ that names a logger, and its arguments")
        if entry["_target_"] != MLFLOW:
            _locate(name, entry["_target_"])


def build_loggers(entries: Mapping[str, Any], folder: Path) -> dict[str, Logger]:
    """The loggers beside MLflow by their names.

    Args:
        entries: of the group ``logger``. One that is ``_partial_`` is given the folder of the run as ``save_dir``.
        folder: of the run.

    Raises:
        UserError: if one cannot be made, for instance since its package is not installed.
    """
    made: dict[str, Logger] = {}
    for name, entry in entries.items():
        if entry["_target_"] == MLFLOW:
            continue
        arguments = {key: value for key, value in entry.items() if key not in ("_target_", "_partial_")}
        if entry.get("_partial_"):
            arguments["save_dir"] = str(folder)
        try:
            made[name] = _locate(name, entry["_target_"])(**arguments)
        except Exception as error:  # a logger may fail in any way
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"logger.{name}: {type(error).__name__}: {reason}") from None
    return made


def _locate(name: str, target: str) -> Any:
    found = locate(f"logger.{name}._target_", target)
    missing = [method for method in ("log_hyperparams", "log_metrics", "finalize") if not hasattr(found, method)]
    if isinstance(found, type) and missing:
        raise UserError(f"logger.{name}._target_={target}: has no {missing[0]}; expected a logger as Lightning's are")
    return found


class MultiLoggerRun:
    """A run of MLflow, or an untracked one, whose parameters and metrics go to further loggers too.

    A logger that fails is reported once and left out: the training goes on.

    Args:
        run: which everything goes to first.
        loggers: by their names.
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
        self._tell("log_hyperparams", dict(mask_values(parameters)))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics of an epoch, counted from 0; None = of the whole run."""
        self._run.log_metrics(metrics, *(() if step is None else (step,)))
        self._step = self._step if step is None else step
        self._tell("log_metrics", dict(metrics), self._step)

    def end(self, status: str) -> None:
        """Close the run and its loggers."""
        self._finalize(status)
        self._run.end(status)

    def give_up(self, status: str) -> None:
        """Close the run and its loggers after something went wrong."""
        self._finalize(status)
        self._run.give_up(status)

    def _finalize(self, status: str) -> None:
        self._tell("finalize", _STATUS.get(status, "failed"))

    def _tell(self, method: str, *arguments: Any) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                getattr(logger, method)(*arguments)
            except Exception as error:
                del self._loggers[name]
                reason = " ".join(str(error).split())[:200]
                log.warning(f"logger    {name} is left out from here on: {type(error).__name__}: {reason}")


class UntrackedRun:
    """A run that MLflow is not told of; what it is told stays in the folder of the run, and in other loggers.

    Args:
        name: for people.
        folder: of the run, where texts are written.
    """

    id: str | None = None

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self._metrics: dict[str, float] = {}

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Keep the last value of each."""
        self._metrics |= metrics

    def logged_metrics(self) -> dict[str, float]:
        """The last value of each metric."""
        return dict(self._metrics)

    def log_parameters(self, parameters: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> None:
        """Nothing: the configuration is in the folder of the run."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Nothing."""

    def log_data(self, name: str, fingerprint: str, source: str) -> None:
        """Nothing."""

    def log_text(self, text: str, name: str) -> None:
        """Write a text to the folder of the run."""
        write_text(self.folder / name, text)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Nothing: it is in the folder of the run."""

    def log_model(self, package: ModelPackage) -> None:
        """Nothing: the checkpoint is in the folder of the run."""

    def flush(self, tags: Sequence[Any] = ()) -> None:
        """Nothing."""

    def beat(self) -> None:
        """Nothing."""

    def end(self, status: str) -> None:
        """Nothing."""

    def give_up(self, status: str) -> None:
        """Nothing."""


AnyRun = Run | UntrackedRun | MultiLoggerRun
