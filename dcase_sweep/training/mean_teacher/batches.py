"""Batches of stored mel amplitudes with their strong and weak labels."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from dcase_sweep.training.mean_teacher.sampling import ComposedBatches

#: Clips that are validated and predicted at a time on a CPU.
AT_ONCE = 24


class StoredMel:
    """Mel amplitudes ``[row, mel, frame]`` of given rows, read from the store as they are wanted.

    Args:
        features: of all clips ``[clip, mel, frame]``, may be memory-mapped.
    """

    device = "cpu"

    def __init__(self, features: NDArray[np.float32]) -> None:
        self.features = features

    def __call__(self, rows: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(self.features[rows])


class DeviceFeatures:
    """The same from a copy on a device: no batch waits for a disk or a bus.

    Args:
        features: of all clips ``[clip, mel, frame]``, may be memory-mapped.
        rows: the clips to hold.
        device: where.
    """

    def __init__(self, features: NDArray[np.float32], rows: NDArray[np.int64], device: str, at_once: int = 256) -> None:
        self.device = device
        self.place = np.full(len(features), -1, dtype=np.int64)
        self.place[rows] = np.arange(len(rows))
        self.held = torch.empty((len(rows), *features.shape[1:]), device=device)
        for start in range(0, len(rows), at_once):
            self.held[start : start + at_once] = torch.from_numpy(features[rows[start : start + at_once]]).to(device)

    def __call__(self, rows: NDArray[np.int64]) -> torch.Tensor:
        return self.held[torch.from_numpy(self.place[rows]).to(self.held.device, non_blocking=True)]


#: Where mel amplitudes of rows come from.
MelSource = StoredMel | DeviceFeatures


class MelBatches:
    """An epoch's labelled batches; Lightning tells it the epoch through ``sampler.set_epoch``.

    Args:
        features: mel amplitudes ``[row, mel, frame]`` of given rows; labels are kept on its device.
        rows: of the strong, the weak and the unlabelled training clips.
        strong: labels ``[clip, class, frame]`` of the strong clips.
        weak: labels ``[clip, class]`` of the weak clips.
        order: which of them make up each batch.
        on_batch: told the number of clips of each batch.
    """

    def __init__(
        self,
        features: MelSource,
        rows: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
        *,
        strong: NDArray[np.float32],
        weak: NDArray[np.float32],
        order: ComposedBatches,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        self.features = features
        self.rows = rows
        self.strong = torch.from_numpy(strong).to(features.device)
        self.weak = torch.from_numpy(weak).to(features.device)
        self.order = order
        self.on_batch = on_batch
        # Lightning looks for these two, to tell the epoch and to see that nothing needs its own shuffling.
        self.sampler = order
        self.batch_sampler = None

    @property
    def device_bytes(self) -> int:
        """What the features take of a GPU's memory."""
        return self.features.held.nbytes if isinstance(self.features, DeviceFeatures) else 0

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        strong_rows, weak_rows, unlabelled_rows = self.rows
        for chosen in self.order:
            rows = [strong_rows[chosen.strong], weak_rows[chosen.weak], unlabelled_rows[chosen.unlabelled]]
            mel = self.features(np.concatenate(rows))
            yield mel, self._labels(self.strong, chosen.strong), self._labels(self.weak, chosen.weak)
            if self.on_batch:
                self.on_batch(len(mel))

    @staticmethod
    def _labels(labels: torch.Tensor, chosen: NDArray[np.int64]) -> torch.Tensor:
        return labels[torch.from_numpy(chosen).to(labels.device, non_blocking=True)]


class MelClips:
    """Batches ``(rows, mel)`` of some clips in their order, for validation and prediction; rows stay in memory."""

    def __init__(self, features: MelSource, rows: NDArray[np.int64], at_once: int = AT_ONCE) -> None:
        self.features = features
        self.rows = rows
        self.at_once = at_once

    def __len__(self) -> int:
        return -(-len(self.rows) // self.at_once)

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], torch.Tensor]]:
        for start in range(0, len(self.rows), self.at_once):
            rows = self.rows[start : start + self.at_once]
            yield rows, self.features(rows)
