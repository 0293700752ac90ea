"""Means of values over the batches of an epoch, computed on the device."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor


class EpochMeans:
    """Means over an epoch, weighted by the number of clips in each batch, and summed in float32.

    Lightning's ``log`` returns the same numbers, but launches several kernels for each value of each batch.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start an epoch."""
        self._names: tuple[str, ...] = ()
        self._sums: Tensor | None = None
        self._numbers: dict[str, np.float32] = {}
        self._clips = 0

    def add(self, names: Sequence[str], values: Tensor, clips: int, numbers: Mapping[str, float] | None = None) -> None:
        """Add a batch, without waiting for the device.

        Args:
            names: names of the values.
            values: float32 values ``[value]`` on any device.
            clips: number of clips in the batch.
            numbers: further values that are not tensors, by name.
        """
        weighted = values * clips
        self._names = tuple(names)
        self._sums = weighted if self._sums is None else self._sums + weighted
        for name, number in (numbers or {}).items():
            self._numbers[name] = self._numbers.get(name, np.float32(0)) + np.float32(number) * np.float32(clips)
        self._clips += clips

    def replace(self, names: Sequence[str], sums: Tensor, clips: int) -> None:
        """Set the sums of an epoch whose batches were added elsewhere.

        Args:
            names: names of the values.
            sums: float32 sums, weighted by the number of clips ``[value]``.
            clips: number of clips in the epoch.
        """
        self._names, self._sums, self._clips = tuple(names), sums, clips

    def compute(self) -> dict[str, float]:
        """Return the means by name, copied in one transfer; empty without a batch."""
        if self._sums is None:
            return {}
        means = (self._sums / torch.tensor(self._clips)).tolist()
        numbers = {name: float(total / np.float32(self._clips)) for name, total in self._numbers.items()}
        return dict(zip(self._names, means, strict=True)) | numbers
