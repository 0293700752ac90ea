"""Augmentations of mel amplitudes ``[batch, mel, frame]`` for sound event detection, before the conversion to decibels.

Each returns new tensors. Random numbers come from a NumPy generator, so that they do not depend on the device; they are
sent there without waiting for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcase_sweep.training.augmentation.base import EventTargets
from dcase_sweep.training.augmentation.ranges import check_choice, check_positive, check_range


@dataclass(frozen=True, slots=True)
class FrameShift:
    """Rolls clips and their frame labels in time, circularly.

    Each clip is shifted by its own number of frames, drawn from a normal distribution with this standard deviation and
    truncated. Its frame labels are shifted by the corresponding number of label frames, rounded down, as in DESED_task
    (``frame_shift``). Labels of whole clips do not change.
    """

    batches: ClassVar[str] = "events"
    std: float

    def __post_init__(self) -> None:
        check_range("std", self.std, 0)

    def __call__(
        self, features: Tensor, targets: EventTargets, rng: np.random.Generator
    ) -> tuple[Tensor, EventTargets]:
        if not self.std:
            return features, targets
        stride = round(features.shape[2] / targets.strong.shape[2])
        shifts = rng.normal(0.0, self.std, len(features)).astype(np.int64)
        moves = torch.from_numpy(shifts).to(features.device, non_blocking=True)
        of_labels = moves[: len(targets.strong)].div(stride, rounding_mode="floor")
        return _roll(features, moves), EventTargets(_roll(targets.strong, of_labels), targets.weak)


def _roll(values: Tensor, shifts: Tensor) -> Tensor:
    """Roll each clip of ``[batch, row, frame]`` by its own shift ``[batch]``."""
    frames = values.shape[2]
    source = (torch.arange(frames, device=values.device) - shifts[:, None]) % frames
    return values.gather(2, source[:, None].expand_as(values))


@dataclass(frozen=True, slots=True)
class MaskAmplitudes:
    """Sets ``count`` ranges of mel bands per clip to 0, each of up to ``fraction`` of the bands.

    Frequency masking of SpecAugment (Park et al., 2019) on amplitudes, where 0 is silence.
    """

    batches: ClassVar[str] = "events"
    count: int
    fraction: float = 0.0625

    def __post_init__(self) -> None:
        check_range("count", self.count, 0)
        check_range("fraction", self.fraction, 0, 1)

    def __call__(
        self, features: Tensor, targets: EventTargets, rng: np.random.Generator
    ) -> tuple[Tensor, EventTargets]:
        if not self.count:
            return features, targets
        clips, bands, _ = features.shape
        widths: NDArray[np.int64] = rng.integers(0, int(bands * self.fraction), (clips, self.count, 1), endpoint=True)
        starts: NDArray[np.int64] = rng.integers(0, bands - widths, endpoint=True)
        band = np.arange(bands)
        masked = ((band >= starts) & (band < starts + widths)).any(axis=1)
        return _silence(features, torch.from_numpy(masked)), targets


def _silence(features: Tensor, masked: Tensor) -> Tensor:
    """``[batch, mel, frame]`` with 0 in the masked bands ``[batch, mel]``."""
    return features.masked_fill(masked.to(features.device, non_blocking=True).unsqueeze(2), 0.0)


@dataclass(frozen=True, slots=True)
class FilterAugment:
    """Applies random filters: FilterAugment (Nam, Kim and Park, ICASSP 2022).

    All clips of a batch have the same bands: their number is drawn from ``bands`` (both ends included), and their
    borders are at least ``narrowest`` mel bands apart. Gains of up to ±``decibels`` are drawn for each clip: one per
    band for the shape ``step``; one per border, interpolated linearly in dB, for ``linear``.
    """

    batches: ClassVar[str] = "events"
    decibels: float
    shape: str = "linear"
    bands: Sequence[int] = (3, 5)
    narrowest: int = 6

    def __post_init__(self) -> None:
        check_range("decibels", self.decibels, 0)
        check_choice("shape", self.shape, ("linear", "step"))
        check_range("narrowest", self.narrowest, 1)
        if len(self.bands) != 2 or not 1 <= self.bands[0] <= self.bands[1]:
            raise ValueError(f"bands={list(self.bands)}: expected [least, most], 1 or more")

    def check_shape(self, shape: tuple[int, int]) -> None:
        """Refuse features with fewer mel bands than the narrowest filters take.

        Args:
            shape: mel bands and frames of a clip.

        Raises:
            ValueError: if they are too few.
        """
        if self.decibels and self.bands[1] * self.narrowest > shape[0]:
            raise ValueError(
                f"bands={list(self.bands)}: {self.bands[1]} bands of narrowest={self.narrowest} take "
                f"{self.bands[1] * self.narrowest} mel bands; the front end has {shape[0]}: expected fewer or narrower "
                "ones"
            )

    def __call__(
        self, features: Tensor, targets: EventTargets, rng: np.random.Generator
    ) -> tuple[Tensor, EventTargets]:
        if not self.decibels:
            return features, targets
        clips, mels, frames = features.shape
        self.check_shape((mels, frames))
        borders = _borders(mels, int(rng.integers(self.bands[0], self.bands[1], endpoint=True)), self.narrowest, rng)
        knots = len(borders) - (self.shape == "step")
        gains = rng.uniform(-self.decibels, self.decibels, (clips, knots))
        band = np.searchsorted(borders, np.arange(mels), side="right") - 1
        if self.shape == "step":
            filters = gains[:, band]
        else:
            along = (np.arange(mels) - borders[band]) / np.maximum(1, np.diff(borders)[band] - 1)
            filters = gains[:, band] * (1 - along) + gains[:, band + 1] * along
        factors = torch.from_numpy(10 ** (filters / 20)).to(features.dtype).to(features.device, non_blocking=True)
        return features * factors.unsqueeze(2), targets


def _borders(mels: int, bands: int, narrowest: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw the borders of the bands in mel bands, including 0 and ``mels``, at least ``narrowest`` apart."""
    spare = np.sort(rng.integers(0, mels - bands * narrowest, bands - 1, endpoint=True))
    return np.concatenate([[0], spare + narrowest * np.arange(1, bands), [mels]])


@dataclass(frozen=True, slots=True)
class EventMixup:
    """With ``probability``, mixes strongly labelled clips with each other, and weakly labelled ones likewise.

    Mixup of labelled clips (Zhang et al., 2018) as in the DCASE 2021 task 4 baseline: each kind draws one weight from
    Beta(alpha, alpha) for all its clips, and its own pairs. Targets are mixed likewise (``soft``), or contain all
    events of both clips (``hard``). Unlabelled clips are not changed.
    """

    batches: ClassVar[str] = "events"
    probability: float = 0.5
    alpha: float = 0.2
    labels: str = "soft"

    def __post_init__(self) -> None:
        check_range("probability", self.probability, 0, 1)
        check_positive("alpha", self.alpha)
        check_choice("labels", self.labels, ("soft", "hard"))

    def __call__(
        self, features: Tensor, targets: EventTargets, rng: np.random.Generator
    ) -> tuple[Tensor, EventTargets]:
        if rng.random() >= self.probability:
            return features, targets
        mel, mixed = features.clone(), []
        for clips, labels in [(targets.weak_clips, targets.weak), (targets.strong_clips, targets.strong)]:
            weight = float(rng.beta(self.alpha, self.alpha))
            partner = torch.from_numpy(rng.permutation(len(labels))).to(mel.device, non_blocking=True)
            mel[clips] = _mix(features[clips], partner, weight)
            both = _mix(labels, partner, weight) if self.labels == "soft" else labels + labels[partner]
            mixed.append(both.clamp(0, 1))
        return mel, EventTargets(strong=mixed[1], weak=mixed[0])


def _mix(values: Tensor, partner: Tensor, weight: float) -> Tensor:
    """Mix each clip with its partner ``[batch]``, weighted by ``weight`` and 1 - ``weight``."""
    return values * weight + values[partner] * (1 - weight)
