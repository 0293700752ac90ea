"""Which epochs of a training survive it: the last one, to continue from, and the best one, to be evaluated.

Lightning's `ModelCheckpoint` was tried in its place, one for the best weights and one for the last state. It remembers
the best epoch by the path of its file: a training whose second of six epochs was the best, continued in another folder
from ``last.ckpt`` or after its folder was moved, kept the fifth, and one whose metric was NaN in every epoch kept its
first. Its files of weights alone lack what `Callback.on_save_checkpoint` adds, as the run and its configuration, so
that no export can read them; the time of an epoch did not fall (81 against 73 ms with 1.1 million parameters). It knows
no first epoch either, and nothing beside the weights, such as the ranges of quantised activations. The Keras learner
keeps its epochs with the same class, without a trainer.
"""

import difflib
import errno
import logging
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.plugins.io import TorchCheckpointIO

from dcase_sweep.config import Monitor
from dcase_sweep.training.checkpoint_files import check_weights
from dcase_sweep.training.checkpoints import BEST, LAST
from dcase_sweep.utils.errors import UserError, free_bytes
from dcase_sweep.utils.files import whole_file

log = logging.getLogger(__name__)

#: Of a checkpoint, beside its tensors, at most; in bytes.
_OVERHEAD = 2**20

#: Called with each epoch's number and metrics.
EpochListener = Callable[[int, dict[str, float]], None]


class BestCheckpoint(Callback):
    """Keeps the weights of the epoch with the best metric from ``first_epoch`` on, and a checkpoint to resume from.

    The best weights are part of the resumable checkpoint, so a resumed run needs no other file. Both files are
    written to a temporary name first: a kill while writing leaves the previous one.

    Args:
        folder: where ``last.ckpt`` and ``best.ckpt`` go.
        monitor: the metric of the validation and its direction; the first of equal epochs stays.
        first_epoch: earlier epochs are not considered (counted from 0).
        extra: plain values that are saved with both, so that a checkpoint says what it is.
        on_epoch: called with the metrics after each epoch.
        extra_state: returns tensors that belong to the weights of an epoch; called when an epoch is the best.
        has_callbacks: whether callbacks may validate other weights than those that are trained on, as averages do; the
            validated ones are kept then.
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
        """Where the best epoch lies."""
        return self.folder / BEST

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch": self.best_epoch,
            "value": self.best_value,
            "weights": self.best_weights,
            "beside": self.best_extra_state,  # the key of earlier versions
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the best epoch so far.

        Raises:
            ValueError: if the state, which comes from a file, is not what `state_dict` gives.
        """
        epoch, value, weights = state["epoch"], state["value"], check_weights(state["weights"])
        if not isinstance(epoch, int) or not isinstance(value, float) or math.isnan(value):
            raise ValueError(f"the best epoch is {epoch!r} and its value {value!r}")
        self.best_epoch, self.best_value, self.best_weights = epoch, value, weights
        self.best_extra_state = dict(state.get("beside", {}))

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["dcase_sweep"] = self.extra

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.evaluate(trainer.current_epoch, metrics, lambda: self._get_weights(module))

    def on_validation_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Take the weights that are validated; callbacks before this one have put them in place."""
        if self.has_callbacks:
            self._validated = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}

    def _get_weights(self, module: LightningModule) -> dict[str, torch.Tensor]:
        return self._validated if self.has_callbacks else module.state_dict()

    def evaluate(self, epoch: int, metrics: dict[str, float], weights: Callable[[], dict[str, torch.Tensor]]) -> None:
        """Keep the weights of an epoch that is the best, and pass on its metrics in any case.

        Args:
            weights: called for the weights of the best epoch.
        """
        if self.metric not in metrics:
            known = sorted(name for name in metrics if not name.startswith("train/"))
            near = difflib.get_close_matches(self.metric, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
            raise UserError(f"task.monitor={self.metric}: no such metric of an epoch; {hint}")
        self.latest_value = metrics[self.metric]
        is_better = self.sign * self.latest_value > self.sign * self.best_value  # which NaN never is
        if epoch >= self.first_epoch and is_better:
            self._keep(epoch, self.latest_value, weights())
        self.on_epoch(epoch, metrics)

    def _keep(self, epoch: int, value: float, weights: dict[str, torch.Tensor]) -> None:
        self.best_epoch, self.best_value = epoch, value
        self.best_weights = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
        self.best_extra_state = self.extra_state()
        self._write_best()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Keep the last epoch of a training that a callback ended before any epoch could be the best."""
        if trainer.should_stop and not self.best_weights and math.isfinite(self.latest_value):
            log.warning(
                f"training  ended before epoch {self.first_epoch + 1}, the first one that training.best_after_fraction "
                "lets be the best; the last epoch is kept"
            )
            self._keep(trainer.current_epoch - 1, self.latest_value, self._get_weights(module))

    def conclude(self) -> None:
        """Write the best epoch where this folder has none.

        A resumed run whose best epoch came before the interruption has not written it, and one that was interrupted
        after its last epoch does not train at all.

        Raises:
            UserError: if no epoch could be evaluated.
        """
        if not self.best_weights:
            raise UserError(
                f"{self.metric} was no number in any epoch from {self.first_epoch + 1} on, so none can be kept; "
                "expected clips to validate on and a network whose outputs are finite"
            )
        if not self.best_path.is_file():
            self._write_best()

    def _write_best(self) -> None:
        what = {"state_dict": self.best_weights, "epoch": self.best_epoch, "dcase_sweep": self.extra}
        write_checkpoint(self.best_path, self.best_extra_state | what)


class LastCheckpoint(Callback):
    """Writes the resumable checkpoint once an epoch is over in every respect."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        trainer.save_checkpoint(self.folder / LAST)


class WholeFiles(TorchCheckpointIO):
    """Lightning's own way to save collects a file in the folder for temporary ones, perhaps on another disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        write_checkpoint(Path(path), checkpoint)


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """A file that is there whole or not at all.

    Raises:
        OSError: if it cannot be written; PyTorch says of a full disk only that it could not write.
    """
    try:
        with whole_file(path) as temporary:
            torch.save(content, temporary)
    except RuntimeError as error:
        if free_bytes(path.parent) > sum(_sizes(content)) + _OVERHEAD:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error


def _sizes(content: Any) -> Iterator[int]:
    """The bytes of every tensor in nested containers."""
    if isinstance(content, torch.Tensor):
        yield content.nbytes
    elif isinstance(content, dict):
        for each in content.values():
            yield from _sizes(each)
    elif isinstance(content, (list, tuple)):
        for each in content:
            yield from _sizes(each)
