"""Checkpoints of the best epoch, which is evaluated, and of the last epoch, from which training is resumed.

`BestCheckpoint` replaces Lightning's `ModelCheckpoint`, which was tested with one instance for the best weights and one
for the last state:

- It identifies the best epoch by the path of its file. When the second of six epochs was the best and the training was
  resumed from ``last.ckpt`` in another folder, or after its folder was moved, it selected the fifth. When the metric
  was NaN in every epoch, it selected the first.
- Its files with weights only do not contain what `Callback.on_save_checkpoint` adds, such as the configuration, so that
  they cannot be exported.
- It has no first epoch, and cannot save further tensors, such as the ranges of quantised activations.
- An epoch took 81 ms instead of 73 ms with 1.1 million parameters.

The Keras learner uses the same class without a trainer.
"""

import errno
import logging
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities.types import LRSchedulerConfig

from dcase_sweep.config import Monitor
from dcase_sweep.training.checkpoint_files import check_weights
from dcase_sweep.training.checkpoints import BEST, LAST
from dcase_sweep.training.host_copy import copy_to_host
from dcase_sweep.utils.errors import UserError, free_bytes
from dcase_sweep.utils.files import whole_file
from dcase_sweep.utils.text import suggest

log = logging.getLogger(__name__)

#: Largest size of a checkpoint without its tensors, in bytes.
_OVERHEAD = 2**20

#: Called with each epoch's number and metrics.
EpochListener = Callable[[int, dict[str, float]], None]


class BestCheckpoint(Callback):
    """Saves the weights of the epoch with the best metric, starting with ``first_epoch``.

    The best weights are also part of the resumable checkpoint, so a resumed run needs no other file. Both files are
    first written to a temporary name. If the process is killed while writing, the previous file remains.

    Args:
        folder: folder for ``last.ckpt`` and ``best.ckpt``.
        monitor: the validation metric and its direction; of equal epochs the first is selected.
        first_epoch: the first epoch that may be selected, counted from 0.
        extra: plain values to store in both files, such as the configuration.
        on_epoch: called with the number and the metrics of each epoch.
        extra_state: returns tensors that belong to the weights of an epoch; called when an epoch is the best.
        has_callbacks: whether callbacks may replace the weights during validation, for example by their average. If so,
            the validated weights are saved.
    """

    def __init__(
        self,
        folder: Path,
        *,
        monitor: Monitor,
        first_epoch: int,
        extra: dict[str, Any],
        on_epoch: EpochListener,
        extra_state: Callable[[], dict[str, Any]] = dict,
        has_callbacks: bool = False,
    ) -> None:
        self.folder = folder
        self.metric = monitor.metric
        self.sign = 1.0 if monitor.mode == "max" else -1.0
        self.first_epoch = first_epoch
        self.extra = extra
        self.on_epoch = on_epoch
        self.extra_state = extra_state
        self.has_callbacks = has_callbacks
        self.latest_value = math.nan
        self._validated: dict[str, torch.Tensor] = {}
        self.best_epoch = -1
        self.best_value = -self.sign * math.inf
        self.best_weights: dict[str, torch.Tensor] = {}
        self.best_extra_state: dict[str, Any] = {}

    @property
    def best_path(self) -> Path:
        """The file with the weights of the best epoch."""
        return self.folder / BEST

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch": self.best_epoch,
            "value": self.best_value,
            "latest": self.latest_value,
            "weights": self.best_weights,
            "beside": self.best_extra_state,  # the key of earlier versions
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the best epoch so far.

        Raises:
            ValueError: if the state, which comes from a file, was not returned by `state_dict`.
        """
        epoch, value, weights = state["epoch"], state["value"], check_weights(state["weights"])
        if not isinstance(epoch, int) or not isinstance(value, float) or math.isnan(value):
            raise ValueError(f"the best epoch is {epoch!r} and its value {value!r}")
        self.best_epoch, self.best_value, self.best_weights = epoch, value, weights
        latest = state.get("latest")  # missing in earlier versions
        self.latest_value = latest if isinstance(latest, float) else math.nan
        self.best_extra_state = dict(state.get("beside", {}))

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["dcase_sweep"] = self.extra

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.evaluate(trainer.current_epoch, metrics, lambda: self._get_weights(module))

    def on_validation_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Copy the weights to be validated, which earlier callbacks may have replaced."""
        if self.has_callbacks:
            self._validated = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}

    def _get_weights(self, module: LightningModule) -> dict[str, torch.Tensor]:
        return self._validated or module.state_dict()  # nothing is validated if a resumed training has ended already

    def evaluate(self, epoch: int, metrics: dict[str, float], weights: Callable[[], dict[str, torch.Tensor]]) -> None:
        """Save the weights of an epoch if it is the best so far, and call ``on_epoch``.

        Args:
            epoch: number of the epoch, counted from 0.
            metrics: metrics of the epoch.
            weights: returns the weights of the epoch; called only if it is the best.

        Raises:
            UserError: if the monitored metric is missing.
        """
        if self.metric not in metrics:
            known = sorted(name for name in metrics if not name.startswith("train/"))
            hint = suggest(self.metric, known, otherwise=f"expected one of {', '.join(known)}")
            raise UserError(f"task.monitor={self.metric}: no such metric of an epoch; {hint}")
        self.latest_value = metrics[self.metric]
        is_better = self.sign * self.latest_value > self.sign * self.best_value  # False for NaN
        if epoch >= self.first_epoch and is_better:
            self._save_best(epoch, self.latest_value, weights())
        self.on_epoch(epoch, metrics)

    def _save_best(self, epoch: int, value: float, weights: dict[str, torch.Tensor]) -> None:
        self.best_epoch, self.best_value = epoch, value
        copies = copy_to_host({name: tensor.detach() for name, tensor in weights.items()})
        self.best_weights = {name: tensor.clone() for name, tensor in copies.items()}
        self.best_extra_state = self.extra_state()
        self._write_best()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Save the last epoch if a callback ended the training before ``first_epoch``."""
        if trainer.should_stop and not self.best_weights and math.isfinite(self.latest_value):
            log.warning(
                f"training  ended before epoch {self.first_epoch + 1}, the first that training.best_after_fraction "
                "allows as the best; the last epoch is used"
            )
            self._save_best(trainer.current_epoch - 1, self.latest_value, self._get_weights(module))

    def conclude(self) -> None:
        """Write ``best.ckpt`` if it is missing.

        That is the case in a resumed run whose best epoch was before the interruption, and in a run that was
        interrupted after its last epoch.

        Raises:
            UserError: if no epoch could be evaluated.
        """
        if not self.best_weights:
            raise UserError(
                f"{self.metric} was not a number in any epoch from {self.first_epoch + 1} on, so none can be selected; "
                "expected validation clips and a network with finite outputs"
            )
        if not self.best_path.is_file():
            self._write_best()

    def _write_best(self) -> None:
        what = {"state_dict": self.best_weights, "epoch": self.best_epoch, "dcase_sweep": self.extra}
        write_checkpoint(self.best_path, self.best_extra_state | what)


class LastCheckpoint(Checkpoint):
    """Writes the resumable checkpoint at the very end of an epoch, after all other callbacks.

    Lightning calls its `EarlyStopping` after other callbacks, except those derived from its `Checkpoint`. It updates
    `ReduceLROnPlateau` only afterwards. A resumed training makes up for this update, which it would otherwise lose, and
    ends at once if a callback had ended it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: The metric that each scheduler of this kind waits for at the end of the saved epoch; None if it is not due.
        self._awaited: list[float | None] = []
        self._has_stopped = False
        self._is_resumed = False

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._awaited = [self._find_metric(trainer, config) for config in _on_plateau(trainer)]
        self._has_stopped = trainer.should_stop
        trainer.save_checkpoint(self.folder / LAST)

    @staticmethod
    def _find_metric(trainer: Trainer, config: LRSchedulerConfig) -> float | None:
        is_due = config.interval == "epoch" and (trainer.current_epoch + 1) % config.frequency == 0
        value = trainer.callback_metrics.get(str(config.monitor))
        return float(value) if is_due and value is not None else None

    def state_dict(self) -> dict[str, Any]:
        plateau = {"plateau": self._awaited} if self._awaited else {}
        return plateau | ({"stopped": True} if self._has_stopped else {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the metrics, and whether the training has ended.

        Raises:
            ValueError: if the state, which comes from a file, was not returned by `state_dict`.
        """
        awaited = state.get("plateau", [])
        if not isinstance(awaited, list) or not all(value is None or isinstance(value, float) for value in awaited):
            raise ValueError(f"the metrics of the schedulers are {awaited!r}")
        self._awaited, self._has_stopped, self._is_resumed = awaited, state.get("stopped") is True, True

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        if not self._is_resumed:
            return
        self._is_resumed = False
        trainer.should_stop = trainer.should_stop or self._has_stopped
        for config, value in zip(_on_plateau(trainer), self._awaited, strict=False):
            if value is not None:
                scheduler: Any = config.scheduler  # of this kind, which takes a metric
                scheduler.step(value)


def _on_plateau(trainer: Trainer) -> list[LRSchedulerConfig]:
    return [config for config in trainer.lr_scheduler_configs if config.reduce_on_plateau]


class WholeFiles(TorchCheckpointIO):
    """Writes checkpoints next to their final place.

    Lightning first writes to the folder for temporary files, which may be on another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)  # of a callback of the user's own
        write_checkpoint(Path(path), checkpoint)


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically.

    Raises:
        OSError: if it cannot be written. For a full disk, PyTorch raises only a general `RuntimeError`.
    """
    try:
        with whole_file(path) as temporary:
            torch.save(copy_to_host(content), temporary)
    except RuntimeError as error:
        if free_bytes(path.parent) > sum(_sizes(content)) + _OVERHEAD:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error


def _sizes(content: Any) -> Iterator[int]:
    """Yield the bytes of each tensor in nested containers."""
    if isinstance(content, torch.Tensor):
        yield content.nbytes
    elif isinstance(content, dict):
        for each in content.values():
            yield from _sizes(each)
    elif isinstance(content, (list, tuple)):
        for each in content:
            yield from _sizes(each)
