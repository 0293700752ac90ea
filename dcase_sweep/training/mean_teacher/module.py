"""The training step of the mean teacher."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from dcase_sweep.config import MeanTeacher
from dcase_sweep.models.crnn import Predictions
from dcase_sweep.training.augmentation.base import Augmentation, EventTargets, apply_all
from dcase_sweep.training.mean_teacher.losses import Loss, consistency_losses, supervised_losses
from dcase_sweep.training.mean_teacher.teacher import make_teacher, update_teacher
from dcase_sweep.training.optimization import Optimization
from dcase_sweep.training.ramps import exponential_ramp


@dataclass(frozen=True, slots=True)
class ValidationScores:
    """Scores of the validation clips by their rows."""

    #: The student's ``[frame, class]`` and ``[class]``.
    strong: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    weak: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    #: The teacher's ``[class]``, of some of the clips.
    teacher_weak: dict[int, NDArray[np.float32]] = field(default_factory=dict)


#: All scores of an epoch's validation → its metrics.
Validate = Callable[[ValidationScores], dict[str, float]]


class MeanTeacherModule(LightningModule):
    """A student trained on labels and on agreement with its teacher, its own moving average.

    Args:
        student: features ``[batch, mel, frame]`` → `Predictions`.
        settings: of the ramp, the consistency loss and the teacher.
        optimization: of the student; its steps per epoch are those of the ramp.
        loss: probabilities and targets → a number, of the labels.
        normalise: mel amplitudes ``[batch, mel, frame]`` → features of the same shape.
        evaluate: scores of the validation clips → metrics.
        augmentations: of training batches, in their order.
        teacher_rows: the validation clips that the teacher predicts as well; all would take too long.
        seed: each epoch draws its random numbers from it and the epoch's number, so that a resumed run draws
            what the uninterrupted one would have drawn.
    """

    def __init__(
        self,
        student: nn.Module,
        *,
        settings: MeanTeacher,
        optimization: Optimization,
        loss: Loss,
        normalise: Callable[[Tensor], Tensor],
        evaluate: Validate,
        seed: int,
        augmentations: Sequence[Augmentation] = (),
        teacher_rows: Iterable[int] = (),
    ) -> None:
        super().__init__()
        self.student = student
        self.teacher = make_teacher(student)
        self.settings = settings
        self.optimization = optimization
        self.loss = loss
        self.augmentations = augmentations
        self.ramp_steps = settings.ramp_epochs * optimization.steps_per_epoch
        self.normalise = normalise
        self.evaluate = evaluate
        self.seed = seed
        self.teacher_rows = frozenset(teacher_rows)
        self._scores = ValidationScores()

    def configure_optimizers(self) -> Any:
        return self.optimization.configure(self.student.parameters())

    def on_train_start(self) -> None:
        self.teacher.train()

    def on_train_epoch_start(self) -> None:
        torch.manual_seed((self.seed * 1_000_003 + self.current_epoch) % 2**63)
        self.rng = np.random.default_rng([self.seed, self.current_epoch, 7])

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], position: int) -> Tensor:
        step = self.global_step + 1
        mel, strong, weak = batch
        mel, targets = apply_all(self.augmentations, mel, EventTargets(strong, weak), self.rng)
        features = self.normalise(mel)
        student: Predictions = self.student(features)
        with torch.no_grad():
            teacher: Predictions = self.teacher(features)
            of_teacher = supervised_losses(teacher, targets, self.loss)
        supervised = supervised_losses(student, targets, self.loss)
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
            "train/learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"],
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
