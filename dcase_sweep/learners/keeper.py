"""Which epochs of a training survive it: the last one, to continue from, and the best one, to be judged."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

LAST = "last.ckpt"
BEST = "best.ckpt"

#: Told each epoch's number and metrics.
EpochListener = Callable[[int, dict[str, float]], None]


class Keeper(Callback):
    """Keeps the weights of the epoch with the best metric from ``first_epoch`` on, and a checkpoint to resume from.

    The best weights are part of the resumable checkpoint, so a resumed run needs no other file. Both files are
    written to a temporary name first: a kill while writing leaves the previous one.

    Args:
        folder: where ``last.ckpt`` and ``best.ckpt`` go.
        metric: the validation metric, larger is better; the first of equals stays.
        first_epoch: earlier epochs are not considered (counted from 0).
        extra: plain values that are saved with both, so that a checkpoint says what it is.
        on_epoch: told the metrics after each epoch.
    """

    def __init__(
        self,
        folder: Path,
        *,
        metric: str,
        first_epoch: int,
        extra: dict[str, Any],
        on_epoch: EpochListener,
    ) -> None:
        self.folder = folder
        self.metric = metric
        self.first_epoch = first_epoch
        self.extra = extra
        self.on_epoch = on_epoch
        self.best_epoch = -1
        self.best_value = float("-inf")
        self.best_weights: dict[str, torch.Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.best_epoch, "value": self.best_value, "weights": self.best_weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best_epoch, self.best_value, self.best_weights = state["epoch"], state["value"], state["weights"]

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["dcase_sweep"] = self.extra

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        epoch = trainer.current_epoch
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        value = metrics[self.metric]
        if epoch >= self.first_epoch and (value > self.best_value or not self.best_weights):
            self.best_epoch, self.best_value = epoch, value
            self.best_weights = {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}
            _write(self.folder / BEST, {"state_dict": self.best_weights, "epoch": epoch, "dcase_sweep": self.extra})
        self.on_epoch(epoch, metrics)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        # A resumed run whose best epoch came before the interruption has not written it to this folder yet.
        if self.best_weights and not (self.folder / BEST).is_file():
            checkpoint = {"state_dict": self.best_weights, "epoch": self.best_epoch, "dcase_sweep": self.extra}
            _write(self.folder / BEST, checkpoint)


class LastCheckpoint(Callback):
    """Writes the resumable checkpoint once an epoch is over in every respect."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        temporary = self.folder / f"{LAST}.{os.getpid()}"
        trainer.save_checkpoint(temporary)
        os.replace(temporary, self.folder / LAST)


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    torch.save(content, temporary)
    os.replace(temporary, path)
