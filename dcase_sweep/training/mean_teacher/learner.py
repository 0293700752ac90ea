"""The learner of sound event detection with a mean teacher."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from dcase_sweep.complexity.layers import Layer, list_layers
from dcase_sweep.config import Experiment, build_front_end, build_metrics, build_model, event_rules, get_monitor
from dcase_sweep.config.components import make_augmentations, make_loss
from dcase_sweep.data.events import EventData
from dcase_sweep.data.waveforms import TrainingWaveforms
from dcase_sweep.evaluation.events.validation import SyntheticValidation, weak_f1
from dcase_sweep.evaluation.metrics import compute_metrics
from dcase_sweep.models.crnn import Predictions
from dcase_sweep.training.best_checkpoint import EpochListener
from dcase_sweep.training.compiled import compile_calls
from dcase_sweep.training.device import resolve_device
from dcase_sweep.training.fitting import Fitted, fit
from dcase_sweep.training.gpu_memory import validation_batch
from dcase_sweep.training.mean_teacher.batches import (
    BATCH_SIZE,
    DeviceFeatures,
    FeatureSource,
    MelBatches,
    MelClips,
    StoredFeatures,
)
from dcase_sweep.training.mean_teacher.module import MeanTeacherModule, ValidationScores
from dcase_sweep.training.mean_teacher.pretrained import read_published, scale_as_published
from dcase_sweep.training.mean_teacher.sampling import BatchComposition, MultiSourceBatchSampler
from dcase_sweep.training.optimization import Optimization
from dcase_sweep.training.sharing import share
from dcase_sweep.training.waveforms import make_waveform_input
from dcase_sweep.utils import console
from dcase_sweep.utils.errors import UserError


@dataclass(frozen=True, slots=True)
class EventScores:
    """The scores of one network for some clips."""

    #: Row of the clip → probabilities ``[frame, class]``.
    strong: dict[int, NDArray[np.float32]]
    #: Row of the clip → probabilities ``[class]``.
    weak: dict[int, NDArray[np.float32]]
    #: Mean binary cross-entropy over all frames.
    loss_strong: float


class MeanTeacherLearner:
    """Trains a student and its teacher on stored mel amplitudes with the recipe of task 4.

    Args:
        experiment: the validated experiment.
        data: clips and their subsets.
        features: mel amplitudes ``[clip, mel, frame]`` of all clips, possibly memory-mapped.
        waveforms: waveforms of the training clips, from which the training computes their features
            (``front_end.store=false``); None = it reads stored features.

    Raises:
        UserError: if a subset is too small for one batch, or the published checkpoint is not of this network.
    """

    trains_together = True

    def __init__(
        self,
        experiment: Experiment,
        data: EventData,
        features: NDArray[np.float32],
        waveforms: TrainingWaveforms | None = None,
    ) -> None:
        if experiment.mean_teacher is None or experiment.evaluation is None:
            raise UserError("mean_teacher, evaluation: no settings; expected those of task=4")
        self.experiment = experiment
        self.settings = experiment.mean_teacher
        self.rules = event_rules(experiment.evaluation)
        self.metrics = build_metrics(experiment)
        self.data = data
        self.features = features
        self.waveforms = waveforms
        self.device = resolve_device(experiment.hardware)
        if experiment.hardware.threads:
            torch.set_num_threads(experiment.hardware.threads)
        pytorch_lightning.seed_everything(experiment.seed, verbose=False)
        student = build_model(experiment, classes=len(data.classes))
        front_end = build_front_end(experiment)
        if experiment.published_checkpoint is not None:
            scale_as_published(front_end)
        self.normalise = front_end.normalise
        #: Time between the frames of the predictions (s), and their number.
        self.hop = student.frame_stride * front_end.hop / front_end.sample_rate
        self.frames = student.frames
        self.sampler = self._make_sampler()
        #: Names of the soundscapes that are validated. Finding them takes a while, which each epoch would wait for.
        self._synthetic = data.names(data.synthetic_validation)
        self.synthesis = SyntheticValidation(
            data.reference_events(data.synthetic_validation),
            data.durations(data.synthetic_validation),
            labels=data.classes,
            hop=self.hop,
            median_length=self.settings.median_filter,
            rules=self.rules,
        )
        self.module = self._make_module(student)
        published = read_published(experiment, classes=len(data.classes))
        if published is not None:
            self.module.student.load_state_dict(published["student"])
            self.module.teacher.load_state_dict(published["teacher"])

    def _make_sampler(self) -> MultiSourceBatchSampler:
        """Return the sampler of the training clips.

        Raises:
            UserError: if a subset is too small for one batch.
        """
        composition = BatchComposition(self.settings.strong, self.settings.weak, self.settings.unlabelled)
        try:
            return MultiSourceBatchSampler(
                strong=len(self.data.strong),
                weak=len(self.data.weak),
                unlabelled=len(self.data.unlabeled),
                composition=composition,
                seed=self.experiment.seed,
            )
        except ValueError as error:
            raise UserError(f"mean_teacher.{error}") from None

    def _make_module(self, student: nn.Module) -> MeanTeacherModule:
        experiment = self.experiment
        return MeanTeacherModule(
            student,
            settings=self.settings,
            optimization=Optimization.of(experiment, len(self.sampler)),
            loss=make_loss(experiment.task.loss),
            normalise=self.normalise,
            # If this were a bound method, a callback that copies the module would copy the learner and all features.
            evaluate=lambda scores: self._validate(scores),
            seed=experiment.seed,
            augmentations=make_augmentations(experiment.augmentation),
            waveforms=None if self.waveforms is None else make_waveform_input(experiment),
            teacher_rows=self.data.weak_validation.tolist(),
        )

    @property
    def clips_per_epoch(self) -> int:
        """Number of training clips in an epoch."""
        return len(self.sampler) * self.sampler.composition.size

    def layers(self) -> list[Layer]:
        """Return the layers of the student with their current weights."""
        shape = self.features.shape[1], self.features.shape[2]
        return list_layers(self.module.student, shape, statistics=False)

    @staticmethod
    def headline(metrics: dict[str, float]) -> str:
        """Describe an epoch in a few words."""
        figures = (("weak F1", "validation/weak_f1"), ("intersection F1", "validation/intersection_f1"))
        shown = ", ".join(f"{name} {100 * metrics[key]:.1f} %" for name, key in figures if key in metrics)
        return f"loss {metrics['train/loss']:.3f}, validation: {shown}"

    def _validate(self, scores: ValidationScores) -> dict[str, float]:
        """Compute the objective of the recipe: macro F1 of weak clips, if any, plus intersection F1 of the others."""
        rows = self.data.synthetic_validation.tolist()
        of_synthetic = self.synthesis.intersection_f1(
            {name: scores.strong[row] for name, row in zip(self._synthetic, rows, strict=True)}
        )
        of_weak: dict[str, float] = {}
        if len(self.data.weak_validation):
            of_weak = {
                "validation/weak_f1": self._weak_f1(scores.weak),
                "validation/teacher_weak_f1": self._weak_f1(scores.teacher_weak),
            }
        return {
            **of_weak,
            "validation/intersection_f1": of_synthetic,
            "validation/objective": of_weak.get("validation/weak_f1", 0.0) + of_synthetic,
            **self._extra_metrics(scores),
        }

    def _extra_metrics(self, scores: ValidationScores) -> dict[str, float]:
        """Compute the configured metrics on the frames of the synthetic clips."""
        rows = self.data.synthetic_validation.tolist()
        if not self.metrics or not rows:
            return {}
        targets = self.data.strong_targets(rows, self.frames, self.hop).transpose(0, 2, 1)  # [clip, frame, class]
        frames = np.concatenate([scores.strong[row] for row in rows])
        return compute_metrics(self.metrics, frames, targets.reshape(len(frames), -1).astype(np.int64), "validation/")

    def _weak_f1(self, scores: dict[int, NDArray[np.float32]]) -> float:
        rows = self.data.weak_validation
        clips = np.stack([scores[row] for row in rows.tolist()])
        return weak_f1(clips, self.data.weak_targets(rows), self.rules.validation_threshold)

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
        module = self.module
        if self.experiment.hardware.compile:
            calls = compile_calls([module.student, module.teacher], self.sampler.composition.size)
            module.call_student, module.call_teacher = calls
        module.graphs = self.experiment.hardware.graphs
        data = self.data
        validated = np.concatenate([data.synthetic_validation, data.weak_validation])
        trained = (data.strong, data.weak, data.unlabeled)
        if self.waveforms is None:
            source = held_out_source = self._source(self.features, np.concatenate([*trained, validated]))
        else:
            strong, weak, unlabelled = (self.waveforms.find(rows) for rows in trained)
            trained = strong, weak, unlabelled
            source = self._source(self.waveforms.packed, np.concatenate(trained))
            held_out_source = self._source(self.features, validated)
        batches = MelBatches(
            source,
            trained,
            strong=data.strong_targets(data.strong, self.frames, self.hop),
            weak=data.weak_targets(data.weak),
            sampler=self.sampler,
            on_batch=on_batch,
        )
        held_out = MelClips(held_out_source, validated, self._choose_batch_size())
        return fit(
            module,
            batches,
            held_out,
            self.experiment,
            folder,
            monitor=get_monitor(self.experiment),
            extra=extra,
            on_epoch=on_epoch,
            resume=resume,
        )

    def _choose_batch_size(self) -> int:
        """Return the batch size of validation and prediction."""
        if self.device == "cpu":
            return BATCH_SIZE
        live = max((layer.live_activations for layer in self.layers()), default=0)
        # The largest maps in float32, and as much again for the workspace of libraries.
        return validation_batch(self.device, 2 * 4 * live, least=BATCH_SIZE, most=512)

    def _source(self, stored: NDArray[Any], rows: NDArray[np.int64]) -> FeatureSource:
        """Return the source of features or waveforms: the store or, if configured and if it fits, a copy on the device.

        Args:
            stored: features ``[clip, mel, frame]`` or packed waveforms ``[clip, sample + 2]``.
            rows: the rows that are used.
        """
        what = "features" if stored is self.features else "waveforms"
        if self.experiment.hardware.cache_device == "device":
            make = partial(DeviceFeatures, stored, rows, self.device)
            copied = share(make, stored, rows, device=self.device, what=what)
            if copied is not None:
                return copied
        return StoredFeatures(stored)

    def predict(self, rows: NDArray[np.int64]) -> dict[str, EventScores]:
        """Compute the scores of student and teacher for some clips in float32."""
        return {
            "student": self._scores(self.module.student, rows, "student"),
            "teacher": self._scores(self.module.teacher, rows, "teacher"),
        }

    def _scores(self, network: nn.Module, rows: NDArray[np.int64], name: str) -> EventScores:
        network = network.to(self.device).eval()
        strong: dict[int, NDArray[np.float32]] = {}
        weak: dict[int, NDArray[np.float32]] = {}
        total, values = 0.0, 0
        with torch.inference_mode(), console.progress("test", len(rows)) as bar:
            for chosen, mel in MelClips(StoredFeatures(self.features), rows):
                predictions = Predictions(*network(self.normalise(mel.to(self.device))))
                targets = torch.from_numpy(self.data.strong_targets(chosen.tolist(), self.frames, self.hop))
                estimated = predictions.strong.float().cpu()
                total += float(functional.binary_cross_entropy(estimated, targets, reduction="sum"))
                values += targets.numel()
                for row, frames, clip in zip(chosen.tolist(), estimated, predictions.weak, strict=True):
                    strong[row] = frames.T.numpy()
                    weak[row] = clip.float().cpu().numpy()
                bar.update(len(strong), text=name)
        return EventScores(strong, weak, total / max(values, 1))
