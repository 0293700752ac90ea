"""Batches of stored mel amplitudes with their strong and weak labels."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from dcase_sweep.training.mean_teacher.sampling import ComposedBatches


class StoredMel:
    """Mel amplitudes ``[row, mel, frame]`` of given rows, read from the store as they are wanted.

    Args:
        features: of all clips ``[clip, mel, frame]``, may be memory-mapped.
    """

    def __init__(self, features: NDArray[np.float32]) -> None:
        self.features = features

    def __call__(self, rows: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(self.features[rows])


class DeviceFeatures:
    """The same from a copy on a device, for the clips that are learned from: no batch waits for a disk or a bus.

    Args:
        features: of all clips ``[clip, mel, frame]``, may be memory-mapped.
        rows: the clips to hold.
        device: where.
    """

    def __init__(self, features: NDArray[np.float32], rows: NDArray[np.int64], device: str, at_once: int = 256) -> None:
        self.place = np.full(len(features), -1, dtype=np.int64)
        self.place[rows] = np.arange(len(rows))
        self.held = torch.empty((len(rows), *features.shape[1:]), device=device)
        for start in range(0, len(rows), at_once):
            self.held[start : start + at_once] = torch.from_numpy(features[rows[start : start + at_once]]).to(device)

    def __call__(self, rows: NDArray[np.int64]) -> torch.Tensor:
        return self.held[torch.from_numpy(self.place[rows]).to(self.held.device)]


def has_room(device: str, size: int) -> bool:
    """Whether a device holds ``size`` bytes and leaves as much for training; main memory is taken to."""
    if torch.device(device).type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return size <= 0.5 * free


class MelBatches:
    """An epoch's labelled batches; Lightning tells it the epoch through ``sampler.set_epoch``.

    Args:
        features: mel amplitudes ``[row, mel, frame]`` of given rows.
        rows: of the strong, the weak and the unlabelled training clips.
        strong: labels ``[clip, class, frame]`` of the strong clips.
        weak: labels ``[clip, class]`` of the weak clips.
        order: which of them make up each batch.
        on_batch: told the number of clips of each batch.
    """

    def __init__(
        self,
        features: Callable[[NDArray[np.int64]], torch.Tensor],
        rows: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
        *,
        strong: NDArray[np.float32],
        weak: NDArray[np.float32],
        order: ComposedBatches,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        self.features = features
        self.rows = rows
        self.strong = strong
        self.weak = weak
        self.order = order
        self.on_batch = on_batch
        # Lightning looks for these two, to tell the epoch and to see that nothing needs its own shuffling.
        self.sampler = order
        self.batch_sampler = None

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        strong_rows, weak_rows, unlabelled_rows = self.rows
        for chosen in self.order:
            rows = [strong_rows[chosen.strong], weak_rows[chosen.weak], unlabelled_rows[chosen.unlabelled]]
            mel = self.features(np.concatenate(rows))
            yield mel, torch.from_numpy(self.strong[chosen.strong]), torch.from_numpy(self.weak[chosen.weak])
            if self.on_batch:
                self.on_batch(len(mel))


class MelClips:
    """Batches ``(rows, mel)`` of some clips in their order, for validation and prediction."""

    def __init__(self, features: NDArray[np.float32], rows: NDArray[np.int64], at_once: int = 24) -> None:
        self.features = features
        self.rows = rows
        self.at_once = at_once

    def __len__(self) -> int:
        return -(-len(self.rows) // self.at_once)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for start in range(0, len(self.rows), self.at_once):
            rows = self.rows[start : start + self.at_once]
            yield torch.from_numpy(rows), torch.from_numpy(self.features[rows])
