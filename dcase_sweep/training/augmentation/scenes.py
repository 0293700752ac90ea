"""Augmentation of batches of normalised features ``[batch, mel, frame]``; all random numbers are PyTorch's."""

import torch
from torch import Tensor

from dcase_sweep.config import Augmentation


def augmented(features: Tensor, targets: Tensor, settings: Augmentation) -> tuple[Tensor, Tensor]:
    """Features and targets with all that the settings ask for; for mixup the targets are ``[batch, class]``."""
    if settings.roll:
        features = roll(features, settings.roll)
    if settings.freq_mixstyle_p and torch.rand(()) < settings.freq_mixstyle_p:
        features = freq_mixstyle(features, settings.freq_mixstyle_alpha)
    if settings.mask_mels:
        features = mask(features, 1, settings.mask_mels, settings.mask_mels_width)
    if settings.mask_frames:
        features = mask(features, 2, settings.mask_frames, settings.mask_frames_width)
    if settings.mixup_alpha:
        return mixup(features, targets, settings.mixup_alpha)
    return features, targets


def roll(features: Tensor, largest: float) -> Tensor:
    """Each clip rolled in time by up to ``largest`` of its length either way, its end coming in at its beginning."""
    batch, mels, frames = features.shape
    reach = int(largest * frames)
    shifts = torch.randint(-reach, reach + 1, (batch, 1), device=features.device)
    positions = (torch.arange(frames, device=features.device) - shifts) % frames
    return features.gather(2, positions.unsqueeze(1).expand(batch, mels, frames))


def mask(features: Tensor, dimension: int, count: int, width: int) -> Tensor:
    """``count`` stretches of up to ``width`` steps of a dimension set to 0, the mean, per clip (Park et al., 2019)."""
    size = features.shape[dimension]
    steps = torch.arange(size, device=features.device)
    for _ in range(count):
        widths = torch.randint(0, min(width, size) + 1, (len(features), 1), device=features.device)
        starts = (torch.rand(len(features), 1, device=features.device) * (size - widths + 1)).long()
        covered = (steps >= starts) & (steps < starts + widths)
        features = features.masked_fill(covered.unsqueeze(2 if dimension == 1 else 1), 0.0)
    return features


def freq_mixstyle(features: Tensor, alpha: float) -> Tensor:
    """Each clip given a mixture of its own and another clip's mean and deviation per mel band.

    Freq-MixStyle (Schmid et al., "CP-JKU submission to DCASE22", 2022): devices differ in their frequency response,
    which is what these statistics carry; the mixing weights are drawn from Beta(alpha, alpha).
    """
    mean = features.mean(dim=2, keepdim=True)
    deviation = (features.var(dim=2, keepdim=True, unbiased=False) + 1e-6).sqrt()
    other = torch.randperm(len(features), device=features.device)
    weight = _beta(alpha, len(features), features.device)[:, None, None]
    mixed_mean = weight * mean + (1 - weight) * mean[other]
    mixed_deviation = weight * deviation + (1 - weight) * deviation[other]
    return (features - mean) / deviation * mixed_deviation + mixed_mean


def mixup(features: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Convex mixtures of pairs of clips and of their targets ``[batch, class]`` (Zhang et al., 2018)."""
    other = torch.randperm(len(features), device=features.device)
    weight = _beta(alpha, len(features), features.device)
    mixed = weight[:, None, None] * features + (1 - weight[:, None, None]) * features[other]
    return mixed, weight[:, None] * targets + (1 - weight[:, None]) * targets[other]


def _beta(alpha: float, count: int, device: torch.device) -> Tensor:
    """``count`` draws of Beta(alpha, alpha), as ratios of gamma draws."""
    parameter = torch.full((count,), float(alpha), device=device)
    first, second = torch._standard_gamma(parameter), torch._standard_gamma(parameter)
    return first / (first + second).clamp_min(1e-12)
