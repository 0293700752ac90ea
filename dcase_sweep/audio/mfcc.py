"""Mel-frequency cepstral coefficients by librosa."""

from typing import TYPE_CHECKING

import numpy as np

from dcase_sweep.audio.reading import Padding
from dcase_sweep.audio.spectrograms import compute_sizes, require_librosa

if TYPE_CHECKING:
    import torch


class MFCC:
    """Mel-frequency cepstral coefficients: ``[batch, sample]`` → ``[batch, coefficient, frame]``.

    The discrete cosine transform of the decibels of a mel spectrogram (Davis and Mermelstein, "Comparison of parametric
    representations for monosyllabic word recognition in continuously spoken sentences", IEEE TASSP 28(4), 1980),
    computed by `librosa.feature.mfcc` on the CPU with its defaults: periodic Hann window, power spectrum, Slaney's mel
    scale and area normalisation, a range of 80 dB below the loudest value of the clip, orthonormal DCT-II. The first
    ``samples // hop`` frames are used, centred on multiples of the hop.

    Args:
        sample_rate: sample rate in Hz.
        seconds: length of a clip in s.
        window_seconds: length of the window in s.
        hop_seconds: time between frames in s.
        n_fft: samples of the Fourier transform.
        n_mels: number of mel bands.
        n_mfcc: number of coefficients, at most ``n_mels``; the first is the level.
        f_min: lower edge of the lowest band, Hz.
        f_max: upper edge of the highest band, Hz; None = half the sample rate.

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
        n_mels: int = 128,
        n_mfcc: int = 40,
        f_min: float = 0.0,
        f_max: float | None = None,
    ) -> None:
        require_librosa(self)
        sizes = compute_sizes(
            sample_rate=sample_rate,
            seconds=seconds,
            window_seconds=window_seconds,
            hop_seconds=hop_seconds,
            n_fft=n_fft,
            n_mels=n_mels,
            f_min=f_min,
            f_max=f_max,
            n_mfcc=n_mfcc,
        )
        self.sample_rate = sample_rate
        self.seconds = seconds
        self.window = sizes.window
        self.hop = sizes.hop
        self.n_fft = n_fft
        self.n_mels = n_mels
        self.n_mfcc = n_mfcc
        self.f_min = f_min
        self.f_max = sizes.f_max
        #: ``(coefficient, frame)`` of a clip.
        self.shape = n_mfcc, sizes.frames

    def __call__(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Compute coefficients ``[batch, coefficient, frame]`` of ``[batch, sample]``, on the waveforms' device."""
        import librosa
        import torch

        coefficients = [
            librosa.feature.mfcc(
                y=clip,
                sr=self.sample_rate,
                n_mfcc=self.n_mfcc,
                n_fft=self.n_fft,
                hop_length=self.hop,
                win_length=self.window,
                n_mels=self.n_mels,
                fmin=self.f_min,
                fmax=self.f_max,
            )[:, : self.shape[1]]
            for clip in waveforms.cpu().numpy()  # one clip at a time: its loudest value limits decibels
        ]
        return torch.from_numpy(np.stack(coefficients).astype(np.float32, copy=False)).to(waveforms.device)
