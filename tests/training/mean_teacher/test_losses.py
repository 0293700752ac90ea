"""The losses of the mean teacher, compared with manual results."""

import math

import pytest
import torch

from dcase_sweep.models.crnn import Predictions
from dcase_sweep.training.augmentation.base import EventTargets
from dcase_sweep.training.mean_teacher.losses import consistency_losses, masked_loss, supervised_losses

LOSS = torch.nn.BCELoss()


def predictions(strong: list[list[float]], weak: list[float]) -> Predictions:
    """Three clips of one class, two frames each."""
    return Predictions(torch.tensor(strong)[:, None].requires_grad_(), torch.tensor(weak)[:, None].requires_grad_())


def test_supervised_losses_look_at_the_labelled_clips_alone() -> None:
    found = predictions([[0.5, 0.25], [0.9, 0.9], [0.1, 0.1]], [0.7, 0.2, 0.3])

    losses = supervised_losses(found, EventTargets(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[1.0]])), LOSS)

    assert losses.strong.item() == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)
    assert losses.weak.item() == pytest.approx(-math.log(0.2))
    losses.total.backward()
    assert found.strong.grad.flatten().tolist() == pytest.approx([-1.0, 1 / 0.75 / 2, 0, 0, 0, 0])
    assert found.weak.grad.flatten().tolist() == pytest.approx([0, -5.0, 0])


def test_soft_targets_count_by_their_share() -> None:
    found = predictions([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]], [0.5, 0.25, 0.5])

    losses = supervised_losses(found, EventTargets(torch.full((1, 1, 2), 0.3), torch.tensor([[0.4]])), LOSS)

    assert losses.strong.item() == pytest.approx(math.log(2))
    assert losses.weak.item() == pytest.approx(-0.4 * math.log(0.25) - 0.6 * math.log(0.75))


def test_without_strong_clips_their_loss_is_zero() -> None:
    found = predictions([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]], [0.5, 0.5, 0.5])

    losses = supervised_losses(found, EventTargets(torch.zeros(0, 1, 2), torch.ones(1, 1)), LOSS)

    assert losses.strong.item() == 0
    assert losses.weak.item() == pytest.approx(math.log(2))


def test_supervised_losses_are_single_precision_under_autocast() -> None:
    found = predictions([[0.5, 0.25], [0.9, 0.9], [0.1, 0.1]], [0.7, 0.2, 0.3])
    low = Predictions(found.strong.to(torch.bfloat16), found.weak.to(torch.bfloat16))

    with torch.autocast("cpu", torch.bfloat16):
        losses = supervised_losses(low, EventTargets(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[1.0]])), LOSS)

    assert losses.strong.dtype == torch.float32


def test_the_loss_of_no_numbers_is_no_number() -> None:
    """PyTorch's loss refuses them, on a GPU by stopping the process."""
    found = predictions([[0.5, torch.nan], [0.5, 0.5], [0.5, 0.5]], [0.5, 0.5, 0.5])
    targets = EventTargets(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[1.0]]))

    losses = supervised_losses(found, targets, LOSS)

    assert losses.strong.isnan()
    assert losses.weak.item() == pytest.approx(math.log(2))
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        supervised_losses(predictions([[2.0, 2.0]] * 3, [0.5] * 3), targets, LOSS)


def test_the_loss_of_a_gpu_is_the_same_and_never_refuses() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(4, 5, generator=generator).requires_grad_()
    targets = torch.rand(4, 5, generator=generator)

    masked, plain = masked_loss(LOSS, values, targets), LOSS(values, targets)

    assert torch.equal(masked, plain)
    assert torch.equal(*(torch.autograd.grad(each, values)[0] for each in (masked, plain)))
    assert masked_loss(LOSS, values.detach().index_fill(0, torch.tensor([1]), torch.nan), targets).isnan()


def test_consistency_is_over_all_clips_and_gives_the_teacher_no_gradient() -> None:
    student = predictions([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]], [0.5, 0.5, 0.5])
    teacher = predictions([[0.5, 0.5], [0.5, 0.1], [0.5, 0.5]], [0.5, 0.5, 0.8])

    losses = consistency_losses(student, teacher)

    assert losses.strong.item() == pytest.approx(0.4**2 / 6)
    assert losses.weak.item() == pytest.approx(0.3**2 / 3)
    losses.total.backward()
    assert student.weak.grad.flatten().tolist() == pytest.approx([0, 0, -0.2])
    assert teacher.strong.grad is None
