"""The log-mel front end of the DCASE 2021 task 1A baseline system."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.filtering import FilterBank
from dcase_sweep.audio.mel import slaney_mel_filters
from dcase_sweep.audio.reading import Padding

if TYPE_CHECKING:
    import torch

#: Frames of 2,048 samples that stay near a core from the window to the filters.
_FRAMES_IN_CACHE = 167
#: Each sample is lessened by this share of the one before it, which levels the spectra of everyday sounds.
_PRE_EMPHASIS = 0.95


@dataclass(frozen=True, slots=True)
class _Constants:
    """What frames are multiplied with, on one device."""

    #: ``[window + 1]``: the window, and 0.
    window: "torch.Tensor"
    #: What the window rises by from sample to sample, times the pre-emphasis ``[window + 1]``.
    rise: "torch.Tensor"
    #: The filters, the pre-emphasis undone.
    filters: FilterBank


class LogMel:
    """Log-mel energies of waveforms: ``[batch, sample]`` → ``[batch, mel, frame]``, on the waveforms' device.

    Frames are centred on multiples of the hop and the first ``seconds / hop_seconds`` of them are kept. The window is
    periodic Hamming, the spectrum its magnitude, the filters Slaney's; the result is ``ln(mel + floor)``. These are
    the steps of the baseline system (Heittola et al., DCASE 2021 task 1A), which computed them with librosa < 0.10,
    whose default padding at the clip's ends is by reflection.
    """

    #: A scene goes on: short clips are repeated.
    padding: Padding = "repeat"

    def __init__(
        self,
        *,
        sample_rate: int,
        seconds: float,
        window_seconds: float,
        hop_seconds: float,
        n_fft: int,
        n_mels: int,
        f_min: float,
        f_max: float,
        floor: float,
        pad_mode: str = "reflect",
    ) -> None:
        self.sample_rate = sample_rate
        self.seconds = seconds
        self.window = round(window_seconds * sample_rate)
        self.hop = round(hop_seconds * sample_rate)
        self.n_fft = n_fft
        self.n_mels = n_mels
        self.f_min = f_min
        self.f_max = f_max
        self.floor = floor
        self.pad_mode = pad_mode
        self._check()

    def _check(self) -> None:
        if not 0 < self.window <= self.n_fft:
            raise ValueError(f"window_seconds: {self.window} samples do not fit n_fft={self.n_fft}; use a larger n_fft")
        if not 0 < self.hop <= round(self.seconds * self.sample_rate):
            raise ValueError(f"hop_seconds: {self.hop} samples; expected between 1 and the clip's length")
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise ValueError(
                f"f_min={self.f_min}, f_max={self.f_max}: expected 0 <= f_min < f_max <= {self.sample_rate / 2} Hz"
            )
        if self.pad_mode not in ("reflect", "constant"):
            raise ValueError(f"pad_mode={self.pad_mode!r}: expected 'reflect' or 'constant'")
        if self.floor <= 0:
            raise ValueError(f"floor={self.floor}: expected a positive number, since its logarithm is taken")
        _ = self.filters  # raises for a band that holds no bin

    @property
    def shape(self) -> tuple[int, int]:
        """``(mel, frame)`` of one clip."""
        return self.n_mels, round(self.seconds * self.sample_rate) // self.hop

    @cached_property
    def filters(self) -> NDArray[np.float32]:
        """The mel filters ``[mel, bin]``."""
        return slaney_mel_filters(
            sample_rate=self.sample_rate, n_fft=self.n_fft, n_mels=self.n_mels, f_min=self.f_min, f_max=self.f_max
        )

    @cached_property
    def _constants(self) -> "dict[torch.device, _Constants]":
        return {}

    def _on(self, device: "torch.device") -> _Constants:
        import torch

        if device not in self._constants:
            window = np.append(torch.hamming_window(self.window, dtype=torch.float64).numpy(), 0)
            rise = _PRE_EMPHASIS * np.diff(window, prepend=0)
            angles = 2 * np.pi * np.arange(self.n_fft // 2 + 1) / self.n_fft
            filters = (self.filters / np.abs(1 - _PRE_EMPHASIS * np.exp(-1j * angles))).astype(np.float32)
            on_device = [torch.from_numpy(array).float().to(device) for array in (window, rise)]
            self._constants[device] = _Constants(on_device[0], on_device[1], FilterBank(filters, device))
        return self._constants[device]

    def mel(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Mel magnitudes ``[batch, mel, frame]`` before the logarithm.

        The rounding of a transform in single precision is about 1e-7 of the loudest bins, which in a recording is
        2e-5 of its quiet bands. Windowed frames are therefore pre-emphasised, and the filters undo it: that leaves
        1e-6 of librosa's result in double precision, at two thirds of the time of a transform in double precision.
        Where in the transform's samples a frame begins changes no magnitude: it begins at the first, and what the
        window leaves of them stays 0 from the first frames to the last.
        """
        import torch

        constants = self._on(waveforms.device)
        padded = self._padded(waveforms)
        begin, taken, frames = (self.n_fft - self.window) // 2, len(constants.window), self.shape[1]
        at_once = frames if waveforms.is_cuda else min(frames, _FRAMES_IN_CACHE)
        windowed = waveforms.new_zeros(len(waveforms), at_once, max(self.n_fft, taken))
        # Of each frame the samples one before those that the window takes.
        before = padded[:, begin:].unfold(1, taken, self.hop)
        mel = []
        for first in range(0, frames, at_once):
            count = min(at_once, frames - first)
            start = begin + first * self.hop
            stop = start + (count - 1) * self.hop + taken
            emphasised = torch.sub(padded[:, start + 1 : stop + 1], padded[:, start:stop], alpha=_PRE_EMPHASIS)
            # w[n] x[n] - a w[n-1] x[n-1], arranged so that only what is left of x is rounded.
            now = windowed[:, :count, :taken]
            torch.mul(emphasised.unfold(1, taken, self.hop), constants.window, out=now)
            now.addcmul_(before[:, first : first + count], constants.rise)
            if taken > self.n_fft:  # to the transform the sample after the last is the first
                windowed[..., 0] += windowed[..., -1]
            mel.append(constants.filters(torch.fft.rfft(windowed[:, :count, : self.n_fft])))
        return torch.cat(mel, dim=1).transpose(1, 2)

    def _padded(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """The waveforms with half a frame before, one sample more, and half a frame behind.

        PyTorch's own reflection takes eight times as long.
        """
        import torch

        margin = self.n_fft // 2
        if self.pad_mode == "constant":
            return torch.nn.functional.pad(waveforms, (margin + 1, margin))
        before, behind = waveforms[:, 1 : margin + 2].flip(1), waveforms[:, -margin - 1 : -1].flip(1)
        return torch.cat([before, waveforms, behind], dim=1)

    def __call__(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Log-mel energies ``[batch, mel, frame]`` of ``[batch, sample]``."""
        return self.mel(waveforms).add_(self.floor).log_()
