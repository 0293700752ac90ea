"""The amplitude-mel front end of the DCASE 2021 task 4 baseline system."""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.filtering import FilterBank
from dcase_sweep.audio.mel import htk_mel_edges
from dcase_sweep.audio.reading import Padding

if TYPE_CHECKING:
    import torch

#: Added to a clip's range before the division, so that a silent clip gives no NaN (as in the recipe since 2022).
_SMALLEST_RANGE = 1e-8

#: The range to which clips are scaled by default: that of desed_task since April 2024.
SCALED_TO = (-1.0, 1.0)
#: The range of desed_task 0.1.0, used in the training of the recipe of 2021 and its published checkpoint.
SCALED_TO_IN_2021 = (0.0, 1.0)


def htk_mel_filters(*, sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float) -> NDArray[np.float32]:
    """Triangular filters ``[mel, bin]`` of height 1 on HTK's scale, 2595 log10(1 + f / 700).

    Raises:
        ValueError: if a band contains no FFT bin, so that its energy would always be zero.
    """
    edges = htk_mel_edges(n_mels=n_mels, f_min=f_min, f_max=f_max)
    bins = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    empty = np.flatnonzero(filters.max(axis=1) == 0)
    if len(empty):
        raise ValueError(f"{n_mels} mel bands over an FFT of {n_fft}: band {empty[0]} holds no bin; use fewer bands")
    return filters.astype(np.float32)


class AmplitudeMel:
    """Mel amplitudes of waveforms: ``[batch, sample]`` → ``[batch, mel, frame]``, on the waveforms' device.

    The window is a symmetric Hamming window, the spectrum is the magnitude in float32, and the filters are HTK's
    triangles without area normalisation. Frames are centred on multiples of the hop, with reflection padding. These are
    the steps of the DCASE 2021 task 4 baseline system, which computes them with torchaudio's ``MelSpectrogram``. They
    are followed by mixup, :func:`to_decibel` and :func:`scale_clip`.

    Args:
        sample_rate: sample rate in Hz.
        seconds: length of a clip in s.
        n_fft: samples of the Fourier transform.
        window: samples of the window, centred in the transform.
        hop: samples between frames.
        n_mels: number of bands.
        f_min: lower edge of the lowest band, Hz.
        f_max: upper edge of the highest band, Hz.
        decibel_floor: smallest amplitude; lower ones are replaced by it (:meth:`normalise`).
        decibel_lowest: lower limit in dB to which levels are clamped, likewise.
        decibel_highest: upper limit in dB to which levels are clamped, likewise.
        scaled_to: range to which the levels of a clip are scaled, likewise. None = -1 to 1.

    Raises:
        ValueError: in one line, for incompatible sizes.
    """

    #: How short clips are extended unless the task determines it.
    padding: Padding = "zeros"
    #: Whether PyTorch computes it, on any device, so that a training can compute its features.
    computes_in_training = True
    #: Arguments that only affect later steps than the stored amplitudes, and are therefore not part of a store's key.
    behind_store = ("decibel_floor", "decibel_lowest", "decibel_highest", "scaled_to")

    def __init__(
        self,
        *,
        sample_rate: int = 16_000,
        seconds: float = 10.0,
        n_fft: int = 2048,
        window: int = 2048,
        hop: int = 256,
        n_mels: int = 128,
        f_min: float = 0.0,
        f_max: float = 8_000.0,
        decibel_floor: float = 1e-5,
        decibel_lowest: float = -50.0,
        decibel_highest: float = 80.0,
        scaled_to: list[float] | None = None,
    ) -> None:
        self.sample_rate = sample_rate
        self.seconds = seconds
        self.n_fft = n_fft
        self.window = window
        self.hop = hop
        self.n_mels = n_mels
        self.f_min = f_min
        self.f_max = f_max
        self.decibel_floor = decibel_floor
        self.decibel_lowest = decibel_lowest
        self.decibel_highest = decibel_highest
        self.scaled_to = scaled_to
        self._check()

    def _check(self) -> None:
        if not 0 < self.window <= self.n_fft:
            raise ValueError(f"window={self.window}: expected 1 to n_fft={self.n_fft} samples; use a larger n_fft")
        if not 0 < self.hop <= self._samples:
            raise ValueError(f"hop={self.hop}: expected 1 to the clip's {self._samples} samples")
        if self._samples <= self.n_fft // 2:
            raise ValueError(f"n_fft={self.n_fft}: expected less than twice the clip's {self._samples} samples")
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise ValueError(
                f"f_min={self.f_min}, f_max={self.f_max}: expected 0 <= f_min < f_max <= {self.sample_rate / 2} Hz"
            )
        if not 0 < self.decibel_floor < np.inf:
            raise ValueError(f"decibel_floor={self.decibel_floor}: expected an amplitude above 0")
        if not self.decibel_lowest < self.decibel_highest:
            raise ValueError(
                f"decibel_lowest={self.decibel_lowest}: expected less than decibel_highest={self.decibel_highest}"
            )
        if self.scaled_to is not None and (len(self.scaled_to) != 2 or not self.scaled_to[0] < self.scaled_to[1]):
            raise ValueError(f"scaled_to={self.scaled_to}: expected [lowest, highest], or null")
        _ = self.filters  # raises an error for a band without FFT bins

    @property
    def _samples(self) -> int:
        return round(self.seconds * self.sample_rate)

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(mel, frame)`` of a clip."""
        return self.n_mels, self._samples // self.hop + 1

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Return the centre of each band in Hz ``[mel]``."""
        return htk_mel_edges(n_mels=self.n_mels, f_min=self.f_min, f_max=self.f_max)[1:-1]

    @cached_property
    def filters(self) -> NDArray[np.float32]:
        """Return the mel filters ``[mel, bin]``."""
        return htk_mel_filters(
            sample_rate=self.sample_rate, n_fft=self.n_fft, n_mels=self.n_mels, f_min=self.f_min, f_max=self.f_max
        )

    @cached_property
    def _constants(self) -> "dict[torch.device, tuple[torch.Tensor, FilterBank]]":
        return {}

    def _on(self, device: "torch.device") -> "tuple[torch.Tensor, FilterBank]":
        """Return the window ``[window]`` and the filters on a device."""
        import torch

        if device not in self._constants:
            window = torch.hamming_window(self.window, periodic=False)
            self._constants[device] = window.to(device), FilterBank(self.filters, device)
        return self._constants[device]

    def __call__(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Compute mel amplitudes ``[batch, mel, frame]`` of ``[batch, sample]``."""
        import torch

        window, filters = self._on(waveforms.device)
        spectra = torch.stft(
            waveforms, self.n_fft, self.hop, self.window, window, center=True, pad_mode="reflect", return_complex=True
        ).transpose(1, 2)
        magnitudes = waveforms.new_empty(spectra.shape)
        filters.magnitudes(spectra, out=magnitudes)
        return filters(magnitudes).transpose(1, 2)

    def to_decibel(self, mel: "torch.Tensor") -> "torch.Tensor":
        """Convert mel amplitudes of any shape to dB, with the limits of this front end."""
        return to_decibel(mel, floor=self.decibel_floor, lowest=self.decibel_lowest, highest=self.decibel_highest)

    def normalise(self, mel: "torch.Tensor") -> "torch.Tensor":
        """Convert mel amplitudes ``[batch, mel, frame]`` to the network's input: scaled levels in dB."""
        lowest, highest = self.scaled_to or SCALED_TO
        return scale_clip(self.to_decibel(mel), lowest=lowest, highest=highest)


def to_decibel(
    mel: "torch.Tensor", *, floor: float = 1e-5, lowest: float = -50.0, highest: float = 80.0
) -> "torch.Tensor":
    """Compute 20 log10 of mel amplitudes of any shape, at least ``floor``, clamped to [``lowest``, ``highest``] dB."""
    return mel.clamp(min=floor).log10_().mul_(20).clamp_(lowest, highest)


def scale_clip(decibel: "torch.Tensor", *, lowest: float = -1.0, highest: float = 1.0) -> "torch.Tensor":
    """Scale each clip of ``[batch, mel, frame]`` by its own minimum and maximum; constant clips become ``lowest``."""
    minimum = decibel.amin(dim=(1, 2), keepdim=True)
    span = decibel.amax(dim=(1, 2), keepdim=True) - minimum + _SMALLEST_RANGE
    return ((decibel - minimum) / span).mul_(highest - lowest).add_(lowest)
