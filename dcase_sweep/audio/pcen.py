"""Per-channel energy normalisation of a mel spectrogram by librosa."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.log_mel import LogMel
from dcase_sweep.audio.reading import Padding
from dcase_sweep.audio.spectrograms import require_librosa

if TYPE_CHECKING:
    import torch


class PCEN:
    """Mel magnitudes with per-channel energy normalisation: ``[batch, sample]`` → ``[batch, mel, frame]``.

    Each mel band is divided by a power of its smoothed energy and compressed by a root (Wang et al., "Trainable
    frontend for robust and far-field keyword spotting", ICASSP 2017; Lostanlen et al., "Per-channel energy
    normalization: why and how", IEEE Signal Processing Letters 26(1), 2019). The mel magnitudes are those of
    `log_mel.LogMel`. `librosa.pcen` computes the rest on the CPU.

    Args:
        sample_rate: sample rate in Hz.
        seconds: length of a clip in s.
        window_seconds: length of the periodic Hamming window in s.
        hop_seconds: time between frames in s.
        n_fft: samples of the Fourier transform.
        n_mels: number of bands, on Slaney's scale with area norm.
        f_min: lower edge of the lowest band, Hz.
        f_max: upper edge of the highest band, Hz; None = half the sample rate.
        gain: exponent of the smoothed energy that divides each band; 0 = no gain control.
        bias: added before the root.
        power: exponent of the compression; 0 = a logarithm.
        time_constant: time constant of the smoothing in s.
        eps: added to the smoothed energy.
        scale: factor applied to magnitudes; `librosa.pcen` expects magnitudes of 32-bit integers, 2³¹.

    Raises:
        ValueError: in one line, for incompatible values, or if librosa is not installed.
    """

    #: How short clips are extended unless the task determines it.
    padding: Padding = "repeat"
    #: Packages on whose versions stored features depend.
    packages = ("librosa",)

    def __init__(
        self,
        *,
        sample_rate: int,
        seconds: float,
        window_seconds: float = 0.04,
        hop_seconds: float = 0.02,
        n_fft: int = 2048,
        n_mels: int = 40,
        f_min: float = 0.0,
        f_max: float | None = None,
        gain: float = 0.98,
        bias: float = 2.0,
        power: float = 0.5,
        time_constant: float = 0.4,
        eps: float = 1e-6,
        scale: float = 2.0**31,
    ) -> None:
        require_librosa(self)
        for name, value in {"gain": gain, "bias": bias, "power": power}.items():
            if value < 0:
                raise ValueError(f"{name}={value}: expected at least 0")
        for name, value in {"time_constant": time_constant, "eps": eps, "scale": scale}.items():
            if not value > 0:
                raise ValueError(f"{name}={value}: expected more than 0")
        self._mel = LogMel(
            sample_rate=sample_rate,
            seconds=seconds,
            window_seconds=window_seconds,
            hop_seconds=hop_seconds,
            n_fft=n_fft,
            n_mels=n_mels,
            f_min=f_min,
            f_max=sample_rate / 2 if f_max is None else f_max,
            floor=eps,
        )
        self.sample_rate = sample_rate
        self.seconds = seconds
        self.gain = gain
        self.bias = bias
        self.power = power
        self.time_constant = time_constant
        self.eps = eps
        self.scale = scale

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(mel, frame)`` of a clip."""
        return self._mel.shape

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Return the centre of each band in Hz ``[mel]``."""
        return self._mel.frequencies

    def __call__(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Compute normalised magnitudes ``[batch, mel, frame]`` of ``[batch, sample]``, on the waveforms' device."""
        import librosa
        import torch

        normalised = librosa.pcen(
            self.scale * self._mel.mel(waveforms).cpu().numpy(),
            sr=self.sample_rate,
            hop_length=self._mel.hop,
            gain=self.gain,
            bias=self.bias,
            power=self.power,
            time_constant=self.time_constant,
            eps=self.eps,
        )
        return torch.from_numpy(normalised.astype(np.float32, copy=False)).to(waveforms.device)
