"""Mel-frequency cepstral coefficients, by librosa."""

from typing import TYPE_CHECKING

import numpy as np

from dcase_sweep.audio.reading import Padding
from dcase_sweep.audio.spectrograms import compute_sizes, require_librosa

if TYPE_CHECKING:
    import torch


class MFCC:
    """Mel-frequency cepstral coefficients: ``[batch, sample]`` → ``[batch, coefficient, frame]``.

    The discrete cosine transform of a mel spectrogram's decibels (Davis and Mermelstein, "Comparison of parametric
    representations for monosyllabic word recognition in continuously spoken sentences", IEEE TASSP 28(4), 1980), by
    `librosa.feature.mfcc` on the CPU, with its conventions: periodic Hann window, power spectrum, Slaney's mel scale
    and area norm, decibels down to 80 below the clip's loudest, DCT-II with orthonormal scaling. Frames are centred on
    multiples of the hop, the first ``samples // hop`` of them.

    Args:
        sample_rate: Hz.
        seconds: length of a clip.
        window_seconds: length of the window.
        hop_seconds: from frame to frame.
        n_fft: samples of the Fourier transform.
        n_mels: number of mel bands.
        n_mfcc: number of coefficients, at most ``n_mels``; the first is the level.
        f_min: lower edge of the lowest band, Hz.
        f_max: upper edge of the highest band, Hz; None = half the sample rate.

    Raises:
        ValueError: in one line, for values that do not fit each other, or if librosa is not installed.
    """

    #: How short clips are extended where no task decides it.
    padding: Padding = "repeat"
    #: Stored features depend on their versions.
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
        #: ``(coefficient, frame)`` of one clip.
        self.shape = n_mfcc, sizes.frames

    def __call__(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Coefficients ``[batch, coefficient, frame]`` of ``[batch, sample]``, on the waveforms' device."""
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
            for clip in waveforms.cpu().numpy()  # one at a time: the loudest of a clip sets its lowest decibels
        ]
        return torch.from_numpy(np.stack(coefficients).astype(np.float32, copy=False)).to(waveforms.device)
