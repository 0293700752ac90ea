"""The learner of scene classification."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning
import torch
from numpy.typing import NDArray
from torch import nn

from dcase_sweep.complexity.layers import Layer, list_layers
from dcase_sweep.complexity.networks import plan_layers
from dcase_sweep.complexity.outputs import check_outputs
from dcase_sweep.config import Experiment, build_metrics, build_model, get_monitor
from dcase_sweep.config.components import make_augmentations, make_loss
from dcase_sweep.data.scenes import SceneData
from dcase_sweep.data.waveforms import TrainingWaveforms
from dcase_sweep.training.batches import Batches, Clips, MappedClips
from dcase_sweep.training.best_checkpoint import EpochListener
from dcase_sweep.training.compiled import compile_calls
from dcase_sweep.training.compression.compressor import Compressor
from dcase_sweep.training.compression.start import find_start
from dcase_sweep.training.device import resolve_device
from dcase_sweep.training.fitting import Fitted, fit, load_weights
from dcase_sweep.training.float16 import float16_probabilities
from dcase_sweep.training.gpu_memory import validation_batch
from dcase_sweep.training.normalisation import network_frames, normalisation
from dcase_sweep.training.optimization import Optimization
from dcase_sweep.training.scenes.module import SceneModule
from dcase_sweep.training.sharing import share
from dcase_sweep.training.waveforms import make_waveform_input
from dcase_sweep.utils import console


class SceneLearner:
    """Trains a clip classifier on stored features with the recipe of the task.

    Args:
        experiment: the validated experiment.
        data: recordings and their splits.
        features: stored features of all recordings ``[recording, mel, stored frame]``, possibly memory-mapped.
        waveforms: waveforms of the training clips, from which the training computes their features
            (``front_end.store=false``); None = it reads stored features.

    Raises:
        UserError: if the network cannot be compressed as configured, or the weights to start from do not match it.
    """

    trains_together = True

    def __init__(
        self,
        experiment: Experiment,
        data: SceneData,
        features: NDArray[np.float32],
        waveforms: TrainingWaveforms | None = None,
    ) -> None:
        self.experiment = experiment
        self.data = data
        self.features = network_frames(experiment, features)
        self.waveforms = waveforms
        self.targets = data.targets
        self.device = resolve_device(experiment.hardware)
        pytorch_lightning.seed_everything(experiment.seed, verbose=False)
        network = build_model(experiment, classes=len(data.classes))
        check_outputs(network, experiment, len(data.classes))
        #: Compresses the network during training; None without compression.
        self.compressor = self._compressor(network)
        quantized = self.compressor.quantized if self.compressor is not None else None
        mean, deviation = normalisation(experiment, data, features)
        self.module = SceneModule(
            network,
            classes=len(data.classes),
            mean=torch.from_numpy(mean),
            deviation=torch.from_numpy(deviation),
            optimization=Optimization.of(experiment, self._steps_per_epoch),
            loss=make_loss(experiment.task.loss),
            augmentations=make_augmentations(experiment.augmentation),
            waveforms=None if waveforms is None else make_waveform_input(experiment),
            seed=experiment.seed,
            metrics=build_metrics(experiment),
            call=quantized,
        )
        if experiment.compressed is not None and experiment.compressed.start is not None:
            load_weights(self.module, find_start(experiment.compressed.start))

    def _compressor(self, network: nn.Module) -> Compressor | None:
        settings = self.experiment.compressed
        if settings is None:
            return None
        return Compressor(
            network,
            settings,
            input_shape=(self.features.shape[1], self.features.shape[2]),
            epochs=self.experiment.training.epochs,
            steps_per_epoch=self._steps_per_epoch,
        )

    @property
    def _batch_size(self) -> int:
        batch_size = self.experiment.training.batch_size
        assert batch_size is not None  # as checked
        return batch_size

    @property
    def _steps_per_epoch(self) -> int:
        return -(-len(self.data.train) // self._batch_size)

    @property
    def clips_per_epoch(self) -> int:
        """Number of training clips in an epoch."""
        return len(self.data.train)

    def layers(self) -> list[Layer]:
        """Return the layers of the network with their current weights."""
        shape = (self.features.shape[1], self.features.shape[2])
        return list_layers(
            self.module.network, shape, planned=plan_layers(self.experiment, classes=len(self.data.classes))
        )

    @staticmethod
    def headline(metrics: dict[str, float]) -> str:
        """Describe an epoch in a few words."""
        return f"loss {metrics['train/loss']:.3f}, validation {100 * metrics['validation/accuracy']:.1f} %"

    def fit(
        self,
        folder: Path,
        *,
        extra: dict[str, Any],
        on_epoch: EpochListener,
        on_batch: Callable[[int], None] | None = None,
        resume: Path | None = None,
    ) -> Fitted:
        """Train with `training.fitting.fit`; ``on_batch`` is called with the number of clips of each batch."""
        network = self.module.network
        self.module.train()  # Lightning keeps the mode that it finds, and the network to start from has been evaluated
        if self.experiment.hardware.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.experiment.hardware.compile:
            (self.module.call,) = compile_calls([network], min(self._batch_size, len(self.data.train)))
        self.module.graphs = self.experiment.hardware.graphs
        if self.compressor is not None and self.compressor.quantized is not None:
            self.module.obstacle = "compression.quantize changes the network between epochs"
        return fit(
            self.module,
            self._training_batches(on_batch),
            Batches(self._clips(self.data.validation), self._validation_batch()),
            self.experiment,
            folder,
            monitor=get_monitor(self.experiment),
            extra=extra,
            on_epoch=on_epoch,
            resume=resume,
            compressor=self.compressor,
        )

    def predict(self, rows: NDArray[np.int64], *, batch_size: int = 64) -> NDArray[np.float32]:
        """Compute class probabilities ``[clip, class]`` of some recordings in float32."""
        module = self.module.to(self.device).eval()
        parts = []
        with torch.inference_mode(), console.progress("test", len(rows)) as bar:
            for start in range(0, len(rows), batch_size):
                features = torch.from_numpy(self.features[rows[start : start + batch_size]]).to(self.device)
                parts.append(torch.softmax(module(features).float(), dim=1).cpu().numpy())
                bar.update(min(start + batch_size, len(rows)))
        return np.concatenate(parts)

    def predict_in_float16(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Compute class probabilities ``[clip, class]`` of some recordings as in the official test stage."""
        state, classes = self.module.state_dict(), len(self.data.classes)
        return float16_probabilities(self.experiment, state, self.features, rows, classes=classes, device=self.device)

    def _validation_batch(self) -> int:
        """Return the batch size of validation: that of training, or what fits in the memory of a GPU."""
        if self.device == "cpu":
            return self._batch_size
        live = max((layer.live_activations for layer in self.layers()), default=0)
        # The largest maps in float32, and as much again for the workspace of libraries.
        return validation_batch(self.device, 2 * 4 * live, least=self._batch_size)

    def _training_batches(self, on_batch: Callable[[int], None] | None) -> Batches:
        clips = self._clips(self.data.train) if self.waveforms is None else self._waveform_clips(self.waveforms)
        return Batches(clips, self._batch_size, shuffle_seed=self.experiment.seed, on_batch=on_batch)

    def _clips(self, rows: NDArray[np.int64]) -> Clips:
        """Return stored features, copied to the device if configured and if they fit."""
        targets = self.targets[rows]
        if self._copies_to_device:
            make = partial(Clips, self.features, rows, targets, self.device)
            clips = share(make, self.features, rows, [targets], device=self.device)
            if clips is not None:
                return clips
        make = partial(Clips, self.features, rows, targets)
        clips = share(make, self.features, rows, [targets], device="cpu")
        assert clips is not None  # main memory is not checked
        return clips

    def _waveform_clips(self, waveforms: TrainingWaveforms) -> Clips:
        """Return the waveforms of the training clips: stored or, if configured and if they fit, on the device."""
        packed, rows, targets = waveforms.packed, waveforms.find(self.data.train), self.targets[self.data.train]
        if self._copies_to_device:
            make = partial(Clips, packed, rows, targets, self.device)
            clips = share(make, packed, rows, [targets], device=self.device, what="waveforms")
            if clips is not None:
                return clips
        return MappedClips(packed, rows, targets)

    @property
    def _copies_to_device(self) -> bool:
        return self.experiment.hardware.cache_device == "device"
