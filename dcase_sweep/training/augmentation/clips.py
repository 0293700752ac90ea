"""Augmentations for the classification of clips. All random numbers come from PyTorch.

Features are normalised ``[batch, mel, frame]``, targets are probabilities of the classes ``[batch, class]``.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Gamma

from dcase_sweep.training.augmentation.ranges import check_positive, check_range


@dataclass(frozen=True, slots=True)
class Roll:
    """Rolls each clip in time, circularly, by up to ``fraction`` of its length in either direction."""

    batches: ClassVar[str] = "clips"
    fraction: float

    def __post_init__(self) -> None:
        check_range("fraction", self.fraction, 0, 1)

    def __call__(self, features: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        if not self.fraction:
            return features, targets
        batch, mels, frames = features.shape
        reach = int(self.fraction * frames)
        shifts = torch.randint(-reach, reach + 1, (batch, 1), device=features.device)
        positions = (torch.arange(frames, device=features.device) - shifts) % frames
        return features.gather(2, positions.unsqueeze(1).expand(batch, mels, frames)), targets


@dataclass(frozen=True, slots=True)
class MaskMels:
    """Sets ``count`` ranges of up to ``width`` mel bands per clip to 0, their mean (Park et al., 2019)."""

    batches: ClassVar[str] = "clips"
    count: int
    width: int = 8

    def __post_init__(self) -> None:
        check_range("count", self.count, 0)
        check_range("width", self.width, 1)

    def __call__(self, features: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        return _mask(features, 1, self.count, self.width), targets


@dataclass(frozen=True, slots=True)
class MaskFrames:
    """Sets ``count`` ranges of up to ``width`` frames per clip to 0, the mean (Park et al., 2019)."""

    batches: ClassVar[str] = "clips"
    count: int
    width: int = 50

    def __post_init__(self) -> None:
        check_range("count", self.count, 0)
        check_range("width", self.width, 1)

    def __call__(self, features: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        return _mask(features, 2, self.count, self.width), targets


def _mask(features: Tensor, dimension: int, count: int, width: int) -> Tensor:
    size = features.shape[dimension]
    steps = torch.arange(size, device=features.device)
    for _ in range(count):
        widths = torch.randint(0, min(width, size) + 1, (len(features), 1), device=features.device)
        starts = (torch.rand(len(features), 1, device=features.device) * (size - widths + 1)).long()
        covered = (steps >= starts) & (steps < starts + widths)
        features = features.masked_fill(covered.unsqueeze(2 if dimension == 1 else 1), 0.0)
    return features


@dataclass(frozen=True, slots=True)
class FreqMixStyle:
    """With ``probability``, mixes the mean and deviation of each clip's mel bands with those of another clip.

    Freq-MixStyle (Schmid et al., "CP-JKU submission to DCASE22", 2022): these statistics represent the frequency
    response of a device. The mixing weights are drawn from Beta(alpha, alpha).
    """

    batches: ClassVar[str] = "clips"
    probability: float
    alpha: float = 0.4

    def __post_init__(self) -> None:
        check_range("probability", self.probability, 0, 1)
        check_positive("alpha", self.alpha)

    def __call__(self, features: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        if not self.probability or torch.rand(()) >= self.probability:
            return features, targets
        mean = features.mean(dim=2, keepdim=True)
        std = (features.var(dim=2, keepdim=True, unbiased=False) + 1e-6).sqrt()
        other = torch.randperm(len(features), device=features.device)
        weight = _sample_beta(self.alpha, len(features), features.device)[:, None, None]
        mixed_mean = weight * mean + (1 - weight) * mean[other]
        mixed_std = weight * std + (1 - weight) * std[other]
        return (features - mean) / std * mixed_std + mixed_mean, targets


@dataclass(frozen=True, slots=True)
class Mixup:
    """Mixes pairs of clips and their targets (Zhang et al., 2018). With alpha 0 the batch is not changed."""

    batches: ClassVar[str] = "clips"
    alpha: float

    def __post_init__(self) -> None:
        check_range("alpha", self.alpha, 0)

    def __call__(self, features: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        if not self.alpha:
            return features, targets
        other = torch.randperm(len(features), device=features.device)
        weight = _sample_beta(self.alpha, len(features), features.device)
        mixed = weight[:, None, None] * features + (1 - weight[:, None, None]) * features[other]
        return mixed, weight[:, None] * targets + (1 - weight[:, None]) * targets[other]


def _sample_beta(alpha: float, count: int, device: torch.device) -> Tensor:
    """Draw ``count`` values from Beta(alpha, alpha), as ratios of gamma variates.

    `torch.distributions.Beta` draws different values from the same seed; these repeat the results of earlier versions.
    """
    where = torch.device("cpu") if device.type == "mps" else device  # older PyTorch has no such draw on MPS
    # A check of the arguments, or a rate that is copied to the GPU, would wait for it in each step.
    concentration = torch.full((count,), float(alpha), device=where)
    gamma = Gamma(concentration, torch.ones_like(concentration), validate_args=False)
    first, second = gamma.sample(), gamma.sample()
    return (first / (first + second).clamp_min(1e-12)).to(device)
