"""Learning rates over a training, compared with the formulas."""

import math

import pytest
import torch

from dcase_sweep.config.schedulers import make_scheduler
from dcase_sweep.training.schedules import constant, cosine, warmup_cosine

ONE_CYCLE = {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 0.1}


def rates(schedule: object, **settings: object) -> list[float]:
    """The learning rates of the steps of a training, as fractions of the optimizer's."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = schedule(optimizer, **settings)  # type: ignore[operator]
    found = []
    for _ in range(60):
        found.append(optimizer.param_groups[0]["lr"] / 0.1)
        optimizer.step()
        scheduler.step()
    return found


def test_the_ramp_is_full_at_the_first_step_and_from_its_last_one_on() -> None:
    found = rates(constant, steps_per_epoch=10, ramp_epochs=1)

    expected = [1.0, *(math.exp(-5 * (1 - step / 10) ** 2) for step in range(2, 11)), *[1.0] * 50]
    assert found == pytest.approx(expected)


def test_without_a_ramp_a_constant_rate_needs_no_scheduler() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)

    assert constant(optimizer, steps_per_epoch=10) is None


def test_a_cosine_begins_behind_the_ramp_and_ends_with_the_training() -> None:
    found = rates(cosine, steps=60, steps_per_epoch=10, ramp_epochs=1)

    assert [found[step - 1] for step in (2, 10, 35, 60)] == pytest.approx(
        [math.exp(-5 * 0.8**2), 1.0, 0.5, 0.0], abs=1e-9
    )


def test_a_cosine_without_a_ramp_is_pytorchs() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)

    assert type(cosine(optimizer, steps=60, steps_per_epoch=10)) is torch.optim.lr_scheduler.CosineAnnealingLR


def test_a_warm_up_is_a_straight_line() -> None:
    found = rates(warmup_cosine, steps=60, steps_per_epoch=10, warmup_epochs=2)

    assert found[:20] == pytest.approx([step / 20 for step in range(1, 21)])
    assert found[39] == pytest.approx(0.5)
    assert found[59] == pytest.approx(0.0, abs=1e-9)


def by_epoch(name: str, **settings: object) -> list[float]:
    """The learning rates of ten epochs of 100 steps, as fractions of the optimizer's, with ``interval: epoch``."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    node = {"_target_": f"dcase_sweep.training.schedules.{name}", "interval": "epoch", **settings}
    made = make_scheduler(node, optimizer, epochs=10, steps_per_epoch=100)
    assert made is not None
    assert made["interval"] == "epoch"
    found = []
    for _ in range(10):
        found.append(optimizer.param_groups[0]["lr"] / 0.1)
        optimizer.step()
        made["scheduler"].step()
    return found


def test_a_schedule_that_is_updated_after_each_epoch_lasts_as_long() -> None:
    cosine_of_10 = [0.5 * (1 + math.cos(math.pi * epoch / 10)) for epoch in range(10)]
    after_2 = [0.5 * (1 + math.cos(math.pi * epoch / 9)) for epoch in range(1, 9)]
    ramp = math.exp(-5 * 0.5**2)

    assert by_epoch("cosine") == pytest.approx(cosine_of_10)
    assert by_epoch("warmup_cosine", warmup_epochs=2) == pytest.approx([0.5, 1.0, *after_2])
    assert by_epoch("cosine", ramp_epochs=2) == pytest.approx([ramp, 1.0, *after_2])
    assert by_epoch("constant", ramp_epochs=2) == pytest.approx([ramp, *[1.0] * 9])


def test_a_scheduler_within_another_one_counts_the_same_steps() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    parts = {"_target_": "torch.optim.lr_scheduler.ChainedScheduler", "schedulers": [ONE_CYCLE], "interval": "epoch"}
    made = make_scheduler(parts, optimizer, epochs=4, steps_per_epoch=100)

    assert made is not None
    assert made["scheduler"]._schedulers[0].total_steps == 4
