"""Batches of stored features, in an order that depends only on the seed and the epoch."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def epoch_order(count: int, seed: int | None, epoch: int) -> NDArray[np.int64]:
    """Return the order of ``count`` clips in an epoch: sequential, or shuffled by the seed and the epoch's number."""
    if seed is None:
        return np.arange(count)
    return np.random.default_rng([seed, epoch]).permutation(count)


class Clips:
    """Features and class indices of one split, stored in memory or on the device.

    Args:
        features: ``[clip, ...]``, possibly memory-mapped; the rows of the split are copied.
        rows: the rows of the split.
        targets: the class index of each of these rows.
    """

    def __init__(
        self, features: NDArray[Any], rows: NDArray[np.int64], targets: NDArray[np.int64], device: str = "cpu"
    ) -> None:
        self.features = torch.from_numpy(features[rows]).to(device)
        self.targets = torch.from_numpy(np.asarray(targets)).to(device)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a clip's features."""
        return tuple(self.features.shape[1:])

    @property
    def device(self) -> torch.device:
        """The device of the features."""
        return self.features.device

    @property
    def device_bytes(self) -> int:
        """Size of the features on a GPU, in bytes."""
        return self.features.nbytes if self.features.is_cuda else 0

    def take(self, chosen: Tensor) -> Tensor:
        """Return the features of some clips of the split, by their positions ``[clip]`` on the features' device."""
        return self.features[chosen]


class MappedClips(Clips):
    """Clips whose features stay where they are stored, because they are too large for a copy, such as waveforms.

    Args:
        features: packed waveforms ``[clip, sample + 2]``, possibly memory-mapped.
        rows: the rows of the split.
        targets: the class index of each of these rows.
    """

    device = torch.device("cpu")
    device_bytes = 0

    def __init__(self, features: NDArray[Any], rows: NDArray[np.int64], targets: NDArray[np.int64]) -> None:
        self._stored = features
        self._rows = rows
        self.targets = torch.from_numpy(np.asarray(targets))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a clip's waveform."""
        return tuple(self._stored.shape[1:])

    def take(self, chosen: Tensor) -> Tensor:
        """Read the waveforms of some clips."""
        return torch.from_numpy(self._stored[self._rows[chosen.numpy()]])


class EpochSampler(Protocol):
    """What determines the order of an epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that determines the next order."""
        ...


class EpochBatches:
    """The training batches of an epoch, which a group of trainings can also load one by one.

    Lightning sets the epoch by ``sampler.set_epoch``. A subclass defines `load`, `describe`, ``__len__`` and
    `clips_per_epoch`.

    Attributes:
        sampler: determines the order.
        on_batch: called with the number of clips of each batch.
    """

    sampler: EpochSampler
    on_batch: Callable[[int], None] | None = None
    #: Tells Lightning, with ``sampler``, that it need not add its own shuffling.
    batch_sampler = None

    @property
    def clips_per_epoch(self) -> int:
        """Number of clips in an epoch."""
        raise NotImplementedError

    def describe(self) -> Any:
        """Return the sizes of the batches, which do not differ within a group of trainings."""
        raise NotImplementedError

    def load(self) -> Iterator[tuple[Tensor, ...]]:
        """Yield the batches of the epoch without calling ``on_batch``. The first tensor of each has all its clips."""
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for batch in self.load():
            yield batch
            if self.on_batch:
                self.on_batch(len(batch[0]))


class Batches(EpochBatches):
    """An iterable over ``(features, targets)``.

    The order of an epoch is a function of the seed and the epoch's number, so that a resumed run sees the same batches
    as an uninterrupted one.
    """

    def __init__(
        self,
        clips: Clips,
        batch_size: int,
        *,
        shuffle_seed: int | None = None,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        self.clips = clips
        self.batch_size = batch_size
        self.shuffle_seed = shuffle_seed
        self.on_batch = on_batch
        self.epoch = 0
        self.sampler = self

    @property
    def device_bytes(self) -> int:
        """Size of the features on a GPU, in bytes."""
        return self.clips.device_bytes

    @property
    def clips_per_epoch(self) -> int:
        return len(self.clips)

    def describe(self) -> Any:
        return len(self.clips), self.batch_size, self.clips.shape

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that determines the next order."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.clips) // self.batch_size)

    def load(self) -> Iterator[tuple[Tensor, ...]]:
        order = torch.from_numpy(epoch_order(len(self.clips), self.shuffle_seed, self.epoch))
        for chosen in order.to(self.clips.device).split(self.batch_size):
            yield self.clips.take(chosen), self.clips.targets[chosen]


def band_statistics(
    features: NDArray[np.float32], rows: NDArray[np.int64], chunk_size: int = 256, *, ddof: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute the mean and standard deviation of each mel band ``[mel]`` over the clips and frames of ``rows``.

    Sums are in double precision relative to the mean of the first clip, so that neither the size of the data nor an
    offset costs precision. A constant band gets a deviation of one.

    Args:
        features: ``[clip, mel, frame]``, possibly memory-mapped.
        rows: the clips.
        chunk_size: number of clips in memory at a time.
        ddof: subtracted from the number of frames in the deviation: 1 for a sample, 0 for a population.
    """
    offset = features[rows[0]].mean(axis=1, dtype=np.float64)[:, None]
    total = np.zeros(features.shape[1])
    squares = np.zeros(features.shape[1])
    for start in range(0, len(rows), chunk_size):
        part = features[rows[start : start + chunk_size]].astype(np.float64) - offset
        total += part.sum(axis=(0, 2))
        squares += np.einsum("cmf,cmf->m", part, part)
    count = len(rows) * features.shape[2]
    mean = total / count
    variance = np.maximum(squares / count - mean**2, 0)
    deviation = np.sqrt(variance * (count / max(count - ddof, 1)))
    deviation[deviation < 1e-6] = 1.0
    return (mean + offset[:, 0]).astype(np.float32), deviation.astype(np.float32)
