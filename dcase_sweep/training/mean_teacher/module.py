"""The training step of the mean teacher."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcase_sweep.config import MeanTeacher
from dcase_sweep.models.crnn import Predictions
from dcase_sweep.training.augmentation.base import Augmentation, EventTargets, apply_all
from dcase_sweep.training.mean_teacher.losses import Loss, consistency_losses, supervised_losses
from dcase_sweep.training.mean_teacher.teacher import make_teacher, teacher_decay, update_teacher
from dcase_sweep.training.optimization import Optimization
from dcase_sweep.training.ramps import exponential_ramp
from dcase_sweep.training.step_graph import StepValues
from dcase_sweep.training.step_module import StepModule
from dcase_sweep.training.waveforms import WaveformInput


@dataclass(frozen=True, slots=True)
class ValidationScores:
    """Scores of the validation clips: row of the clip → probabilities."""

    #: Probabilities of the student for frames ``[frame, class]`` and for clips ``[class]``.
    strong: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    weak: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    #: Probabilities of the teacher ``[class]`` for some of the clips.
    teacher_weak: dict[int, NDArray[np.float32]] = field(default_factory=dict)


#: Function of all scores of a validation that returns its metrics.
Validate = Callable[[ValidationScores], dict[str, float]]


class MeanTeacherModule(StepModule):
    """Trains a student with labels and with the predictions of its teacher, a moving average of the student.

    Args:
        student: features ``[batch, mel, frame]`` → `Predictions`, or a pair of these two tensors.
        settings: settings of the ramp, the consistency loss and the teacher.
        optimization: optimizer and schedule of the student; its steps per epoch are those of the ramp.
        loss: probabilities and targets → supervised loss.
        normalise: mel amplitudes ``[batch, mel, frame]`` → features of the same shape.
        evaluate: scores of the validation clips → metrics.
        augmentations: augmentations of training batches, in this order.
        waveforms: computes the mel amplitudes of training batches from waveforms; None = batches have them.
        teacher_rows: rows of the validation clips that the teacher predicts too; predicting all would take too long.
        seed: seed of the random numbers. Each epoch derives its own from it and the number of the epoch, so that a
            resumed run uses the same random numbers as an uninterrupted one.
    """

    can_join = True
    reported = (
        "train/loss",
        "train/loss_strong",
        "train/loss_weak",
        "train/teacher_loss_strong",
        "train/teacher_loss_weak",
        "train/consistency_strong",
        "train/consistency_weak",
    )

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
        waveforms: WaveformInput | None = None,
        teacher_rows: Iterable[int] = (),
    ) -> None:
        super().__init__(seed)
        self.student = student
        self.teacher = make_teacher(student)
        #: The calls of the networks in training; may be replaced by compiled ones.
        self.call_student: Callable[[Tensor], Any] = self.student.__call__
        self.call_teacher: Callable[[Tensor], Any] = self.teacher.__call__
        self.settings = settings
        self.optimization = optimization
        self.loss = loss
        self.augmentations = augmentations
        self.waveforms = waveforms
        self.ramp_steps = settings.ramp_epochs * optimization.steps_per_epoch
        self.normalise = normalise
        self.evaluate = evaluate
        self.teacher_rows = frozenset(teacher_rows)
        #: Rows and predictions of each validation batch, of the student and of the teacher.
        self._predicted: list[tuple[list[int], Tensor, Tensor]] = []
        self._of_teacher: list[tuple[list[int], Tensor]] = []

    def configure_optimizers(self) -> Any:
        return self.optimization.configure(self.student.parameters())

    def on_train_start(self) -> None:
        self.teacher.train()
        super().on_train_start()

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return self.student, self.teacher

    def has_own_calls(self) -> bool:
        return self.call_student != self.student.__call__ or self.call_teacher != self.teacher.__call__

    def get_features(self, *inputs: Tensor) -> Tensor:
        return self.normalise(inputs[0])

    def prepare(self, batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, ...]:
        mel, strong, weak = batch
        targets = EventTargets(strong, weak)
        if self.waveforms is not None:
            mel, targets = self.waveforms(mel, targets, self.rng)
        mel, targets = apply_all(self.augmentations, mel, targets, self.rng)
        return mel, targets.strong, targets.weak

    def step_numbers(self) -> dict[str, float]:
        step = self.global_step + 1
        return {
            "weight": self.settings.consistency_weight * exponential_ramp(step, self.ramp_steps),
            "decay": teacher_decay(step, self.settings.ema_decay),
        }

    def reported_numbers(self, numbers: Mapping[str, float]) -> dict[str, float]:
        return {
            "train/consistency_weight": numbers["weight"],
            "train/learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"],
        }

    def compute(self, *inputs: Tensor, **numbers: Any) -> StepValues:
        mel, strong, weak = inputs
        targets = EventTargets(strong, weak)
        features = self.normalise(mel)
        student = Predictions(*self.call_student(features))
        with torch.no_grad():
            teacher = Predictions(*self.call_teacher(features))
            of_teacher = supervised_losses(teacher, targets, self.loss)
        supervised = supervised_losses(student, targets, self.loss)
        agreement = consistency_losses(student, teacher)
        loss = supervised.total + numbers["weight"] * agreement.total
        update_teacher(self.teacher, self.student, numbers["decay"])
        values = (
            loss,
            *(supervised.strong, supervised.weak),
            *(of_teacher.strong, of_teacher.weak),
            *(agreement.strong, agreement.weak),
        )
        return StepValues(loss, torch.stack([value.detach().float() for value in values]))

    def divide_batch(self, batch: tuple[Tensor, ...], divisor: int) -> tuple[Tensor, Tensor, Tensor]:
        mel, *labels = batch
        strong, weak = (part[: -(-len(part) // divisor)] for part in labels)
        kinds = mel.split([len(labels[0]), len(labels[1]), len(mel) - len(labels[0]) - len(labels[1])])
        return torch.cat([part[: -(-len(part) // divisor)] for part in kinds]), strong, weak

    def validation_step(self, batch: tuple[Any, Tensor], position: int) -> None:
        rows, mel = batch[0].tolist(), batch[1]
        features = self.normalise(mel)
        predictions = Predictions(*self.student(features))
        self._predicted.append((rows, predictions.strong.float(), predictions.weak.float()))
        selected = [position for position, row in enumerate(rows) if row in self.teacher_rows]
        if selected:
            positions = torch.tensor(selected).to(features.device, non_blocking=True)
            of_teacher = Predictions(*self.teacher(features[positions]))
            self._of_teacher.append(([rows[position] for position in selected], of_teacher.weak.float()))

    def on_validation_epoch_end(self) -> None:
        self.log_means()
        self.log_values(self.evaluate(self._collect_scores()))

    def _collect_scores(self) -> ValidationScores:
        """Return the scores of the validation, copied from the device in one transfer each, and reset them."""
        predicted, of_teacher = self._predicted, self._of_teacher
        self._predicted, self._of_teacher = [], []
        if not predicted:
            return ValidationScores()
        rows = [row for batch, *_ in predicted for row in batch]
        strong = torch.cat([each for _, each, _ in predicted]).transpose(1, 2).cpu().numpy()
        weak = torch.cat([each for *_, each in predicted]).cpu().numpy()
        teacher_rows = [row for batch, _ in of_teacher for row in batch]
        teacher_weak = torch.cat([each for _, each in of_teacher]).cpu().numpy() if of_teacher else ()
        return ValidationScores(
            dict(zip(rows, strong, strict=True)),
            dict(zip(rows, weak, strict=True)),
            dict(zip(teacher_rows, teacher_weak, strict=True)),
        )
