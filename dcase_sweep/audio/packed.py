"""Waveforms at 16 bits a sample, for storage. Each clip has a scale of its own."""

import math
from typing import TYPE_CHECKING, Any

from dcase_sweep.audio.reading import Padding

if TYPE_CHECKING:
    import torch

#: The values after the samples of a clip, which hold its scale: a float32.
_SCALE = 2
#: The largest 16-bit number, and how many of them full scale has.
_LARGEST, _FULL_SCALE = 32_767, 32_768


class PackedWaveforms:
    """Packs waveforms: ``[batch, sample]`` float32 → ``[batch, 1, sample + 2]`` int16, as a front end of a store.

    The scale of a clip is the power of two by which its samples fill the range. 16-bit recordings that are neither
    resampled nor mixed down are kept exactly; the error of others is at most 2**-16 of the power of two above the peak.

    Args:
        sample_rate: sample rate in Hz.
        seconds: length of a clip in s.
        padding: how short recordings are extended.
    """

    #: The type of the stored values.
    stored_dtype = "int16"

    def __init__(self, *, sample_rate: int, seconds: float, padding: Padding) -> None:
        self.sample_rate = sample_rate
        self.seconds = seconds
        self.padding: Padding = padding

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(1, sample + 2)`` of a clip."""
        return 1, round(self.seconds * self.sample_rate) + _SCALE

    @property
    def configuration(self) -> dict[str, Any]:
        """Return the settings on which stored waveforms depend."""
        name = f"{type(self).__module__}.{type(self).__name__}"
        return {
            "_target_": name,
            "sample_rate": self.sample_rate,
            "seconds": self.seconds,
            "padding": self.padding,
        }

    def __call__(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Pack waveforms ``[batch, sample]``."""
        return pack(waveforms).unsqueeze(1)


def pack(waveforms: "torch.Tensor") -> "torch.Tensor":
    """Pack waveforms ``[batch, sample]`` as int16 ``[batch, sample + 2]``."""
    import torch

    scales = torch.tensor([_choose_scale(float(clip.max()), float(-clip.min())) for clip in waveforms])
    scales = scales.to(waveforms.device, torch.float32)[:, None]
    samples = (waveforms / scales).round_().to(torch.int16)
    return torch.cat([samples, scales.contiguous().view(torch.int16)], dim=1)


def unpack(packed: "torch.Tensor") -> "torch.Tensor":
    """Return the waveforms ``[batch, sample]`` float32 of packed ones ``[batch, sample + 2]``, on the same device."""
    import torch

    scales = packed[:, -_SCALE:].contiguous().view(torch.float32)
    return packed[:, :-_SCALE].float().mul_(scales)


def _choose_scale(highest: float, lowest: float) -> float:
    """Return the smallest power of two by which the peaks, divided by it, are 16-bit numbers."""
    peak = max(highest, lowest, 1e-30)
    scale = 2.0 ** math.ceil(math.log2(peak)) / _FULL_SCALE
    return scale if highest <= scale * _LARGEST else 2 * scale
