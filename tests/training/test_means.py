"""Means of values over an epoch."""

import pytest
import torch

from dcase_sweep.training.means import EpochMeans


def test_batches_count_by_their_clips() -> None:
    means = EpochMeans()

    means.add(("loss", "weak"), torch.tensor([1.0, 4.0]), 3, {"rate": 0.1})
    means.add(("loss", "weak"), torch.tensor([2.0, 0.0]), 1, {"rate": 0.3})

    assert means.compute() == pytest.approx({"loss": 1.25, "weak": 3.0, "rate": 0.15})


def test_an_epoch_begins_without_the_last_one() -> None:
    means = EpochMeans()
    means.add(("loss",), torch.tensor([1.0]), 3)

    means.reset()

    assert means.compute() == {}
