"""Callbacks and resumption for a training with ``model.fit``."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dcase_sweep.config import Experiment
from dcase_sweep.evaluation.metrics import compute_metrics
from dcase_sweep.training.best_checkpoint import BestCheckpoint, write_checkpoint
from dcase_sweep.training.checkpoints import LAST
from dcase_sweep.training.divergence import CHECK_INTERVAL_ON_GPU, check_finite, check_finite_losses
from dcase_sweep.training.keras.batches import Batches
from dcase_sweep.training.keras.loaded import keras
from dcase_sweep.training.restoring import rename_states
from dcase_sweep.utils.files import write_bytes

if TYPE_CHECKING:
    from dcase_sweep.training.keras.learner import KerasSceneLearner

#: Names of metrics in Keras → names in this project.
_METRICS = {"loss": "train/loss", "val_loss": "validation/loss", "val_accuracy": "validation/accuracy"}


class Progress(keras.callbacks.Callback):
    """Does for ``model.fit`` what the callbacks of `training.best_checkpoint` do for Lightning, in the same order.

    Args:
        learner: the learner whose network is fitted.
        best_checkpoint: saves the best epoch and reports each epoch.
        batches: batches of the training split; the order of each epoch is set here.
        on_batch: called with the number of clips in each batch.
    """

    def __init__(
        self,
        learner: "KerasSceneLearner",
        best_checkpoint: BestCheckpoint,
        batches: Batches,
        experiment: Experiment,
        on_batch: Callable[[int], None] | None,
    ) -> None:
        super().__init__()
        self.learner = learner
        self.best_checkpoint = best_checkpoint
        self.batches = batches
        self.seed = experiment.seed
        self.on_batch = on_batch
        self.batches_a_look = CHECK_INTERVAL_ON_GPU if experiment.hardware.accelerator == "gpu" else 1
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the order and the dropout of the epoch from the seed and its number, as a resumed run does."""
        self.epoch = epoch
        self.batches.set_epoch(epoch)
        for position, generator in enumerate(_seed_generators(self.learner.network)):
            drawn = np.random.SeedSequence([self.seed, epoch, position]).generate_state(2)
            generator.state.assign((drawn >> 1).astype(np.uint32))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Report the batch, and stop a diverged training."""
        if batch % self.batches_a_look == 0:
            check_finite(self.epoch, "loss", float(logs["loss"]))
        if self.on_batch:
            self.on_batch(self.batches.get_size(batch))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Evaluate and report the epoch, then write the checkpoint to resume from."""
        metrics = {ours: float(logs[theirs]) for theirs, ours in _METRICS.items()}
        if self.learner.metrics:
            rows = self.learner.data.validation
            targets = self.learner.data.targets[rows]
            metrics |= compute_metrics(self.learner.metrics, self.learner.predict(rows), targets, "validation/")
        state = self.learner.state_dict()
        for name, weight in state.items():  # on some processors ReLU and pooling hide NaN from the loss
            check_finite(epoch, name, float(weight.sum()))
        check_finite_losses(epoch, metrics)
        self.best_checkpoint.evaluate(epoch, metrics, lambda: state)
        last = self.best_checkpoint.folder / LAST
        write_checkpoint(
            last,
            {
                "state_dict": state,
                "epoch": epoch,
                "optimizer_states": [{"variables": _values(self.model.optimizer)}],
                "callbacks": {"BestCheckpoint": self.best_checkpoint.state_dict()},
                "dcase_sweep": self.best_checkpoint.extra,
            },
        )

    def resume(self, model: Any, checkpoint: Path) -> int:
        """Restore a compiled model and the best epoch from the checkpoint; return the next epoch."""
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        self.learner.load_state_dict(content["state_dict"])
        self.best_checkpoint.load_state_dict(rename_states(content["callbacks"])["BestCheckpoint"])
        model.optimizer.build(model.trainable_variables)
        stored = content["optimizer_states"][0]["variables"]
        for variable, value in zip(model.optimizer.variables, stored, strict=True):
            variable.assign(value.numpy())
        last = self.best_checkpoint.folder / LAST
        if checkpoint.resolve() != last.resolve():
            write_bytes(last, checkpoint.read_bytes())
        return int(content["epoch"]) + 1


def _values(optimizer: Any) -> list[torch.Tensor]:
    return [torch.from_numpy(np.array(variable.numpy())) for variable in optimizer.variables]


def _seed_generators(network: Any) -> list[Any]:
    """Return the seed generators of the dropout layers, in order."""
    found = (getattr(layer, "seed_generator", None) for layer in network.layers)
    return [generator for generator in found if generator is not None]
