"""Augmentation for sound event detection."""

import numpy as np
import pytest
import torch

from dcase_sweep.training.augmentation.events import filter_augment, frame_shift, mask_frequencies


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_frames_and_their_labels_move_together() -> None:
    mel = torch.zeros(200, 2, 80)
    mel[:, :, 40:48] = 1
    strong = torch.zeros(200, 3, 20)
    strong[:, 1, 10:12] = 1

    moved, labels = frame_shift(mel, strong, chance(), frame_stride=4, deviation=10)

    shifts = moved[:, 0].diff(dim=1, prepend=moved[:, 0, -1:]).argmax(dim=1) - 40
    assert shifts.float().std() == pytest.approx(10, rel=0.15)
    for clip, shift in enumerate(shifts.tolist()):
        assert torch.equal(moved[clip], mel[clip].roll(shift, -1))
        assert torch.equal(labels[clip], strong[clip].roll(shift // 4, -1))
    assert labels[:, [0, 2]].sum() == 0


def test_what_leaves_at_one_end_comes_in_at_the_other() -> None:
    ramp = torch.arange(12.0).expand(1, 1, 12)

    moved, _ = frame_shift(ramp, ramp, chance(3), frame_stride=1, deviation=100)

    first = int(moved[0, 0, 0])
    assert moved[0, 0].tolist() == [(first + frame) % 12 for frame in range(12)]


def test_masked_bands_are_silent_stretches() -> None:
    masked = mask_frequencies(torch.ones(300, 64, 5), chance(), largest_share=1 / 8)

    silent = (masked == 0).all(dim=2)
    assert torch.equal(masked == 0, silent.unsqueeze(2).expand_as(masked))
    assert set(silent.sum(dim=1).tolist()) == set(range(9))
    assert (silent.int().diff(dim=1) == 1).sum(dim=1).max() == 1
    assert silent.any(dim=0).all()  # no band is spared


def test_several_stretches_and_none() -> None:
    mel = torch.ones(100, 64, 5)

    assert (mask_frequencies(mel, chance(), count=3) == 0).any(dim=2).sum(dim=1).max() > 4
    assert torch.equal(mask_frequencies(mel, chance(), largest_share=0), mel)


def gains(filtered: torch.Tensor) -> np.ndarray:
    """The filters in dB ``[clip, mel]``."""
    assert torch.equal(filtered, filtered[..., :1].expand_as(filtered))
    return 20 * np.log10(filtered[..., 0].numpy())


def test_step_filters_are_constant_within_bands_that_the_batch_shares() -> None:
    decibel = gains(filter_augment(torch.ones(20, 64, 3), chance(), kind="step", bands=(3, 3), narrowest=6))

    borders = np.flatnonzero(np.abs(np.diff(decibel, axis=1)).max(axis=0) > 1e-4) + 1
    assert len(borders) == 2
    assert np.diff([0, *borders, 64]).min() >= 6
    assert np.abs(decibel).max() <= 6
    assert decibel.std(axis=0).min() > 1


def test_linear_filters_run_straight_from_border_to_border() -> None:
    decibel = gains(filter_augment(torch.ones(20, 64, 3), chance(1), kind="linear", bands=(2, 2), narrowest=6))

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

    filtered = filter_augment(mel, chance(2))
    factors = filter_augment(torch.ones_like(mel), chance(2))

    torch.testing.assert_close(filtered, mel * factors)


def test_refuses_more_bands_than_fit() -> None:
    with pytest.raises(ValueError, match=r"bands=\[3, 5\], narrowest=6: expected .* within 29 mel bands"):
        filter_augment(torch.ones(1, 29, 2), chance())
    with pytest.raises(ValueError, match=r"largest_share=2: expected"):
        mask_frequencies(torch.ones(1, 29, 2), chance(), largest_share=2)
