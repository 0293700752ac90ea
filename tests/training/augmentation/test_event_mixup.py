"""Mixup of labelled clips, by hand and in its statistics."""

import numpy as np
import pytest
import torch

from dcase_sweep.training.augmentation.base import EventTargets
from dcase_sweep.training.augmentation.events import EventMixup


def batch() -> tuple[torch.Tensor, EventTargets]:
    """Three strong, four weak and two unlabelled clips that hold their own number, with a class each."""
    mel = torch.arange(9.0)[:, None, None].expand(9, 2, 6).clone()
    return mel, EventTargets(torch.eye(3)[:, :, None].expand(3, 3, 2).clone(), torch.eye(4))


def test_hard_labels_are_all_events_of_both_clips() -> None:
    mel, targets = batch()

    drawn = [EventMixup(1.0, 0.2, "hard")(mel, targets, np.random.default_rng(seed))[1].strong for seed in range(20)]

    sums = {int(each) for labels in drawn for each in labels[:, :, 0].sum(dim=1)}
    assert sums == {1, 2}  # a clip that is its own partner keeps its one event
    assert all(set(labels.unique().tolist()) == {0.0, 1.0} for labels in drawn)


def test_strong_and_weak_clips_are_mixed_apart_and_unlabelled_ones_stay() -> None:
    original, targets = batch()

    mel, mixed = EventMixup(1.0)(original, targets, np.random.default_rng(5))

    assert torch.equal(mel[7:], original[7:])
    # What a clip holds is what its targets say, and one weight holds for all clips of a kind.
    strong, weak = mixed.strong[:, :, 0], mixed.weak
    torch.testing.assert_close(mel[:3, 0, 0], strong @ torch.arange(3.0))
    torch.testing.assert_close(mel[3:7, 0, 0], weak @ torch.arange(3.0, 7.0))
    for targets in (strong, weak):
        torch.testing.assert_close(targets.sum(1), torch.ones(len(targets)))
        shares = targets[(targets > 0) & (targets < 1)]
        assert len(torch.cat([shares, 1 - shares]).mul(1e5).round().unique()) <= 2
    assert not torch.equal(mel[:7], original[:7])


def test_the_batch_that_was_given_stays_as_it_was() -> None:
    (mel, targets), (copy, labels) = batch(), batch()

    EventMixup(1.0)(mel, targets, np.random.default_rng(5))

    assert torch.equal(mel, copy)
    assert torch.equal(targets.strong, labels.strong)


def test_half_of_the_batches_are_mixed_with_shares_near_the_ends() -> None:
    rng, (mel, targets) = np.random.default_rng(0), batch()

    draws = [EventMixup()(mel, targets, rng)[1] for _ in range(2000)]

    mixed = [draw for draw in draws if draw is not targets]
    assert len(mixed) / 2000 == pytest.approx(0.5, abs=0.04)
    shares = torch.cat([draw.strong[..., 0].amax(1)[draw.strong[..., 0].amax(1) < 1] for draw in mixed])
    # Beta(0.2, 0.2) has 34 % of its mass below 0.1 and as much above 0.9.
    assert (shares > 0.9).double().mean().item() == pytest.approx(0.68, abs=0.05)


def test_the_mixture_is_a_function_of_the_generator() -> None:
    first, second = (EventMixup(1.0)(*batch(), np.random.default_rng(1)) for _ in range(2))

    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1].weak, second[1].weak)


def test_rejects_other_labels() -> None:
    with pytest.raises(ValueError, match="labels=firm: expected one of soft, hard"):
        EventMixup(labels="firm")
