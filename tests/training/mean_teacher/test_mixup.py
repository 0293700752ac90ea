"""Mixup of labelled clips, by hand and in its statistics."""

import numpy as np
import pytest
import torch

from dcase_sweep.training.mean_teacher.mixup import LabelledBatch, mix, mix_targets, mixup
from dcase_sweep.training.mean_teacher.sampling import Composition

COMPOSITION = Composition(strong=3, weak=4, unlabelled=2)


def batch() -> LabelledBatch:
    """Clips that hold their own number, with a class each."""
    mel = torch.arange(9.0)[:, None, None].expand(9, 2, 6).clone()
    return LabelledBatch(mel, torch.eye(3)[:, :, None].expand(3, 3, 2).clone(), torch.eye(4))


def test_clips_and_targets_are_mixed_alike() -> None:
    mel, targets = torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    partner = torch.tensor([1, 0])

    assert mix(mel, partner, 0.75).tolist() == [[1.5], [2.5]]
    assert mix_targets(targets, partner, 0.75).tolist() == [[1.0, 0.25], [1.0, 0.75]]
    assert mix_targets(targets, partner, 0.75, "hard").tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_strong_and_weak_clips_are_mixed_apart_and_unlabelled_ones_stay() -> None:
    original = batch()

    mixed = mixup(original, COMPOSITION, np.random.default_rng(5), probability=1.0)

    assert torch.equal(mixed.mel[7:], original.mel[7:])
    # What a clip holds is what its targets say, and one share holds for all clips of a kind.
    strong, weak = mixed.strong[:, :, 0], mixed.weak
    torch.testing.assert_close(mixed.mel[:3, 0, 0], strong @ torch.arange(3.0))
    torch.testing.assert_close(mixed.mel[3:7, 0, 0], weak @ torch.arange(3.0, 7.0))
    for targets in (strong, weak):
        torch.testing.assert_close(targets.sum(1), torch.ones(len(targets)))
        shares = targets[(targets > 0) & (targets < 1)]
        assert len(torch.cat([shares, 1 - shares]).mul(1e5).round().unique()) <= 2
    assert not torch.equal(mixed.mel[:7], original.mel[:7])


def test_the_batch_that_was_given_stays_as_it_was() -> None:
    original, copy = batch(), batch()

    mixup(original, COMPOSITION, np.random.default_rng(5), probability=1.0)

    assert torch.equal(original.mel, copy.mel)
    assert torch.equal(original.strong, copy.strong)


def test_half_of_the_batches_are_mixed_with_shares_near_the_ends() -> None:
    rng, original = np.random.default_rng(0), batch()

    draws = [mixup(original, COMPOSITION, rng) for _ in range(2000)]

    mixed = [draw for draw in draws if draw is not original]
    assert len(mixed) / 2000 == pytest.approx(0.5, abs=0.04)
    shares = torch.cat([draw.strong[..., 0].amax(1)[draw.strong[..., 0].amax(1) < 1] for draw in mixed])
    # Beta(0.2, 0.2) has 34 % of its mass below 0.1 and as much above 0.9.
    assert (shares > 0.9).double().mean().item() == pytest.approx(0.68, abs=0.05)


def test_the_mixture_is_a_function_of_the_generator() -> None:
    first, second = (mixup(batch(), COMPOSITION, np.random.default_rng(1), probability=1.0) for _ in range(2))

    assert torch.equal(first.mel, second.mel)
    assert torch.equal(first.weak, second.weak)


def test_refuses_other_labels() -> None:
    with pytest.raises(ValueError, match="labels='firm': expected 'soft' or 'hard'"):
        mix_targets(torch.ones(1, 1), torch.tensor([0]), 0.5, "firm")  # type: ignore[arg-type]
