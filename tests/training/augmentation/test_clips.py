"""Augmentation of feature batches."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from dcase_sweep.training.augmentation import clips as augment
from dcase_sweep.training.augmentation.base import EventTargets, apply_all
from dcase_sweep.utils.errors import UserError

Batch = tuple[torch.Tensor, torch.Tensor]
TARGETS = torch.eye(50)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(7)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_roll_only_moves_frames() -> None:
    ramp = torch.arange(20.0).expand(5, 3, 20)

    rolled, targets = augment.Roll(0.5)(ramp, TARGETS, rng())

    assert targets is TARGETS

    shifts = rolled[:, 0, 0]
    assert len(set(shifts.tolist())) > 1
    for clip, first in zip(rolled, shifts, strict=True):
        expected = (torch.arange(20.0) + first) % 20
        assert torch.equal(clip, expected.expand(3, 20))
        assert min(first, 20 - first) <= 10


@pytest.mark.parametrize(("mask", "other"), [(augment.MaskMels, 2), (augment.MaskFrames, 1)], ids=["mels", "frames"])
def test_mask_clears_whole_stretches(mask: type, other: int) -> None:
    masked, _ = mask(count=1, width=6)(torch.ones(50, 30, 40), TARGETS, rng())

    cleared = (masked == 0).all(dim=other)
    assert torch.equal(masked == 0, cleared.unsqueeze(other).expand_as(masked))
    widths = cleared.sum(dim=1)
    assert widths.max() == 6
    assert widths.min() == 0
    edges = cleared.int().diff(dim=1).abs().sum(dim=1) + cleared[:, 0].int() + cleared[:, -1].int()
    assert set(edges.tolist()) <= {0, 2}


def test_freq_mixstyle_exchanges_statistics_and_nothing_else() -> None:
    clips = torch.randn(6, 4, 100) * torch.rand(6, 4, 1) + torch.randn(6, 4, 1)

    mixed, _ = augment.FreqMixStyle(probability=1.0, alpha=0.4)(clips, TARGETS, rng())

    def shape(features: torch.Tensor) -> torch.Tensor:
        return (features - features.mean(2, keepdim=True)) / features.std(2, keepdim=True)

    torch.testing.assert_close(shape(mixed), shape(clips), atol=1e-3, rtol=1e-3)
    low, high = clips.mean(2).min(dim=0).values, clips.mean(2).max(dim=0).values
    assert ((mixed.mean(2) >= low - 1e-5) & (mixed.mean(2) <= high + 1e-5)).all()
    assert not torch.allclose(mixed.mean(2), clips.mean(2))


def test_mixup_mixes_targets_as_it_mixes_features() -> None:
    targets = torch.eye(8)
    features = targets.unsqueeze(2).repeat(1, 1, 5)

    mixed, mixed_targets = augment.Mixup(0.4)(features, targets, rng())

    torch.testing.assert_close(mixed[:, :, 0], mixed_targets)
    torch.testing.assert_close(mixed_targets.sum(dim=1), torch.ones(8))
    assert ((mixed_targets > 0.01) & (mixed_targets < 0.99)).any()


def test_beta_draws_have_betas_moments() -> None:
    draws = augment._sample_beta(0.4, 20_000, torch.device("cpu"))

    assert draws.mean() == pytest.approx(0.5, abs=0.01)
    assert draws.var() == pytest.approx(1 / (4 * (2 * 0.4 + 1)), rel=0.03)  # of Beta(a, a)


def test_a_chain_is_applied_in_its_order() -> None:
    def double(
        features: torch.Tensor, targets: torch.Tensor, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return features * 2, targets

    def add(
        features: torch.Tensor, targets: torch.Tensor, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return features + 1, targets

    ones = torch.ones(50, 3, 4)
    assert apply_all([double, add], ones, TARGETS, rng())[0].unique().tolist() == [3.0]
    assert apply_all([add, double], ones, TARGETS, rng())[0].unique().tolist() == [4.0]


@pytest.mark.parametrize(
    "augmentation",
    [augment.Roll(0), augment.MaskMels(0), augment.MaskFrames(0), augment.FreqMixStyle(0), augment.Mixup(0)],
    ids=lambda each: type(each).__name__,
)
def test_at_0_a_batch_stays_and_no_random_number_is_drawn(augmentation: augment.Roll) -> None:
    features, state = torch.rand(4, 3, 5), torch.get_rng_state()

    found, targets = augmentation(features, TARGETS, rng())

    assert found is features
    assert targets is TARGETS
    assert torch.equal(torch.get_rng_state(), state)


def test_an_augmentation_that_returns_other_clips_than_targets_is_reported() -> None:
    def halve(features: torch.Tensor, targets: torch.Tensor, rng: np.random.Generator) -> Batch:
        return features[::2], targets

    with pytest.raises(UserError, match=r"number 1 of 1 returned features of 25 clips and targets of 50; expected as"):
        apply_all([halve], torch.ones(50, 3, 4), TARGETS, rng())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda features: features.transpose(1, 2), "features [50, 30, 8]; expected [50, 8, 30], as it was given"),
        (lambda features: features[:, :, :-1], "features [50, 8, 29]; expected [50, 8, 30], as it was given"),
        (lambda features: features.numpy(), "features that are a ndarray; expected a tensor, as it was given"),
        (lambda features: features.log(), "features with NaN or infinite values; expected finite ones"),
    ],
)
def test_features_that_do_not_fit_are_reported(change: Callable[[torch.Tensor], object], says: str) -> None:
    with pytest.raises(UserError) as caught:
        apply_all([lambda features, targets, rng: (change(features), targets)], torch.zeros(50, 8, 30), TARGETS, rng())

    assert str(caught.value) == f"augmentation: number 1 of 1 returned {says}"


def test_fewer_clips_of_events_are_reported_because_the_first_ones_are_labelled() -> None:
    labels = EventTargets(strong=torch.zeros(1, 2, 5), weak=torch.zeros(1, 2))

    with pytest.raises(UserError, match=r"returned features \[3, 8, 30\]; expected \[4, 8, 30\]"):
        apply_all([lambda features, targets, rng: (features[:3], targets)], torch.zeros(4, 8, 30), labels, rng())
