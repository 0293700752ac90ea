"""Training of any Lightning module: checkpoints, metrics and resumption."""

import shutil
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import nn

from dcase_sweep.config import Experiment, Monitor, get_watched
from dcase_sweep.config.components import make_callbacks
from dcase_sweep.training.best_checkpoint import BestCheckpoint, EpochListener, LastCheckpoint
from dcase_sweep.training.checkpoints import BEST, LAST
from dcase_sweep.training.component_errors import naming_components
from dcase_sweep.training.compression.compressor import Compressor
from dcase_sweep.training.divergence import Divergence
from dcase_sweep.training.fused.joining import join, leave
from dcase_sweep.training.interruption import Interruption
from dcase_sweep.training.lightning import make_trainer
from dcase_sweep.training.out_of_memory import describe_out_of_memory, is_gpu_out_of_memory
from dcase_sweep.training.restoring import RestoredState, restoring
from dcase_sweep.training.step_module import StepModule
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import whole_file

#: The beginning of the names of the tensors of a loss.
_LOSS = "loss."


@dataclass(frozen=True, slots=True)
class Fitted:
    """The result of a training."""

    #: The best epoch, counted from 0.
    best_epoch: int
    #: The monitored metric and its value at the best epoch.
    metric: str
    best_value: float
    epochs: int
    checkpoint: Path


def fit(
    module: LightningModule,
    train: Iterable[Any],
    validation: Iterable[Any],
    experiment: Experiment,
    folder: Path,
    *,
    monitor: Monitor,
    extra: dict[str, Any],
    on_epoch: EpochListener,
    resume: Path | None,
    compressor: Compressor | None = None,
) -> Fitted:
    """Train, save the best and the last epoch in ``folder``, and load the weights of the best epoch.

    Args:
        monitor: the validation metric that selects the best epoch.
        extra: plain values to store in checkpoints.
        on_epoch: called with the number and the metrics of each epoch.
        resume: a ``last.ckpt`` to continue from.
        compressor: compresses the network during training; no earlier epoch can be the best.

    Raises:
        UserError: if a loss is NaN or infinite, no epoch could be evaluated, the state to resume is unusable, a
            component of the user's own raises an exception, or a batch does not fit in the memory of the GPU.
    """
    folder.mkdir(parents=True, exist_ok=True)
    callbacks = make_callbacks(experiment.callbacks, lambda metric: get_watched(experiment, metric, monitor))
    first_epoch = experiment.training.first_best_epoch
    best_checkpoint = BestCheckpoint(
        folder,
        monitor=monitor,
        first_epoch=first_epoch if compressor is None else max(first_epoch, compressor.first_epoch),
        extra=extra,
        on_epoch=on_epoch,
        extra_state=dict if compressor is None else compressor.tensors,
        has_callbacks=bool(callbacks),
    )
    restored = RestoredState()
    trainer = make_trainer(
        experiment.hardware,
        epochs=experiment.training.epochs,
        folder=folder,
        callbacks=[
            *(restored, Interruption(), *([] if compressor is None else [compressor]), *callbacks),
            *(Divergence(), best_checkpoint, LastCheckpoint(folder)),
        ],
    )
    if resume is not None:
        _copy_checkpoint(resume, folder / LAST)

    def has_begun() -> bool:
        return resume is None or restored.has_begun

    joined = join(trainer, module, train, experiment)
    try:
        with restoring(resume, has_begun), naming_components(experiment, trainer, has_begun):
            is_trained = _train(trainer, module, joined, validation, None if resume is None else folder / LAST)
    finally:
        leave(module)
    if not is_trained:
        raise UserError(describe_out_of_memory(experiment, trainer, module, train))
    best_checkpoint.conclude()
    load_weights(module, folder / BEST)
    if compressor is not None:
        compressor.take(folder / BEST)
    return Fitted(
        best_checkpoint.best_epoch, monitor.metric, best_checkpoint.best_value, trainer.current_epoch, folder / BEST
    )


def _copy_checkpoint(source: Path, target: Path) -> None:
    """Copy the checkpoint to resume into the folder of this run, unless it is there already."""
    if source.resolve() != target.resolve():
        with whole_file(target) as temporary:
            shutil.copyfile(source, temporary)


def _train(
    trainer: Trainer,
    module: LightningModule,
    train: Iterable[Any],
    validation: Iterable[Any],
    checkpoint: Path | None,
) -> bool:
    """Train to the last epoch; return False if a batch does not fit in the memory of the GPU.

    That error is not passed on: its traceback would keep the tensors of the batch in memory.

    Raises:
        UserError: if a callback or the scheduler is unusable.
    """
    with warnings.catch_warnings():
        # Lightning warns about the number of loader workers, but whole splits are in memory.
        warnings.simplefilter("ignore")
        try:
            trainer.fit(
                module, train, validation, ckpt_path=None if checkpoint is None else str(checkpoint), weights_only=True
            )
        except MisconfigurationException as error:  # for example if the monitored metric does not exist
            raise UserError(f"callbacks, scheduler: {' '.join(str(error).split())[:300]}") from None
        except RuntimeError as error:
            if not is_gpu_out_of_memory(error):
                raise
            return False
        finally:
            if isinstance(module, StepModule):
                module.forget_graph()
    return True


def read_weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Return the weights and the normalisation in a checkpoint."""
    weights: dict[str, torch.Tensor] = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    return weights


def load_weights(module: nn.Module, checkpoint: Path) -> None:
    """Load weights and normalisation from a checkpoint.

    The tensors of a loss, such as weights of classes, are configured and not trained. The module keeps its own.

    Raises:
        UserError: if they are of another network.
    """
    trained = {name: each for name, each in read_weights(checkpoint).items() if not name.startswith(_LOSS)}
    configured = {name: each for name, each in module.state_dict().items() if name.startswith(_LOSS)}
    try:
        module.load_state_dict(trained | configured)
    except RuntimeError as error:
        raise UserError(f"{checkpoint}: not of this network ({str(error).splitlines()[1].strip()})") from None
