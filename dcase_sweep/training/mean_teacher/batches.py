"""Batches of stored mel amplitudes with their strong and weak labels."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dcase_sweep.training.mean_teacher.sampling import MultiSourceBatchSampler

#: Batch size of validation and prediction on a CPU.
BATCH_SIZE = 24


class StoredFeatures:
    """Returns mel amplitudes ``[row, mel, frame]`` or packed waveforms of given rows from the feature store.

    Args:
        features: those of all clips ``[clip, ...]``, possibly memory-mapped.
    """

    device = "cpu"

    def __init__(self, features: NDArray[Any]) -> None:
        self.features = features

    def __call__(self, rows: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(self.features[rows])


class DeviceFeatures:
    """Returns mel amplitudes ``[row, mel, frame]`` or packed waveforms of given rows from a copy on a device.

    Args:
        features: those of all clips ``[clip, ...]``, possibly memory-mapped.
        rows: the clips to copy.
        device: PyTorch's name of the device.
        chunk_size: number of clips that are copied at a time.
    """

    def __init__(self, features: NDArray[Any], rows: NDArray[np.int64], device: str, chunk_size: int = 256) -> None:
        self.device = device
        self.position = np.full(len(features), -1, dtype=np.int64)
        self.position[rows] = np.arange(len(rows))
        dtype = torch.from_numpy(np.empty(0, features.dtype)).dtype
        self.features = torch.empty((len(rows), *features.shape[1:]), dtype=dtype, device=device)
        for start in range(0, len(rows), chunk_size):
            chunk = features[rows[start : start + chunk_size]]
            self.features[start : start + chunk_size] = torch.from_numpy(chunk).to(device)

    def __call__(self, rows: NDArray[np.int64]) -> torch.Tensor:
        return self.features[torch.from_numpy(self.position[rows]).to(self.features.device, non_blocking=True)]


#: A source of mel amplitudes or packed waveforms.
FeatureSource = StoredFeatures | DeviceFeatures


class MelBatches:
    """An iterable over the labelled batches of an epoch. Lightning sets the epoch by ``sampler.set_epoch``.

    Args:
        features: source of mel amplitudes. Labels are stored on its device.
        rows: rows of the strongly labelled, the weakly labelled and the unlabelled training clips.
        strong: labels of the strongly labelled clips ``[clip, class, frame]``.
        weak: labels of the weakly labelled clips ``[clip, class]``.
        sampler: selects the clips of each batch.
        on_batch: called with the number of clips of each batch.
    """

    def __init__(
        self,
        features: FeatureSource,
        rows: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
        *,
        strong: NDArray[np.float32],
        weak: NDArray[np.float32],
        sampler: MultiSourceBatchSampler,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        self.features = features
        self.rows = rows
        self.strong = torch.from_numpy(strong).to(features.device)
        self.weak = torch.from_numpy(weak).to(features.device)
        self.on_batch = on_batch
        # Lightning uses these two to set the epoch, and to see that it need not add its own shuffling.
        self.sampler = sampler
        self.batch_sampler = None

    @property
    def device_bytes(self) -> int:
        """Size of the features on a GPU, in bytes."""
        return self.features.features.nbytes if isinstance(self.features, DeviceFeatures) else 0

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        strong_rows, weak_rows, unlabelled_rows = self.rows
        for chosen in self.sampler:
            rows = [strong_rows[chosen.strong], weak_rows[chosen.weak], unlabelled_rows[chosen.unlabelled]]
            mel = self.features(np.concatenate(rows))
            yield mel, self._labels(self.strong, chosen.strong), self._labels(self.weak, chosen.weak)
            if self.on_batch:
                self.on_batch(len(mel))

    @staticmethod
    def _labels(labels: torch.Tensor, chosen: NDArray[np.int64]) -> torch.Tensor:
        return labels[torch.from_numpy(chosen).to(labels.device, non_blocking=True)]


class MelClips:
    """An iterable over batches ``(rows, mel)`` of clips in sequential order, for validation and prediction.

    Args:
        features: source of mel amplitudes.
        rows: rows of the clips.
        batch_size: number of clips in a batch.
    """

    def __init__(self, features: FeatureSource, rows: NDArray[np.int64], batch_size: int = BATCH_SIZE) -> None:
        self.features = features
        self.rows = rows
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], torch.Tensor]]:
        for start in range(0, len(self.rows), self.batch_size):
            rows = self.rows[start : start + self.batch_size]
            yield rows, self.features(rows)
