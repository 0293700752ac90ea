"""Augmentation of feature batches."""

import pytest
import torch

from dcase_sweep.training.augmentation import scenes as augment


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(7)


def test_roll_only_moves_frames() -> None:
    ramp = torch.arange(20.0).expand(5, 3, 20)

    rolled = augment.roll(ramp, 0.5)

    shifts = rolled[:, 0, 0]
    assert len(set(shifts.tolist())) > 1
    for clip, first in zip(rolled, shifts, strict=True):
        expected = (torch.arange(20.0) + first) % 20
        assert torch.equal(clip, expected.expand(3, 20))
        assert min(first, 20 - first) <= 10


@pytest.mark.parametrize(("dimension", "other"), [(1, 2), (2, 1)])
def test_mask_clears_whole_stretches(dimension: int, other: int) -> None:
    masked = augment.mask(torch.ones(50, 30, 40), dimension, count=1, width=6)

    cleared = (masked == 0).all(dim=other)
    assert torch.equal(masked == 0, cleared.unsqueeze(other).expand_as(masked))
    widths = cleared.sum(dim=1)
    assert widths.max() == 6
    assert widths.min() == 0
    edges = cleared.int().diff(dim=1).abs().sum(dim=1) + cleared[:, 0].int() + cleared[:, -1].int()
    assert set(edges.tolist()) <= {0, 2}


def test_freq_mixstyle_exchanges_statistics_and_nothing_else() -> None:
    clips = torch.randn(6, 4, 100) * torch.rand(6, 4, 1) + torch.randn(6, 4, 1)

    mixed = augment.freq_mixstyle(clips, 0.4)

    def shape(features: torch.Tensor) -> torch.Tensor:
        return (features - features.mean(2, keepdim=True)) / features.std(2, keepdim=True)

    torch.testing.assert_close(shape(mixed), shape(clips), atol=1e-3, rtol=1e-3)
    low, high = clips.mean(2).min(dim=0).values, clips.mean(2).max(dim=0).values
    assert ((mixed.mean(2) >= low - 1e-5) & (mixed.mean(2) <= high + 1e-5)).all()
    assert not torch.allclose(mixed.mean(2), clips.mean(2))


def test_mixup_mixes_targets_as_it_mixes_features() -> None:
    targets = torch.eye(8)
    features = targets.unsqueeze(2).repeat(1, 1, 5)

    mixed, mixed_targets = augment.mixup(features, targets, 0.4)

    torch.testing.assert_close(mixed[:, :, 0], mixed_targets)
    torch.testing.assert_close(mixed_targets.sum(dim=1), torch.ones(8))
    assert ((mixed_targets > 0.01) & (mixed_targets < 0.99)).any()


def test_beta_draws_have_betas_moments() -> None:
    draws = augment._beta(0.4, 20_000, torch.device("cpu"))

    assert draws.mean() == pytest.approx(0.5, abs=0.01)
    assert draws.var() == pytest.approx(1 / (4 * (2 * 0.4 + 1)), rel=0.03)  # of Beta(a, a)
