"""The scene classifier as the runner sees it: fit, predict."""

import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dcase_sweep.config import Experiment, build_model
from dcase_sweep.errors import UserError
from dcase_sweep.learners.batches import Batches, Clips, band_statistics
from dcase_sweep.learners.keeper import BEST, LAST, EpochListener, Keeper, LastCheckpoint
from dcase_sweep.learners.layers import Layer, layers_of
from dcase_sweep.learners.lightning import device_of, make_trainer
from dcase_sweep.learners.scenes.module import SceneModule

METRIC = "validation/accuracy"


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a training left behind."""

    best_epoch: int
    #: The validation metric of that epoch.
    best_value: float
    epochs: int
    checkpoint: Path


class SceneLearner:
    """Trains a clip classifier on stored features by the task's recipe.

    Args:
        experiment: the checked configuration.
        features: ``[clip, mel, frame]`` of all clips, may be memory-mapped.
        targets: class index of each clip ``[clip]``.
        train: indices of the training clips.
        validation: indices of the validation clips.
        classes: number of classes.
    """

    def __init__(
        self,
        experiment: Experiment,
        *,
        features: NDArray[np.float32],
        targets: NDArray[np.int64],
        train: NDArray[np.int64],
        validation: NDArray[np.int64],
        classes: int,
    ) -> None:
        import pytorch_lightning

        self.experiment = experiment
        self.features = features
        self.targets = targets
        self.train = train
        self.validation = validation
        self.device = device_of(experiment.hardware)
        if experiment.hardware.threads:
            torch.set_num_threads(experiment.hardware.threads)
        pytorch_lightning.seed_everything(experiment.seed, verbose=False)
        network = build_model(experiment, classes=classes)
        mean, deviation = band_statistics(features, train)
        self.module = SceneModule(
            network,
            classes=classes,
            mean=torch.from_numpy(mean),
            deviation=torch.from_numpy(deviation),
            optimizer=experiment.optimizer,
            augmentation=experiment.augmentation,
            schedule=experiment.training.schedule,
            seed=experiment.seed,
        )

    def layers(self) -> list[Layer]:
        """The network's layers with their present weights."""
        shape = self.features.shape[1], self.features.shape[2]
        return layers_of(self.module.network, shape)

    def blank_layers(self) -> list[Layer]:
        """The network's layers as training may fill them: every parameter counts."""
        return [
            Layer(
                layer.name, layer.kind, tuple(np.ones_like(array) for array in layer.arrays), layer.multiply_accumulates
            )
            for layer in self.layers()
        ]

    def fit(
        self,
        folder: Path,
        *,
        extra: dict[str, Any],
        on_epoch: EpochListener,
        on_batch: Callable[[int], None] | None = None,
        resume: Path | None = None,
    ) -> Fitted:
        """Train, keeping the best and the last epoch in ``folder``; afterwards the best one's weights are loaded.

        Args:
            folder: where checkpoints go.
            extra: plain values that checkpoints carry.
            on_epoch: told each epoch's number and metrics.
            on_batch: told the number of clips of each batch.
            resume: a ``last.ckpt`` to continue from.
        """
        training, hardware = self.experiment.training, self.experiment.hardware
        folder.mkdir(parents=True, exist_ok=True)
        keeper = Keeper(
            folder,
            metric=METRIC,
            first_epoch=int(training.keep_from * training.epochs),
            extra=extra,
            on_epoch=on_epoch,
        )
        callbacks = [keeper, LastCheckpoint(folder)]
        trainer = make_trainer(hardware, epochs=training.epochs, folder=folder, callbacks=callbacks)
        network = self.module.network
        if hardware.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if hardware.compile:
            network.compile()
        if resume is not None and resume.resolve() != (folder / LAST).resolve():
            shutil.copyfile(resume, folder / LAST)
        with warnings.catch_warnings():
            # Whole splits lie in memory: there is no loader whose workers Lightning could ask for.
            warnings.simplefilter("ignore")
            trainer.fit(
                self.module,
                self._batches(self.train, shuffled=True, on_batch=on_batch),
                self._batches(self.validation),
                ckpt_path=None if resume is None else str(folder / LAST),
                weights_only=True,
            )
        self.load(folder / BEST)
        return Fitted(keeper.best_epoch, keeper.best_value, trainer.current_epoch, folder / BEST)

    def load(self, checkpoint: Path) -> None:
        """Take weights and normalisation from a checkpoint.

        Raises:
            UserError: if they belong to another network.
        """
        weights = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
        try:
            self.module.load_state_dict(weights)
        except RuntimeError as error:
            raise UserError(f"{checkpoint}: not of this network ({str(error).splitlines()[1].strip()})") from None

    def predict(self, rows: NDArray[np.int64], *, at_once: int = 64) -> NDArray[np.float32]:
        """Class probabilities ``[clip, class]`` of some clips, computed in float32."""
        module = self.module.to(self.device).eval()
        parts = []
        with torch.inference_mode():
            for start in range(0, len(rows), at_once):
                features = torch.from_numpy(self.features[rows[start : start + at_once]]).to(self.device)
                parts.append(torch.softmax(module(features).float(), dim=1).cpu().numpy())
        return np.concatenate(parts)

    def _batches(
        self, rows: NDArray[np.int64], *, shuffled: bool = False, on_batch: Callable[[int], None] | None = None
    ) -> Batches:
        where = self.device if self.experiment.hardware.features_on == "device" else "cpu"
        clips = Clips(self.features, rows, self.targets[rows], where)
        seed = self.experiment.seed if shuffled else None
        return Batches(clips, self.experiment.training.batch_size, shuffle_seed=seed, on_batch=on_batch)
