"""Augmentation for sound event detection."""

import numpy as np
import pytest
import torch

from dcase_sweep.training.augmentation.base import EventTargets
from dcase_sweep.training.augmentation.events import FilterAugment, FrameShift, MaskAmplitudes


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


NO_TARGETS = EventTargets(torch.zeros(0, 1, 1), torch.zeros(0, 1))


def shifted(
    std: float, mel: torch.Tensor, strong: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    moved, targets = FrameShift(std)(mel, EventTargets(strong, torch.zeros(0, 1)), rng)
    return moved, targets.strong


def masked_by(augmentation: MaskAmplitudes, mel: torch.Tensor) -> torch.Tensor:
    return augmentation(mel, NO_TARGETS, rng())[0]


def filtered_by(augmentation: FilterAugment, mel: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return augmentation(mel, NO_TARGETS, rng(seed))[0]


def test_frames_and_their_labels_move_together() -> None:
    mel = torch.zeros(200, 2, 80)
    mel[:, :, 40:48] = 1
    strong = torch.zeros(200, 3, 20)
    strong[:, 1, 10:12] = 1

    moved, labels = shifted(10, mel, strong, rng())

    shifts = moved[:, 0].diff(dim=1, prepend=moved[:, 0, -1:]).argmax(dim=1) - 40
    assert shifts.float().std() == pytest.approx(10, rel=0.15)
    for clip, shift in enumerate(shifts.tolist()):
        assert torch.equal(moved[clip], mel[clip].roll(shift, -1))
        assert torch.equal(labels[clip], strong[clip].roll(shift // 4, -1))
    assert labels[:, [0, 2]].sum() == 0


def test_shifted_frames_re_enter_at_the_other_end() -> None:
    ramp = torch.arange(12.0).expand(1, 1, 12)

    moved, _ = shifted(100, ramp, ramp, rng(3))

    first = int(moved[0, 0, 0])
    assert moved[0, 0].tolist() == [(first + frame) % 12 for frame in range(12)]


def test_masked_bands_are_silent_stretches() -> None:
    masked = masked_by(MaskAmplitudes(1, 1 / 8), torch.ones(300, 64, 5))

    silent = (masked == 0).all(dim=2)
    assert torch.equal(masked == 0, silent.unsqueeze(2).expand_as(masked))
    assert set(silent.sum(dim=1).tolist()) == set(range(9))
    assert (silent.int().diff(dim=1) == 1).sum(dim=1).max() == 1
    assert silent.any(dim=0).all()  # no band is spared


def test_several_stretches_and_none() -> None:
    mel = torch.ones(100, 64, 5)

    assert (masked_by(MaskAmplitudes(3), mel) == 0).any(dim=2).sum(dim=1).max() > 4
    assert torch.equal(masked_by(MaskAmplitudes(1, 0), mel), mel)


def gains(filtered: torch.Tensor) -> np.ndarray:
    """The filters in dB ``[clip, mel]``."""
    assert torch.equal(filtered, filtered[..., :1].expand_as(filtered))
    return 20 * np.log10(filtered[..., 0].numpy())


def test_step_filters_are_constant_within_bands_that_the_batch_shares() -> None:
    decibel = gains(filtered_by(FilterAugment(6, "step", (3, 3)), torch.ones(20, 64, 3)))

    borders = np.flatnonzero(np.abs(np.diff(decibel, axis=1)).max(axis=0) > 1e-4) + 1
    assert len(borders) == 2
    assert np.diff([0, *borders, 64]).min() >= 6
    assert np.abs(decibel).max() <= 6
    assert decibel.std(axis=0).min() > 1


def test_linear_filters_run_straight_from_border_to_border() -> None:
    decibel = gains(filtered_by(FilterAugment(6, "linear", (2, 2)), torch.ones(20, 64, 3), 1))

    bends = np.flatnonzero(np.abs(np.diff(decibel, n=2, axis=1)).max(axis=0) > 1e-3) + 1
    border = bends.max()
    assert 6 <= border <= 58
    for band in (decibel[:, :border], decibel[:, border:]):
        steps = np.diff(band, axis=1)
        np.testing.assert_allclose(steps, steps[:, :1].repeat(steps.shape[1], axis=1), atol=1e-4)
    # The gain at the border is the end of one line and the beginning of the next.
    np.testing.assert_allclose(decibel[:, border - 1], decibel[:, border], atol=1e-4)
    assert np.abs(decibel).max() <= 6 + 1e-4


def test_filters_act_on_what_is_there() -> None:
    mel = torch.rand(4, 64, 7)

    filtered = filtered_by(FilterAugment(6), mel, 2)
    factors = filtered_by(FilterAugment(6), torch.ones_like(mel), 2)

    torch.testing.assert_close(filtered, mel * factors)


def test_rejects_more_bands_than_fit() -> None:
    with pytest.raises(
        ValueError, match=r"bands=\[3, 5\]: 5 bands of narrowest=6 take 30 mel bands; the front end has 29"
    ):
        filtered_by(FilterAugment(6), torch.ones(1, 29, 2))
    with pytest.raises(ValueError, match=r"fraction=2: expected from 0 to 1"):
        MaskAmplitudes(1, 2)
