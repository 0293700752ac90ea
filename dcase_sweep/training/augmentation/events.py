"""Augmentation of mel amplitudes ``[batch, mel, frame]`` for sound event detection, before they become decibels.

Each function returns new tensors. Random numbers come from a NumPy generator, so that they do not depend on the device.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


def frame_shift(
    mel: "torch.Tensor",
    strong: "torch.Tensor",
    rng: np.random.Generator,
    *,
    frame_stride: int = 4,
    deviation: float = 90.0,
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Clips and their frame labels rolled in time, what leaves at one end coming in at the other.

    Each clip moves by its own number of frames from a normal distribution of this ``deviation``, cut to a whole one;
    the labels ``[clip, class, frame]`` of the first clips of the batch, one for ``frame_stride`` of a clip's frames, by
    the quotient rounded down, as in DESED_task (``frame_shift``). Labels of whole clips hold for rolled ones too.
    """
    import torch

    shifts = rng.normal(0.0, deviation, len(mel)).astype(np.int64)
    moves = torch.from_numpy(shifts).to(mel.device)
    of_labels = moves[: len(strong)].div(frame_stride, rounding_mode="floor")
    return _roll(mel, moves), _roll(strong, of_labels)


def _roll(values: "torch.Tensor", shifts: "torch.Tensor") -> "torch.Tensor":
    """``[batch, row, frame]`` with each clip rolled by its own shift ``[batch]``."""
    import torch

    frames = values.shape[2]
    source = (torch.arange(frames, device=values.device) - shifts[:, None]) % frames
    return values.gather(2, source[:, None].expand_as(values))


def mask_frequencies(
    mel: "torch.Tensor", rng: np.random.Generator, *, count: int = 1, largest_share: float = 1 / 16
) -> "torch.Tensor":
    """``count`` stretches of mel bands without sound, per clip, each of up to ``largest_share`` of the bands.

    SpecAugment's frequency masking (Park et al., 2019) on amplitudes, where 0 is silence.

    Raises:
        ValueError: for a share outside 0 to 1.
    """
    import torch

    if not 0 <= largest_share <= 1:
        raise ValueError(f"largest_share={largest_share}: expected a share of the mel bands, 0 to 1")
    clips, bands, _ = mel.shape
    widths = rng.integers(0, int(bands * largest_share), (clips, count, 1), endpoint=True)
    starts = rng.integers(0, bands - widths, endpoint=True)
    band = np.arange(bands)
    masked = ((band >= starts) & (band < starts + widths)).any(axis=1)
    return mel.masked_fill(torch.from_numpy(masked).to(mel.device).unsqueeze(2), 0.0)


def filter_augment(
    mel: "torch.Tensor",
    rng: np.random.Generator,
    *,
    kind: Literal["linear", "step"] = "linear",
    decibels: tuple[float, float] = (-6.0, 6.0),
    bands: tuple[int, int] = (3, 5),
    narrowest: int = 6,
) -> "torch.Tensor":
    """Clips behind random filters: FilterAugment (Nam, Kim and Park, ICASSP 2022).

    The batch shares its bands: how many, from ``bands`` (both ends included), and their borders, at least ``narrowest``
    mel bands apart. Each clip draws its gains within ``decibels``: one a band for ``step``; one at each border, and
    between them straight lines in dB, for ``linear``.

    Raises:
        ValueError: if so many bands of this width do not fit.
    """
    import torch

    clips, mels, _ = mel.shape
    if not 1 <= bands[0] <= bands[1] or narrowest < 1 or bands[1] * narrowest > mels:
        raise ValueError(
            f"bands={list(bands)}, narrowest={narrowest}: expected 1 <= least <= most, within {mels} mel bands in all"
        )
    borders = _borders(mels, int(rng.integers(*bands, endpoint=True)), narrowest, rng)
    knots = len(borders) - (kind == "step")
    gains = rng.uniform(*decibels, (clips, knots))
    band = np.searchsorted(borders, np.arange(mels), side="right") - 1
    if kind == "step":
        filters = gains[:, band]
    else:
        along = (np.arange(mels) - borders[band]) / np.maximum(1, np.diff(borders)[band] - 1)
        filters = gains[:, band] * (1 - along) + gains[:, band + 1] * along
    factors = torch.from_numpy(10 ** (filters / 20)).to(mel)
    return mel * factors.unsqueeze(2)


def _borders(mels: int, bands: int, narrowest: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Borders of the bands in mel bands, 0 and ``mels`` included, at least ``narrowest`` apart."""
    spare = np.sort(rng.integers(0, mels - bands * narrowest, bands - 1, endpoint=True))
    return np.concatenate([[0], spare + narrowest * np.arange(1, bands), [mels]])
