"""The log-mel front end of the DCASE 2021 task 1A baseline system."""

from dataclasses import dataclass
from functools import cached_property
from threading import get_ident
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.filtering import FilterBank
from dcase_sweep.audio.framing import PRE_EMPHASIS, Frames, Window
from dcase_sweep.audio.mel import slaney_mel_edges, slaney_mel_filters
from dcase_sweep.audio.reading import Padding

if TYPE_CHECKING:
    import torch

#: Frames of 2,048 samples that stay in a core's cache from the window to their magnitudes.
_FRAMES_IN_CACHE = 125


@dataclass(frozen=True, slots=True)
class _Constants:
    """Constant factors on one device."""

    window: Window
    #: The filters with the pre-emphasis reversed.
    filters: FilterBank


@dataclass(frozen=True, slots=True)
class _Workspace:
    """Buffers for waveforms of one shape on one device, and a number of frames."""

    fits: "tuple[torch.Size, torch.device, int]"
    frames: Frames
    #: ``[batch, frame, bin]``, and the same for the frames that are computed at a time.
    magnitudes: "torch.Tensor"
    parts: "tuple[torch.Tensor, ...]"


class LogMel:
    """Log-mel energies of waveforms: ``[batch, sample]`` → ``[batch, mel, frame]``, on the waveforms' device.

    Frames are centred on multiples of the hop, and the first ``seconds / hop_seconds`` of them are used. The store has
    one more frame, which the recipe's normalisation includes. The window is a periodic Hamming window, the spectrum is
    the magnitude, and the filters are Slaney's. The result is ``ln(mel + floor)``. These are the steps of the baseline
    system (Heittola et al., DCASE 2021 task 1A), which used librosa < 0.10 with its default reflection padding.

    Args:
        sample_rate: sample rate in Hz.
        seconds: length of a clip in s.
        window_seconds: length of the window in s.
        hop_seconds: time between frames in s.
        n_fft: samples of the Fourier transform.
        n_mels: number of bands, on Slaney's scale with area norm.
        f_min: lower edge of the lowest band, Hz.
        f_max: upper edge of the highest band, Hz.
        floor: added to the mel magnitude before the natural logarithm.
        pad_mode: ``reflect`` or ``constant`` (zeros): padding of the ends of a clip.

    Raises:
        ValueError: in one line, for incompatible values.
    """

    #: How short clips are extended unless the task determines it.
    padding: Padding = "repeat"
    #: Whether PyTorch computes it, on any device, so that a training can compute its features.
    computes_in_training = True

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
        if not 0 < self.hop <= self._samples:
            raise ValueError(f"hop_seconds: {self.hop} samples; expected between 1 and the clip's length")
        if self._samples <= self.n_fft // 2 + 1:
            raise ValueError(f"n_fft={self.n_fft}: expected less than twice the clip's {self._samples} samples")
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise ValueError(
                f"f_min={self.f_min}, f_max={self.f_max}: expected 0 <= f_min < f_max <= {self.sample_rate / 2} Hz"
            )
        if self.pad_mode not in ("reflect", "constant"):
            raise ValueError(f"pad_mode={self.pad_mode!r}: expected 'reflect' or 'constant'")
        if self.floor <= 0:
            raise ValueError(f"floor={self.floor}: expected a positive number, since its logarithm is taken")
        _ = self.filters  # raises an error for a band without FFT bins

    @property
    def _samples(self) -> int:
        return round(self.seconds * self.sample_rate)

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(mel, frame)`` of a clip."""
        return self.n_mels, self._samples // self.hop

    @property
    def stored_shape(self) -> tuple[int, int]:
        """Return ``(mel, frame)`` of a clip in the feature store: one frame more than the network sees."""
        return self.n_mels, self.shape[1] + 1

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Return the centre of each band in Hz ``[mel]``."""
        return slaney_mel_edges(n_mels=self.n_mels, f_min=self.f_min, f_max=self.f_max)[1:-1]

    @cached_property
    def filters(self) -> NDArray[np.float32]:
        """Return the mel filters ``[mel, bin]``."""
        return slaney_mel_filters(
            sample_rate=self.sample_rate, n_fft=self.n_fft, n_mels=self.n_mels, f_min=self.f_min, f_max=self.f_max
        )

    @cached_property
    def _constants(self) -> "dict[torch.device, _Constants]":
        return {}

    @cached_property
    def _workspaces(self) -> dict[int, _Workspace]:
        """Separate for each thread, because buffers of another thread are in the cache of another core."""
        return {}

    def _on(self, device: "torch.device") -> _Constants:
        import torch

        if device not in self._constants:
            angles = 2 * np.pi * np.arange(self.n_fft // 2 + 1) / self.n_fft
            filters = (self.filters / np.abs(1 - PRE_EMPHASIS * np.exp(-1j * angles))).astype(np.float32)
            window = Window.of(torch.hamming_window(self.window, dtype=torch.float64), device)
            self._constants[device] = _Constants(window, FilterBank(filters, device))
        return self._constants[device]

    def _workspace(self, waveforms: "torch.Tensor", frames: int) -> _Workspace:
        """Return this thread's buffers, which are kept for further waveforms of the same shape."""
        import torch

        fits, thread = (waveforms.shape, waveforms.device, frames), get_ident()
        work = self._workspaces.get(thread)
        if work is None or work.fits != fits:
            chunk_size = frames if waveforms.is_cuda else min(frames, _FRAMES_IN_CACHE)
            with torch.inference_mode(False):  # usable with and without inference mode
                cut = Frames(
                    waveforms,
                    self._on(waveforms.device).window,
                    n_fft=self.n_fft,
                    hop=self.hop,
                    frames=frames,
                    chunk_size=chunk_size,
                    pad_mode=self.pad_mode,
                )
                magnitudes = waveforms.new_empty(len(waveforms), frames, self.n_fft // 2 + 1)
                work = _Workspace(fits, cut, magnitudes, magnitudes.split(chunk_size, dim=1))
            if not waveforms.is_cuda:  # PyTorch itself keeps a GPU's memory
                self._workspaces[thread] = work
        return work

    def mel(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Compute mel magnitudes ``[batch, mel, frame]`` before the logarithm.

        A single-precision transform has rounding errors of about 1e-7 of the loudest bins, which can be 2e-5 of the
        quiet bands of a recording. Windowed frames are therefore pre-emphasised, and the filters reverse it. The result
        is within 1e-6 of librosa's in double precision, in two thirds of the time of a double-precision transform.
        """
        return self._mel(waveforms, self.shape[1])

    def _mel(self, waveforms: "torch.Tensor", frames: int) -> "torch.Tensor":
        """Compute mel magnitudes of the first frames."""
        import torch

        filters = self._on(waveforms.device).filters
        work = self._workspace(waveforms, frames)
        for windowed, magnitudes in zip(work.frames.cut(waveforms), work.parts, strict=True):
            filters.magnitudes(torch.fft.rfft(windowed), out=magnitudes)
        return filters(work.magnitudes).transpose(1, 2)

    def __call__(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Compute log-mel energies ``[batch, mel, frame]`` of ``[batch, sample]``."""
        return self.mel(waveforms).add_(self.floor).log_()

    def for_store(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Compute log-mel energies of all centred frames, of `stored_shape`. The first frames equal those of a call."""
        return self._mel(waveforms, self.stored_shape[1]).add_(self.floor).log_()
