"""The log-mel front end of the DCASE 2021 task 1A baseline system."""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.mel import slaney_mel_filters

if TYPE_CHECKING:
    import torch

#: Frames of 2,048 double-precision samples that stay in a core's cache from the window to the filters.
_FRAMES_IN_CACHE = 100


class LogMel:
    """Log-mel energies of waveforms: ``[batch, sample]`` → ``[batch, mel, frame]``, on the waveforms' device.

    Frames are centred on multiples of the hop and the first ``seconds / hop_seconds`` of them are kept. The window is
    periodic Hamming, the spectrum its magnitude, the filters Slaney's; the result is ``ln(mel + floor)``. These are
    the steps of the baseline system (Heittola et al., DCASE 2021 task 1A), which computed them with librosa < 0.10,
    whose default padding at the clip's ends is by reflection.
    """

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
    def _constants(self) -> "dict[torch.device, tuple[torch.Tensor, torch.Tensor]]":
        return {}

    def _on(self, device: "torch.device") -> "tuple[torch.Tensor, torch.Tensor]":
        """The window ``[n_fft]`` and the transposed filters ``[bin, mel]`` on a device."""
        import torch

        if device not in self._constants:
            before = (self.n_fft - self.window) // 2
            window = torch.zeros(self.n_fft, dtype=torch.float64)
            window[before : before + self.window] = torch.hamming_window(self.window, dtype=torch.float64)
            self._constants[device] = window.to(device), torch.from_numpy(self.filters.T.copy()).to(device)
        return self._constants[device]

    def mel(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Mel magnitudes ``[batch, mel, frame]`` before the logarithm."""
        import torch

        window, filters = self._on(waveforms.device)
        margin = self.n_fft // 2
        padded = torch.nn.functional.pad(waveforms, (margin, margin), mode=self.pad_mode)
        frames = padded.unfold(1, self.n_fft, self.hop)[:, : self.shape[1]]
        at_once = frames.shape[1] if waveforms.is_cuda else _FRAMES_IN_CACHE
        parts = [_magnitude(part * window) @ filters for part in frames.split(at_once, dim=1)]
        return torch.cat(parts, dim=1).transpose(1, 2)

    def __call__(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Log-mel energies ``[batch, mel, frame]`` of ``[batch, sample]``."""
        return self.mel(waveforms).add_(self.floor).log_()


def _magnitude(frames: "torch.Tensor") -> "torch.Tensor":
    """Magnitude spectra ``[..., bin]`` in float32 of windowed frames ``[..., sample]`` in float64.

    The transform is in double precision: in single precision its rounding, about 1e-7 of the loudest bin, is 2e-5 of
    a quiet band, and the librosa reference is not met. |z| written out is three times as fast as ``abs()``, which
    guards against an overflow that audio cannot reach.
    """
    import torch

    squares = torch.view_as_real(torch.fft.rfft(frames)).float().square_()
    return (squares[..., 0] + squares[..., 1]).sqrt_()
