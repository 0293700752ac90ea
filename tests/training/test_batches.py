"""Batches, and the statistics for their normalisation."""

import numpy as np
import pytest
import torch

from dcase_sweep.training.batches import Batches, Clips, MappedClips, band_statistics


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(-20, 5, (11, 4, 6)).astype(np.float32)


def test_statistics_are_those_of_the_chosen_rows(features: np.ndarray) -> None:
    rows = np.array([0, 3, 4, 9])

    mean, deviation = band_statistics(features, rows, chunk_size=3)

    np.testing.assert_allclose(mean, features[rows].astype(np.float64).mean(axis=(0, 2)), rtol=1e-6)
    np.testing.assert_allclose(deviation, features[rows].astype(np.float64).std(axis=(0, 2)), rtol=1e-6)


def test_a_band_that_never_changes_is_left_as_it_is(features: np.ndarray) -> None:
    features[:, 2] = -36.0

    mean, deviation = band_statistics(features, np.arange(11))

    assert (mean[2], deviation[2]) == (-36.0, 1.0)


def order(batches: Batches) -> list[int]:
    return [int(target) for _, targets in batches for target in targets]


def test_every_clip_once_an_epoch_in_an_order_of_seed_and_epoch(features: np.ndarray) -> None:
    clips = Clips(features, np.arange(11), np.arange(11))
    batches, again = (Batches(clips, 4, shuffle_seed=1) for _ in range(2))

    first = order(batches)
    batches.set_epoch(5)
    again.set_epoch(5)

    assert len(batches) == 3
    assert sorted(first) == list(range(11)) != first
    assert order(batches) == order(again) != first
    assert order(Batches(clips, 4)) == list(range(11))


def test_features_travel_with_their_targets(features: np.ndarray) -> None:
    rows = np.array([7, 2, 5])

    for batch, targets in Batches(Clips(features, rows, rows * 10), 2, shuffle_seed=0):
        for clip, target in zip(batch, targets, strict=True):
            assert torch.equal(clip, torch.from_numpy(features[int(target) // 10]))


def test_mapped_clips_give_the_batches_of_copied_ones() -> None:
    stored = np.arange(40, dtype=np.int16).reshape(10, 4)
    rows = np.array([7, 2, 9, 4, 0])
    copied, mapped = (Batches(kind(stored, rows, rows * 10), 2, shuffle_seed=3) for kind in (Clips, MappedClips))

    for (one, targets), (other, same) in zip(copied, mapped, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(targets, same)
    assert mapped.device_bytes == 0
