"""The composition of the mean teacher's batches."""

import numpy as np
import pytest

from dcase_sweep.training.mean_teacher.sampling import BatchComposition, MultiSourceBatchSampler


def batches(seed: int = 0) -> MultiSourceBatchSampler:
    return MultiSourceBatchSampler(strong=100, weak=40, unlabelled=500, composition=BatchComposition(), seed=seed)


def test_the_baselines_composition() -> None:
    first = next(iter(batches()))

    assert (len(first.strong), len(first.weak), len(first.unlabelled)) == (12, 12, 24)
    assert BatchComposition().size == 48
    assert (BatchComposition().strong_clips, BatchComposition().weak_clips) == (slice(0, 12), slice(12, 24))


def test_the_epoch_ends_with_the_subset_that_is_used_up_first() -> None:
    epoch = list(batches())

    assert len(epoch) == len(batches()) == 40 // 12
    weak = np.concatenate([batch.weak for batch in epoch])
    assert len(set(weak.tolist())) == 36
    assert set(weak.tolist()) <= set(range(40))


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def rows(seed: int, epoch: int) -> list[int]:
        source = batches(seed)
        source.set_epoch(epoch)
        return np.concatenate([batch.unlabelled for batch in source]).tolist()

    assert rows(0, 3) == rows(0, 3)
    assert rows(0, 3) != rows(0, 4)
    assert rows(0, 3) != rows(1, 3)


def test_an_unused_subset_does_not_end_the_epoch() -> None:
    source = MultiSourceBatchSampler(strong=30, weak=20, unlabelled=0, composition=BatchComposition(10, 5, 0), seed=0)

    assert len(list(source)) == 3


def test_rejects_a_subset_smaller_than_its_share() -> None:
    with pytest.raises(ValueError, match="weak: 11 clips; expected at least the 12 that one batch takes"):
        MultiSourceBatchSampler(strong=100, weak=11, unlabelled=500, composition=BatchComposition(), seed=0)
    with pytest.raises(ValueError, match="expected 0 or more of each, and a clip in all"):
        BatchComposition(0, 0, 0)
