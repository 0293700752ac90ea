"""Batches of stored features for Keras, in the same order as in the PyTorch learner."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dcase_sweep.training.augmentation.base import Augmentation, apply_all
from dcase_sweep.training.batches import epoch_order
from dcase_sweep.training.keras.loaded import keras, tensorflow

Array = NDArray[np.float32]


class Batches(keras.utils.PyDataset):
    """Batches of one split, ``(features, one-hot targets)``.

    Args:
        features: normalised features ``[clip, mel, frame]``, or indices ``[clip]`` of features on the device.
        targets: one-hot ``[clip, class]``.
        shuffle_seed: each epoch is shuffled by this seed and the epoch's number; None = no shuffling.
        augmentations: augmentations of training batches, in order; their random numbers depend on the seed, the epoch
            and the batch.
    """

    def __init__(
        self,
        features: NDArray[Any],
        targets: Array,
        batch_size: int,
        *,
        shuffle_seed: int | None = None,
        augmentations: Sequence[Augmentation] = (),
    ) -> None:
        super().__init__()
        self.features = features
        self.targets = targets
        self.batch_size = batch_size
        self.shuffle_seed = shuffle_seed
        self.augmentations = augmentations
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that determines the next order."""
        self.epoch = epoch
        self.order = epoch_order(len(self.targets), self.shuffle_seed, epoch)

    def get_size(self, position: int) -> int:
        """Return the number of clips in the batch at a position."""
        return min(self.batch_size, len(self.targets) - position * self.batch_size)

    def __len__(self) -> int:
        return -(-len(self.targets) // self.batch_size)

    def __getitem__(self, position: int) -> tuple[NDArray[Any], Array]:
        chosen = self.order[position * self.batch_size :][: self.batch_size]
        features, targets = self.features[chosen], self.targets[chosen]
        if self.augmentations:
            features, targets = self._augmented(position, features, targets)
        return (features[..., None] if features.ndim == 3 else features), targets

    def _augmented(self, position: int, features: Array, targets: Array) -> tuple[Array, Array]:
        drawn = np.random.SeedSequence([self.shuffle_seed or 0, self.epoch, position]).generate_state(1, np.uint64)
        seed = int(drawn[0]) >> 1
        batch = torch.from_numpy(features), torch.from_numpy(targets)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            changed, mixed = apply_all(self.augmentations, *batch, np.random.default_rng(seed))
        return changed.numpy(), mixed.numpy()


class Stored(keras.layers.Layer):
    """Looks up features on the device by their index: indices ``[batch]`` → ``[batch, mel, frame, 1]``."""

    def __init__(self, features: Array) -> None:
        super().__init__(name="stored", trainable=False)
        self.features = tensorflow.constant(features[..., None])

    def call(self, places: Any) -> Any:
        """Return the features with these indices."""
        return tensorflow.gather(self.features, places)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return ``[batch, mel, frame, 1]``."""
        return (shape[0], *self.features.shape[1:])
