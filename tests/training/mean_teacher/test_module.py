"""The mean teacher's step, on a network and a batch that are small enough to compute by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dcase_sweep.config import MeanTeacher, Optimizer
from dcase_sweep.models.crnn import Predictions
from dcase_sweep.training.mean_teacher.mixup import LabelledBatch
from dcase_sweep.training.mean_teacher.module import MeanTeacherModule, ValidationScores

SETTINGS = MeanTeacher(
    strong=1,
    weak=1,
    unlabelled=2,
    ramp_epochs=1,
    consistency_weight=2.0,
    ema_decay=0.999,
    mixup_probability=0.0,
    mixup_alpha=0.2,
    mixup_labels="soft",
    median_filter=1,
)


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
        "optimizer": Optimizer(name="sgd", lr=0.1),
        "steps_per_epoch": 10,
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
    (optimizer,) = (module.configure_optimizers(),)
    module._trainer = SimpleNamespace(global_step=0, optimizers=[optimizer])  # type: ignore[assignment]
    return module, logged


def batch() -> tuple[Tensor, Tensor, Tensor]:
    return torch.ones(4, 2, 3), torch.ones(1, 1, 1), torch.zeros(1, 1)


def at_step(module: MeanTeacherModule, step: int) -> Tensor:
    module._trainer.global_step = step - 1  # type: ignore[union-attr, misc]
    return module.training_step(batch(), 0)


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


@pytest.mark.parametrize(("step", "expected"), [(1, 1.0), (2, math.exp(-5 * 0.8**2)), (10, 1.0), (11, 1.0), (60, 1.0)])
def test_the_learning_rate_is_full_at_the_first_step_then_ramped(step: int, expected: float) -> None:
    module, _ = make(epochs=6)

    assert module.learning_rate(step) == pytest.approx(0.1 * expected)


def test_a_cosine_begins_behind_the_ramp_and_ends_with_the_training() -> None:
    module, _ = make(epochs=6, schedule="cosine")

    assert [module.learning_rate(step) / 0.1 for step in (2, 10, 35, 60)] == pytest.approx(
        [math.exp(-5 * 0.8**2), 1.0, 0.5, 0.0], abs=1e-9
    )


def test_an_epoch_without_detections_is_judged() -> None:
    judged: list[ValidationScores] = []
    module, logged = make(
        1e-4,
        teacher=0.25,
        evaluate=lambda scores: judged.append(scores) or {"validation/objective": 0.0},
        teacher_rows=[7],
    )

    with torch.no_grad():
        module.validation_step((torch.tensor([4, 7]), torch.ones(2, 2, 3)), 0)
    module.on_validation_epoch_end()

    assert logged == {"validation/objective": 0.0}
    assert judged[0].strong[4] == pytest.approx(np.array([[1e-4]]))
    assert list(judged[0].weak) == [4, 7]
    assert {row: float(value[0]) for row, value in judged[0].teacher_weak.items()} == {7: 0.25}
    module.on_validation_epoch_end()
    assert judged[1] == ValidationScores()  # nothing of one epoch is left in the next


def test_hard_labels_are_all_events_of_both_clips() -> None:
    settings = MeanTeacher(**{**vars(SETTINGS), "strong": 2, "mixup_probability": 1.0, "mixup_labels": "hard"})
    module, _ = make(settings=settings)
    strong = torch.zeros(2, 3, 1)
    strong[0, 0], strong[1, 2] = 1, 1

    mixed = [module._augmented(LabelledBatch(torch.rand(5, 2, 4), strong, torch.ones(1, 3))).strong for _ in range(20)]

    assert {tuple(labels.flatten().tolist()) for labels in mixed} == {(1, 0, 0, 0, 0, 1), (1, 0, 1, 1, 0, 1)}


def test_every_clip_of_a_batch_is_shifted_and_weak_labels_stay() -> None:
    settings = MeanTeacher(**{**vars(SETTINGS), "frame_shift": 20.0})
    module, _ = make(settings=settings)
    mel = torch.zeros(4, 1, 40)
    mel[:, :, 20] = 1
    strong = torch.zeros(1, 1, 10)
    strong[0, 0, 5] = 1
    weak = torch.tensor([[1.0]])

    shifted = module._augmented(LabelledBatch(mel, strong, weak))

    peaks = shifted.mel[:, 0].argmax(dim=1)
    assert (peaks != 20).all()
    assert int(shifted.strong[0, 0].argmax()) == (5 + (int(peaks[0]) - 20) // 4) % 10
    assert torch.equal(shifted.weak, weak)
