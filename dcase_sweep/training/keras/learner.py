"""The scene classifier in Keras."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dcase_sweep.complexity.layers import Layer, list_layers
from dcase_sweep.config import Experiment, build_metrics, build_model, get_monitor
from dcase_sweep.config.classes import locate_class
from dcase_sweep.config.components import make_augmentations
from dcase_sweep.data.scenes import SceneData
from dcase_sweep.training.best_checkpoint import BestCheckpoint, EpochListener
from dcase_sweep.training.checkpoints import NETWORK, weights_under
from dcase_sweep.training.device import resolve_precision
from dcase_sweep.training.fitting import Fitted, read_weights
from dcase_sweep.training.float16 import float16_probabilities
from dcase_sweep.training.keras.batches import Batches, Stored
from dcase_sweep.training.keras.library import device_scope, set_up
from dcase_sweep.training.keras.loaded import keras
from dcase_sweep.training.keras.network import build_network
from dcase_sweep.training.keras.optimizers import make_optimizer
from dcase_sweep.training.keras.progress import Progress
from dcase_sweep.training.keras.weights import check_twin, from_keras, to_keras
from dcase_sweep.training.normalisation import network_frames, normalisation
from dcase_sweep.training.restoring import restoring
from dcase_sweep.training.scenes import SceneLearner


class KerasSceneLearner:
    """Trains the Keras version of a clip classifier on stored features, in the same way as `SceneLearner`.

    Uses the same batches in the same order, the same rule for the best epoch and the same format of checkpoints. The
    random numbers of initial weights and dropout are Keras' own.

    Args:
        experiment: the validated configuration.
        data: recordings and their splits.
        features: stored features of all recordings, ``[recording, mel, stored frame]``, possibly memory-mapped.

    Raises:
        UserError: if TensorFlow does not support the settings of ``hardware``.
    """

    headline = staticmethod(SceneLearner.headline)

    def __init__(self, experiment: Experiment, data: SceneData, features: NDArray[np.float32]) -> None:
        self.experiment = experiment
        self.data = data
        self.metrics = build_metrics(experiment)
        self.features = network_frames(experiment, features)
        set_up(experiment.hardware, experiment.seed)
        self.mean, self.deviation = normalisation(experiment, data, features)
        precision = resolve_precision(experiment.hardware)
        with device_scope(experiment.hardware):
            self.network = build_network(experiment, classes=len(data.classes), precision=precision)
            self._check_twin()

    @property
    def clips_per_epoch(self) -> int:
        """Number of clips in an epoch."""
        return len(self.data.train)

    def layers(self) -> list[Layer]:
        """Return the layers of the PyTorch network with the current weights."""
        network = build_model(self.experiment, classes=len(self.data.classes))
        network.load_state_dict(from_keras(self.network))
        return list_layers(network, (self.features.shape[1], self.features.shape[2]))

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return weights and normalisation by their names in a checkpoint of `SceneLearner`."""
        weights = {NETWORK + name: value for name, value in from_keras(self.network).items()}
        normalisation = {"mean": self.mean, "deviation": self.deviation}
        return weights | {name: torch.from_numpy(value[:, None].copy()) for name, value in normalisation.items()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Load weights and normalisation.

        Raises:
            UserError: if the weights are of another network.
        """
        to_keras(weights_under(NETWORK, state), self.network)
        self.mean, self.deviation = state["mean"][:, 0].numpy(), state["deviation"][:, 0].numpy()

    def fit(
        self,
        folder: Path,
        *,
        extra: dict[str, Any],
        on_epoch: EpochListener,
        on_batch: Callable[[int], None] | None = None,
        resume: Path | None = None,
    ) -> Fitted:
        """Train with ``model.fit``, save the best and the last epoch, and load the weights of the best epoch.

        Args:
            folder: folder of ``best.ckpt`` and ``last.ckpt``.
            extra: plain values to store in checkpoints.
            on_epoch: called with the number and the metrics of each epoch.
            on_batch: called with the number of clips in each batch.
            resume: a ``last.ckpt`` to continue from.

        Raises:
            UserError: if a loss is NaN or infinite, or no epoch could be evaluated.
        """
        training = self.experiment.training
        folder.mkdir(parents=True, exist_ok=True)
        best_checkpoint = BestCheckpoint(
            folder,
            monitor=get_monitor(self.experiment),
            first_epoch=training.first_best_epoch,
            extra=extra,
            on_epoch=on_epoch,
        )
        with device_scope(self.experiment.hardware):
            model, train, validation = self._model_and_batches()
            self._compile(model, steps=len(train) * training.epochs)
            progress = Progress(self, best_checkpoint, train, self.experiment, on_batch)
            with restoring(resume, lambda: False):
                begin = 0 if resume is None else progress.resume(model, resume)
            model.fit(
                train,
                validation_data=validation,
                initial_epoch=begin,
                epochs=training.epochs,
                shuffle=False,  # the batches shuffle their clips themselves
                verbose=0,
                callbacks=[progress],
            )
        best_checkpoint.conclude()
        self.load_state_dict(read_weights(best_checkpoint.best_path))
        return Fitted(
            best_checkpoint.best_epoch,
            best_checkpoint.metric,
            best_checkpoint.best_value,
            training.epochs,
            best_checkpoint.best_path,
        )

    def predict(self, rows: NDArray[np.int64], *, batch_size: int = 64) -> NDArray[np.float32]:
        """Compute class probabilities ``[clip, class]`` of some recordings in float32."""
        with device_scope(self.experiment.hardware):
            network = build_network(self.experiment, classes=len(self.data.classes))
            network.set_weights(self.network.get_weights())
            parts = [
                network.predict_on_batch(self._normalised(rows[start : start + batch_size])[..., None])
                for start in range(0, len(rows), batch_size)
            ]
        return np.concatenate(parts).astype(np.float32)

    def predict_in_float16(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Compute class probabilities ``[clip, class]`` of some recordings with the PyTorch network."""
        classes = len(self.data.classes)
        return float16_probabilities(self.experiment, self.state_dict(), self.features, rows, classes=classes)

    def _check_twin(self) -> None:
        """Check a Keras version from outside of this package before it is trained."""
        target: Any = locate_class("model", self.experiment.model._target_)
        if not target.keras_twin.startswith("dcase_sweep."):
            classes = len(self.data.classes)
            network = build_model(self.experiment, classes=classes)
            plain = build_network(self.experiment, classes=classes)
            check_twin(network, plain, self._normalised(self.data.train[:4]))

    def _normalised(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        normalised: NDArray[np.float32] = (self.features[rows] - self.mean[:, None]) / self.deviation[:, None]
        return normalised

    def _compile(self, model: Any, *, steps: int) -> None:
        """Prepare a model for ``fit``.

        Args:
            model: the Keras model.
            steps: number of steps of the whole training.
        """
        model.compile(
            make_optimizer(self.experiment.optimizer, self.experiment.scheduler, steps=steps),
            loss=keras.losses.CategoricalCrossentropy(),
            metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            jit_compile=self.experiment.hardware.compile,
        )

    def _model_and_batches(self) -> tuple[Any, Batches, Batches]:
        """Return the model to fit and its batches, of features or of indices of features on the device."""
        settings = self.experiment
        assert settings.training.batch_size is not None  # as validated
        train, validation = self.data.train, self.data.validation
        one_hot = np.eye(len(self.data.classes), dtype=np.float32)[self.data.targets]
        model: Any = self.network
        inputs: tuple[NDArray[Any], NDArray[Any]] = (self._normalised(train), self._normalised(validation))
        if settings.hardware.cache_device == "device":
            places = np.arange(len(train) + len(validation), dtype=np.int32)
            stored = Stored(np.concatenate(inputs))
            model = keras.Sequential([keras.layers.Input((), dtype="int32"), stored, self.network])
            inputs = (places[: len(train)], places[len(train) :])
        return (
            model,
            Batches(
                inputs[0],
                one_hot[train],
                settings.training.batch_size,
                shuffle_seed=settings.seed,
                augmentations=make_augmentations(settings.augmentation),
            ),
            Batches(inputs[1], one_hot[validation], settings.training.batch_size),
        )
