"""The step of the mean teacher on a small network and batch, compared with manual results."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dcase_sweep.config import MeanTeacher
from dcase_sweep.models.crnn import Predictions
from dcase_sweep.training.augmentation.events import FrameShift
from dcase_sweep.training.mean_teacher.module import MeanTeacherModule, ValidationScores
from dcase_sweep.training.optimization import Optimization

SETTINGS = MeanTeacher(
    strong=1,
    weak=1,
    unlabelled=2,
    ramp_epochs=1,
    consistency_weight=2.0,
    ema_decay=0.999,
    median_filter=1,
)
SGD = {"_target_": "torch.optim.SGD", "lr": 0.1, "momentum": 0.9}
RAMP = {"_target_": "dcase_sweep.training.schedules.constant", "interval": "step", "ramp_epochs": 1}


class Constant(nn.Module):
    """The same probability everywhere, its only parameter: strong [batch, 1, 1], weak [batch, 1]."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, features: Tensor) -> Predictions:
        seen.append((self.training, len(features)))
        return Predictions(self.value * torch.ones(len(features), 1, 1), self.value * torch.ones(len(features), 1))


seen: list[tuple[bool, int]] = []


def make(
    value: float = 0.5, teacher: float | None = None, **more: object
) -> tuple[MeanTeacherModule, dict[str, float]]:
    """A module whose steps are counted by hand, with ten steps an epoch, and what it logs."""
    arguments: dict[str, object] = {
        "settings": SETTINGS,
        "optimization": Optimization(SGD, RAMP, epochs=6, steps_per_epoch=10),
        "loss": nn.BCELoss(),
        "normalise": lambda mel: mel,
        "evaluate": lambda scores: {},
        "seed": 0,
    }
    module = MeanTeacherModule(Constant(value), **arguments | more)  # type: ignore[arg-type]
    if teacher is not None:
        module.teacher.value.data.fill_(teacher)  # type: ignore[union-attr, operator]
    logged: dict[str, float] = {}
    module.log_dict = lambda values, **_: logged.update(
        {k: float(torch.as_tensor(v).detach()) for k, v in values.items()}
    )  # type: ignore[method-assign]
    module.rng = np.random.default_rng(0)
    configured = module.configure_optimizers()
    optimizer, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    module._trainer = SimpleNamespace(global_step=0, optimizers=[optimizer], scheduler=scheduler)  # type: ignore[assignment]
    return module, logged


def batch() -> tuple[Tensor, Tensor, Tensor]:
    return torch.ones(4, 2, 3), torch.ones(1, 1, 1), torch.zeros(1, 1)


def at_step(module: MeanTeacherModule, step: int) -> Tensor:
    trainer = module._trainer
    while trainer.global_step < step - 1:  # type: ignore[union-attr]
        trainer.optimizers[0].step()  # type: ignore[union-attr]
        trainer.scheduler.step()  # type: ignore[union-attr, attr-defined]
        trainer.global_step += 1  # type: ignore[union-attr, misc]
    loss = module.training_step(batch(), 0)
    module.log_means()
    return loss


def test_the_loss_is_labels_and_agreement_by_the_ramp() -> None:
    module, logged = make(0.5, teacher=0.7)

    loss = at_step(module, 5)

    ramp = math.exp(-5 * 0.5**2)  # half way
    entropy = -math.log(0.5)  # of the strong clip, which has the event, and of the weak one, which has none
    assert logged["train/consistency_weight"] == pytest.approx(2 * ramp)
    assert float(loss.detach()) == pytest.approx(2 * entropy + 2 * ramp * 2 * 0.2**2, rel=1e-5)
    assert logged["train/teacher_loss_strong"] == pytest.approx(-math.log(0.7), rel=1e-5)
    assert logged["train/teacher_loss_weak"] == pytest.approx(-math.log(0.3), rel=1e-5)
    assert logged["train/learning_rate"] == pytest.approx(0.1 * ramp)


def test_the_teacher_follows_the_student_from_before_its_update() -> None:
    module, _ = make(0.5, teacher=0.9)
    module.teacher.train()
    seen.clear()

    loss = at_step(module, 1)
    optimizer = module._trainer.optimizers[0]  # type: ignore[union-attr]
    loss.backward()
    optimizer.step()

    assert seen == [(True, 4), (True, 4)]  # both in training mode, on the whole batch
    assert float(module.teacher.value) == pytest.approx(0.5 * 0.9 + 0.5 * 0.5)  # type: ignore[arg-type]
    assert float(module.student.value) != 0.5  # type: ignore[arg-type]


def test_an_epoch_without_detections_is_evaluated() -> None:
    evaluated: list[ValidationScores] = []
    module, logged = make(
        1e-4,
        teacher=0.25,
        evaluate=lambda scores: evaluated.append(scores) or {"validation/objective": 0.0},
        teacher_rows=[7],
    )

    with torch.no_grad():
        module.validation_step((torch.tensor([4, 7]), torch.ones(2, 2, 3)), 0)
    module.on_validation_epoch_end()

    assert logged == {"validation/objective": 0.0}
    assert evaluated[0].strong[4] == pytest.approx(np.array([[1e-4]]))
    assert list(evaluated[0].weak) == [4, 7]
    assert {row: float(value[0]) for row, value in evaluated[0].teacher_weak.items()} == {7: 0.25}
    module.on_validation_epoch_end()
    assert evaluated[1] == ValidationScores()  # nothing of one epoch is left in the next


def test_augmentations_see_the_batch_before_the_network() -> None:
    module, logged = make(augmentations=[FrameShift(20.0)])
    calls: list[Tensor] = []
    module.normalise = lambda mel: calls.append(mel) or mel
    mel = torch.zeros(4, 1, 40)
    mel[:, :, 20] = 1
    strong = torch.ones(1, 1, 1)

    module.training_step((mel, strong, torch.tensor([[1.0]])), 0)
    module.log_means()

    assert (calls[0][:, 0].argmax(dim=1) != 20).all()
    assert calls[0].sum() == 4
    assert logged["train/loss"] > 0
