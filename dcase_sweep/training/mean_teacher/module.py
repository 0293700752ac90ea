"""The training step of the mean teacher."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from dcase_sweep.config import MeanTeacher, Optimizer
from dcase_sweep.models.crnn import Predictions
from dcase_sweep.training.augmentation import events as augment_events
from dcase_sweep.training.mean_teacher.losses import consistency_losses, supervised_losses
from dcase_sweep.training.mean_teacher.mixup import LabelledBatch, mixup
from dcase_sweep.training.mean_teacher.ramps import cosine_factor, exponential_ramp, learning_rate_factor
from dcase_sweep.training.mean_teacher.sampling import Composition
from dcase_sweep.training.mean_teacher.teacher import make_teacher, update_teacher


@dataclass(frozen=True, slots=True)
class ValidationScores:
    """Scores of the validation clips by their rows."""

    #: The student's ``[frame, class]`` and ``[class]``.
    strong: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    weak: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    #: The teacher's ``[class]``, of some of the clips.
    teacher_weak: dict[int, NDArray[np.float32]] = field(default_factory=dict)


#: Given all scores of an epoch's validation, its metrics.
Judge = Callable[[ValidationScores], dict[str, float]]


class MeanTeacherModule(LightningModule):
    """A student trained on labels and on agreement with its teacher, its own moving average.

    Args:
        student: features ``[batch, mel, frame]`` → `Predictions`.
        settings: batch composition, ramps, mixup, augmentation.
        steps_per_epoch: the ramps are counted in steps.
        normalise: mel amplitudes ``[batch, mel, frame]`` → features of the same shape.
        evaluate: scores of the validation clips → metrics.
        epochs: of the whole training, after which a cosine schedule has come down.
        schedule: of the learning rate after its ramp, ``constant`` or ``cosine``.
        teacher_rows: the validation clips that the teacher is asked about as well; all would take too long.
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
        normalise: Callable[[Tensor], Tensor],
        evaluate: Judge,
        seed: int,
        epochs: int = 1,
        schedule: str = "constant",
        teacher_rows: Iterable[int] = (),
    ) -> None:
        super().__init__()
        self.student = student
        self.teacher = make_teacher(student)
        self.settings = settings
        self.optimizer = optimizer
        self.composition = Composition(settings.strong, settings.weak, settings.unlabelled)
        self.ramp_steps = settings.ramp_epochs * steps_per_epoch
        self.steps = epochs * steps_per_epoch
        self.schedule = schedule
        self.normalise = normalise
        self.evaluate = evaluate
        self.seed = seed
        self.teacher_rows = frozenset(teacher_rows)
        self._scores = ValidationScores()

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
        self.rng = np.random.default_rng([self.seed, self.current_epoch, 7])

    def _augmented(self, batch: LabelledBatch) -> LabelledBatch:
        """Amplitudes and labels after whatever augmentation is on; mixup last, as the recipe has it."""
        settings, mel, strong = self.settings, batch.mel, batch.strong
        if settings.frame_shift:
            stride = round(mel.shape[2] / strong.shape[2])
            mel, strong = augment_events.frame_shift(
                mel, strong, self.rng, frame_stride=stride, deviation=settings.frame_shift
            )
        if settings.mask_mels:
            mel = augment_events.mask_frequencies(
                mel, self.rng, count=settings.mask_mels, largest_share=settings.mask_mels_fraction
            )
        if settings.filter_augment:
            least, most = settings.filter_augment_bands
            mel = augment_events.filter_augment(
                mel,
                self.rng,
                kind="step" if settings.filter_augment_kind == "step" else "linear",
                decibels=(-settings.filter_augment, settings.filter_augment),
                bands=(least, most),
                narrowest=settings.filter_augment_narrowest,
            )
        return mixup(
            LabelledBatch(mel, strong, batch.weak),
            self.composition,
            self.rng,
            probability=settings.mixup_probability,
            alpha=settings.mixup_alpha,
            labels="soft" if settings.mixup_labels == "soft" else "hard",
        )

    def learning_rate(self, step: int) -> float:
        """Of a step counted from 1: the ramp, then what the schedule makes of it."""
        rate = self.optimizer.lr * learning_rate_factor(step, self.ramp_steps)
        return rate * cosine_factor(step, self.ramp_steps, self.steps) if self.schedule == "cosine" else rate

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], position: int) -> Tensor:
        step = self.global_step + 1
        rate = self.learning_rate(step)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate
        mixed = self._augmented(LabelledBatch(*batch))
        features = self.normalise(mixed.mel)
        student: Predictions = self.student(features)
        with torch.no_grad():
            teacher: Predictions = self.teacher(features)
            of_teacher = supervised_losses(teacher, mixed.strong, mixed.weak, self.composition)
        supervised = supervised_losses(student, mixed.strong, mixed.weak, self.composition)
        agreement = consistency_losses(student, teacher)
        weight = self.settings.consistency_weight * exponential_ramp(step, self.ramp_steps)
        loss = supervised.total + weight * agreement.total
        update_teacher(self.teacher, self.student, step, self.settings.ema_decay)
        values: dict[str, Tensor | float] = {
            "train/loss": loss,
            "train/loss_strong": supervised.strong,
            "train/loss_weak": supervised.weak,
            "train/teacher_loss_strong": of_teacher.strong,
            "train/teacher_loss_weak": of_teacher.weak,
            "train/consistency_strong": agreement.strong,
            "train/consistency_weak": agreement.weak,
            "train/consistency_weight": weight,
            "train/learning_rate": rate,
        }
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(features))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], position: int) -> None:
        rows, mel = batch
        features = self.normalise(mel)
        predictions: Predictions = self.student(features)
        for row, strong, weak in zip(rows.tolist(), predictions.strong, predictions.weak, strict=True):
            self._scores.strong[row] = strong.T.float().cpu().numpy()
            self._scores.weak[row] = weak.float().cpu().numpy()
        asked = [place for place, row in enumerate(rows.tolist()) if row in self.teacher_rows]
        if asked:
            of_teacher: Predictions = self.teacher(features[asked])
            for place, weak in zip(asked, of_teacher.weak, strict=True):
                self._scores.teacher_weak[int(rows[place])] = weak.float().cpu().numpy()

    def on_validation_epoch_end(self) -> None:
        self.log_dict(dict(self.evaluate(self._scores)))
        self._scores = ValidationScores()
