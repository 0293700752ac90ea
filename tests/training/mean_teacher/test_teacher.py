"""The teacher's update."""

import pytest
import torch
from torch import nn

from dcase_sweep.training.mean_teacher.teacher import make_teacher, teacher_decay, update_teacher


def test_decay_is_a_true_mean_at_first() -> None:
    assert [teacher_decay(step) for step in (1, 2, 3)] == pytest.approx([1 / 2, 2 / 3, 3 / 4])
    assert teacher_decay(998) == pytest.approx(0.998998998)
    assert teacher_decay(999) == pytest.approx(0.999)
    assert teacher_decay(100_000) == 0.999
    assert teacher_decay(100_000, largest=0.9) == 0.9


def test_the_teacher_is_the_mean_of_all_students_so_far() -> None:
    student = nn.Linear(1, 1, bias=False)
    nn.init.constant_(student.weight, 10.0)
    teacher = make_teacher(student)

    for step, value in enumerate((4.0, 1.0, 5.0), start=1):
        nn.init.constant_(student.weight, value)
        update_teacher(teacher, student, teacher_decay(step))

    # Its own beginning counts as the first student.
    assert teacher.weight.item() == pytest.approx((10 + 4 + 1 + 5) / 4)
    assert student.weight.item() == 5


def test_then_it_follows_slowly() -> None:
    student = nn.Linear(1, 1, bias=False)
    nn.init.constant_(student.weight, 1.0)
    teacher = make_teacher(student)
    nn.init.constant_(teacher.weight, 0.0)

    update_teacher(teacher, student, teacher_decay(50_000))

    assert teacher.weight.item() == pytest.approx(0.001)


def test_batch_normalisation_buffers_are_the_teachers_own() -> None:
    student = nn.BatchNorm1d(2)
    teacher = make_teacher(student)
    student(torch.randn(8, 2) + 5)

    update_teacher(teacher, student, teacher_decay(1))

    assert teacher.running_mean.tolist() == [0, 0]
    assert teacher.num_batches_tracked == 0


def test_the_teacher_takes_no_gradients() -> None:
    student = nn.Linear(2, 2)

    teacher = make_teacher(student)

    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert all(parameter.requires_grad for parameter in student.parameters())


def test_rejects_another_architecture() -> None:
    with pytest.raises(ValueError, match="bias: a parameter of only one network"):
        update_teacher(nn.Linear(2, 2, bias=False), nn.Linear(2, 2), 0.5)


def test_a_decay_on_the_device_gives_the_same_teacher() -> None:
    torch.manual_seed(0)
    student = nn.Linear(3, 2)
    teacher = make_teacher(nn.Linear(3, 2))
    again = make_teacher(teacher)

    update_teacher(teacher, student, 0.9)
    update_teacher(again, student, torch.tensor(0.9))

    torch.testing.assert_close(again.state_dict(), teacher.state_dict())
