"""Batches of stored mel amplitudes with their strong and weak labels."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dcase_sweep.training.batches import EpochBatches
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

    def read(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[torch.Tensor]:
        """Yield the features of one batch of rows after another."""
        yield from map(self, batches)

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
        return self.features[self._find(rows)]

    def read(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[torch.Tensor]:
        """Yield the features of one batch of rows after another. All positions are copied to the device at once."""
        places = self._find(np.concatenate(batches)) if batches else torch.empty(0, dtype=torch.int64)
        for chosen in places.split([len(rows) for rows in batches]):
            yield self.features[chosen]

    def _find(self, rows: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(self.position[rows]).to(self.features.device, non_blocking=True)


#: A source of mel amplitudes or packed waveforms.
FeatureSource = StoredFeatures | DeviceFeatures


class MelBatches(EpochBatches):
    """An iterable over the labelled batches of an epoch ``(mel, strong, weak)``.

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
        self._batches = self.sampler = sampler

    @property
    def device_bytes(self) -> int:
        """Size of the features on a GPU, in bytes."""
        return self.features.features.nbytes if isinstance(self.features, DeviceFeatures) else 0

    @property
    def clips_per_epoch(self) -> int:
        return len(self) * self._batches.composition.size

    def describe(self) -> Any:
        sizes = [len(rows) for rows in self.rows]
        return sizes, self._batches.composition, self.features.features.shape[1:], self.strong.shape[1:]

    def __len__(self) -> int:
        return len(self._batches)

    def load(self) -> Iterator[tuple[torch.Tensor, ...]]:
        chosen = list(self._batches)
        strong_rows, weak_rows, unlabelled_rows = self.rows
        rows = [
            np.concatenate([strong_rows[each.strong], weak_rows[each.weak], unlabelled_rows[each.unlabelled]])
            for each in chosen
        ]
        strong = _split(self.strong, [each.strong for each in chosen])
        weak = _split(self.weak, [each.weak for each in chosen])
        yield from zip(self.features.read(rows), strong, weak, strict=True)


def _split(labels: torch.Tensor, batches: Sequence[NDArray[np.int64]]) -> Iterator[torch.Tensor]:
    """Yield the labels of one batch after another. All positions are copied to the device at once."""
    places = torch.from_numpy(np.concatenate(batches) if batches else np.empty(0, np.int64)).to(labels.device)
    for chosen in places.split([len(rows) for rows in batches]):
        yield labels[chosen]


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
