"""Batches of stored mel amplitudes."""

import numpy as np
import torch

from dcase_sweep.training.mean_teacher.batches import DeviceFeatures, MelBatches, MelClips, StoredFeatures
from dcase_sweep.training.mean_teacher.sampling import BatchComposition, MultiSourceBatchSampler

FEATURES = np.arange(12, dtype=np.float32).repeat(6).reshape(12, 2, 3)
#: Rows 0 to 3 are validation clips, which are not learned from.
ROWS = (np.array([8, 9, 10, 11]), np.array([4, 5]), np.array([6, 7]))


def batches(source: StoredFeatures | DeviceFeatures) -> MelBatches:
    order = MultiSourceBatchSampler(strong=4, weak=2, unlabelled=2, composition=BatchComposition(2, 1, 1), seed=0)
    return MelBatches(
        source, ROWS, strong=np.ones((4, 3, 1), np.float32), weak=np.eye(2, dtype=np.float32), sampler=order
    )


def test_a_batch_is_strong_then_weak_then_unlabelled_clips() -> None:
    mels, strong, weak = zip(*batches(StoredFeatures(FEATURES)), strict=True)

    rows = [mel[:, 0, 0].tolist() for mel in mels]
    assert [sorted(row > 7 for row in batch) for batch in rows] == [[False, False, True, True]] * 2
    assert all(batch[2] in (4, 5) and batch[3] in (6, 7) for batch in rows)
    assert {row for batch in rows for row in batch} == set(range(4, 12))
    assert [labels.shape for labels in (strong[0], weak[0])] == [(2, 3, 1), (1, 2)]
    assert [int(labels.argmax()) for labels in weak] == [int(batch[2]) - 4 for batch in rows]  # each its own label


def test_features_held_on_a_device_are_the_stored_ones() -> None:
    on_device = DeviceFeatures(FEATURES, np.concatenate(ROWS), "cpu", chunk_size=3)

    for (expected, *_), (mel, *_) in zip(batches(StoredFeatures(FEATURES)), batches(on_device), strict=True):
        assert torch.equal(mel, expected)


def test_clips_come_in_their_order() -> None:
    rows, mel = zip(*MelClips(StoredFeatures(FEATURES), np.array([3, 1, 2]), batch_size=2), strict=True)

    assert np.concatenate(rows).tolist() == torch.cat(mel)[:, 0, 0].tolist() == [3, 1, 2]
