"""The training step of the mean teacher."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from dcase_sweep.audio import augment_events
from dcase_sweep.audio.amplitude_mel import scale_clip, to_decibel
from dcase_sweep.config import MeanTeacher, Optimizer
from dcase_sweep.learners.mean_teacher.losses import consistency_losses, supervised_losses
from dcase_sweep.learners.mean_teacher.mixup import LabelledBatch, mixup
from dcase_sweep.learners.mean_teacher.ramps import exponential_ramp, learning_rate_factor
from dcase_sweep.learners.mean_teacher.sampling import Composition
from dcase_sweep.learners.mean_teacher.teacher import make_teacher, update_teacher
from dcase_sweep.models.crnn import Predictions

#: Given the student's scores per row, the metrics of an epoch's validation.
Judge = Callable[[dict[int, NDArray[np.float32]], dict[int, NDArray[np.float32]]], dict[str, float]]


class MeanTeacherModule(LightningModule):
    """A student trained on labels and on agreement with its teacher, its own moving average.

    Args:
        student: features ``[batch, mel, frame]`` → `Predictions`.
        settings: batch composition, ramps, mixup, augmentation.
        steps_per_epoch: the ramps are counted in steps.
        judge: scores of the validation clips → metrics; the strong ``[frame, class]`` and the weak ones ``[class]``.
        seed: each epoch draws its random numbers anew from it and the epoch's number, so that a resumed run draws
            what the uninterrupted one would have drawn.
    """

    def __init__(
        self,
        student: nn.Module,
        *,
        settings: MeanTeacher,
        optimizer: Optimizer,
        steps_per_epoch: int,
        judge: Judge,
        seed: int,
    ) -> None:
        super().__init__()
        self.student = student
        self.teacher = make_teacher(student)
        self.settings = settings
        self.optimizer = optimizer
        self.composition = Composition(settings.strong, settings.weak, settings.unlabelled)
        self.ramp_steps = settings.ramp_epochs * steps_per_epoch
        self.judge = judge
        self.seed = seed
        self._strong: dict[int, NDArray[np.float32]] = {}
        self._weak: dict[int, NDArray[np.float32]] = {}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        settings = self.optimizer
        parameters = self.student.parameters()
        if settings.name == "sgd":
            return torch.optim.SGD(parameters, settings.lr, momentum=0.9, weight_decay=settings.weight_decay)
        kind = torch.optim.Adam if settings.name == "adam" else torch.optim.AdamW
        return kind(parameters, settings.lr, eps=settings.eps, weight_decay=settings.weight_decay)

    def on_train_start(self) -> None:
        self.teacher.train()

    def on_train_epoch_start(self) -> None:
        torch.manual_seed((self.seed * 1_000_003 + self.current_epoch) % 2**63)
        self.chance = np.random.default_rng([self.seed, self.current_epoch, 7])

    def _augmented(self, batch: LabelledBatch) -> LabelledBatch:
        """Amplitudes and labels after whatever augmentation is on; mixup last, as the recipe has it."""
        settings, mel, strong = self.settings, batch.mel, batch.strong
        if settings.frame_shift:
            stride = round(mel.shape[2] / strong.shape[2])
            clips = self.composition.strong_clips
            shifted, strong = augment_events.frame_shift(
                mel[clips], strong, self.chance, frame_stride=stride, deviation=settings.frame_shift
            )
            mel = torch.cat([shifted, mel[clips.stop :]])
        if settings.mask_mels:
            mel = augment_events.mask_frequencies(mel, self.chance, count=settings.mask_mels)
        if settings.filter_augment:
            gains = (-settings.filter_augment, settings.filter_augment)
            mel = augment_events.filter_augment(mel, self.chance, decibels=gains)
        return mixup(
            LabelledBatch(mel, strong, batch.weak),
            self.composition,
            self.chance,
            probability=settings.mixup_probability,
            alpha=settings.mixup_alpha,
            labels="soft" if settings.mixup_labels == "soft" else "hard",
        )

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], position: int) -> Tensor:
        step = self.global_step + 1
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.optimizer.lr * learning_rate_factor(step, self.ramp_steps)
        mixed = self._augmented(LabelledBatch(*batch))
        features = scale_clip(to_decibel(mixed.mel))
        student: Predictions = self.student(features)
        with torch.no_grad():
            teacher: Predictions = self.teacher(features)
        supervised = supervised_losses(student, mixed.strong, mixed.weak, self.composition)
        agreement = consistency_losses(student, teacher)
        weight = self.settings.consistency * exponential_ramp(step, self.ramp_steps)
        loss = supervised.total + weight * agreement.total
        update_teacher(self.teacher, self.student, step, self.settings.ema)
        values: dict[str, Tensor | float] = {
            "train/loss": loss,
            "train/loss_strong": supervised.strong,
            "train/loss_weak": supervised.weak,
            "train/consistency_strong": agreement.strong,
            "train/consistency_weak": agreement.weak,
            "train/consistency_weight": weight,
        }
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(features))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], position: int) -> None:
        rows, mel = batch
        predictions: Predictions = self.student(scale_clip(to_decibel(mel)))
        for row, strong, weak in zip(rows.tolist(), predictions.strong, predictions.weak, strict=True):
            self._strong[row] = strong.T.float().cpu().numpy()
            self._weak[row] = weak.float().cpu().numpy()

    def on_validation_epoch_end(self) -> None:
        metrics: dict[str, Any] = self.judge(self._strong, self._weak)
        self.log_dict(metrics)
        self._strong, self._weak = {}, {}
