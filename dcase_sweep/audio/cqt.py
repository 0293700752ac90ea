"""The constant-Q transform by librosa."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.reading import Padding
from dcase_sweep.audio.spectrograms import require_librosa

if TYPE_CHECKING:
    import torch


class CQT:
    """Logarithm of constant-Q magnitudes: ``[batch, sample]`` → ``[batch, bin, frame]``.

    The bins are at equal musical intervals, and their windows contain equal numbers of periods (Brown, "Calculation of
    a constant Q spectral transform", JASA 89(1), 1991). They are computed octave by octave (Schörkhuber and Klapuri,
    "Constant-Q transform toolbox for music processing", SMC 2010) by `librosa.cqt` on the CPU. The result is
    ``ln(magnitude + floor)``. The first ``samples // hop`` frames are used, centred on multiples of the hop.

    Args:
        sample_rate: sample rate in Hz.
        seconds: length of a clip in s.
        hop: samples between frames. librosa halves the sample rate for each lower octave as long as the hop is even, so
            a multiple of a large power of 2 is several times faster.
        f_min: centre of the lowest bin in Hz.
        n_bins: number of bins.
        bins_per_octave: number of bins in an octave.
        floor: added to the magnitude before the natural logarithm.

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
        hop: int = 768,
        f_min: float = 32.703,
        n_bins: int = 96,
        bins_per_octave: int = 12,
        floor: float = 1e-5,
    ) -> None:
        require_librosa(self)
        self.sample_rate = sample_rate
        self.seconds = seconds
        self.hop = hop
        self.f_min = f_min
        self.n_bins = n_bins
        self.bins_per_octave = bins_per_octave
        self.floor = floor
        self._check()

    def _check(self) -> None:
        if not 0 < self.hop <= self._samples:
            raise ValueError(f"hop={self.hop}: expected 1 to the clip's {self._samples} samples")
        for name in ("n_bins", "bins_per_octave"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected at least 1")
        if not self.f_min > 0:
            raise ValueError(f"f_min={self.f_min}: expected more than 0 Hz")
        if not self.floor > 0:
            raise ValueError(f"floor={self.floor}: expected a positive number, since its logarithm is taken")
        octaves, most = self.n_bins / self.bins_per_octave, np.log2(self.sample_rate / 2 / self.f_min)
        if octaves > most:
            raise ValueError(
                f"n_bins={self.n_bins}: {octaves:g} octaves above f_min={self.f_min:g} Hz; expected at most "
                f"{self.sample_rate / 2:g} Hz, half the sample rate: n_bins={int(most * self.bins_per_octave)}"
            )

    @property
    def _samples(self) -> int:
        return round(self.seconds * self.sample_rate)

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(bin, frame)`` of a clip."""
        return self.n_bins, self._samples // self.hop

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Return the centre of each bin in Hz ``[bin]``."""
        return self.f_min * 2.0 ** (np.arange(self.n_bins) / self.bins_per_octave)

    def __call__(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Compute logarithms of magnitudes ``[batch, bin, frame]`` of ``[batch, sample]``, on the waveforms' device."""
        import librosa
        import torch

        transformed = librosa.cqt(
            waveforms.cpu().numpy(),
            sr=self.sample_rate,
            hop_length=self.hop,
            fmin=self.f_min,
            n_bins=self.n_bins,
            bins_per_octave=self.bins_per_octave,
        )
        magnitudes = np.abs(transformed[..., : self.shape[1]]).astype(np.float32, copy=False)
        return torch.from_numpy(np.log(magnitudes + np.float32(self.floor))).to(waveforms.device)
