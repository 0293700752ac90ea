"""Torchaudio's transforms as front ends, if torchaudio can be imported."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dcase_sweep.audio.mel import htk_mel_edges
from dcase_sweep.audio.reading import Padding
from dcase_sweep.audio.spectrograms import SpectrogramSizes, compute_sizes

if TYPE_CHECKING:
    import torch


def import_transforms(front_end: object) -> Any:
    """Import `torchaudio.transforms`.

    Raises:
        ValueError: in one line with torchaudio's error. Its compiled part must match the installed PyTorch.
    """
    try:
        import torchaudio.transforms as transforms
    except Exception as error:  # a build for another PyTorch fails with an OSError or an AttributeError
        name = f"{type(front_end).__module__}.{type(front_end).__name__}"
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"_target_={name}: torchaudio cannot be imported ({reason}); expected the build for this PyTorch; "
            "front_end=log_mel and front_end=mfcc do not need it"
        ) from None
    return transforms


class _OnDevices:
    """A transform that is created once for each device and shared by threads.

    Args:
        make: creates the transform on the CPU.
        frames: number of the centred frames to keep.
    """

    def __init__(self, make: "Callable[[], torch.nn.Module]", frames: int) -> None:
        self._make = make
        self._made: dict[torch.device, torch.nn.Module] = {}
        self.frames = frames

    def __call__(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        if waveforms.device not in self._made:
            self._made[waveforms.device] = self._make().to(waveforms.device)
        features: torch.Tensor = self._made[waveforms.device](waveforms)
        return features[..., : self.frames]


def _mel_keywords(sizes: SpectrogramSizes, *, n_fft: int, n_mels: int, f_min: float) -> dict[str, Any]:
    """Return the arguments of `torchaudio.transforms.MelSpectrogram` except the sample rate."""
    return {
        "n_fft": n_fft,
        "win_length": sizes.window,
        "hop_length": sizes.hop,
        "f_min": f_min,
        "f_max": sizes.f_max,
        "n_mels": n_mels,
    }


class TorchAudioMel:
    """Log-mel energies by `torchaudio.transforms.MelSpectrogram`: ``[batch, sample]`` → ``[batch, mel, frame]``.

    Uses torchaudio's defaults (Yang et al., "TorchAudio: building blocks for audio and speech processing", ICASSP
    2022): periodic Hann window, power spectrum, HTK's mel scale without area normalisation, reflection padding. The
    result is ``ln(power + floor)``. The first ``samples // hop`` frames are used, centred on multiples of the hop.

    Args:
        sample_rate: sample rate in Hz.
        seconds: length of a clip in s.
        window_seconds: length of the window in s.
        hop_seconds: time between frames in s.
        n_fft: samples of the Fourier transform.
        n_mels: number of bands.
        f_min: lower edge of the lowest band, Hz.
        f_max: upper edge of the highest band, Hz; None = half the sample rate.
        floor: added before the natural logarithm.

    Raises:
        ValueError: in one line, for incompatible values, or if torchaudio cannot be imported.
    """

    #: How short clips are extended unless the task determines it.
    padding: Padding = "repeat"
    #: Whether PyTorch computes it, on any device, so that a training can compute its features.
    computes_in_training = True
    #: Packages on whose versions stored features depend.
    packages = ("torchaudio",)

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
        floor: float = 1e-10,
    ) -> None:
        transforms = import_transforms(self)
        sizes = compute_sizes(
            sample_rate=sample_rate,
            seconds=seconds,
            window_seconds=window_seconds,
            hop_seconds=hop_seconds,
            n_fft=n_fft,
            n_mels=n_mels,
            f_min=f_min,
            f_max=f_max,
        )
        self.sample_rate = sample_rate
        self.seconds = seconds
        self.hop = sizes.hop
        if not floor > 0:
            raise ValueError(f"floor={floor}: expected a positive number, since its logarithm is taken")
        self.floor = floor
        mel = _mel_keywords(sizes, n_fft=n_fft, n_mels=n_mels, f_min=f_min)
        self.shape = n_mels, sizes.frames
        #: Centre of each band in Hz ``[mel]``.
        self.frequencies = htk_mel_edges(n_mels=n_mels, f_min=f_min, f_max=sizes.f_max)[1:-1]
        self._transform = _OnDevices(lambda: transforms.MelSpectrogram(sample_rate, **mel), self.shape[1])

    def __call__(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Compute log-mel energies ``[batch, mel, frame]`` of ``[batch, sample]``, on the waveforms' device."""
        return (self._transform(waveforms) + self.floor).log()


class TorchAudioMFCC:
    """Cepstral coefficients by `torchaudio.transforms.MFCC`: ``[batch, sample]`` → ``[batch, coefficient, frame]``.

    The orthonormal DCT-II of the decibels of the mel spectrogram of `TorchAudioMel`, in a range of 80 dB below the
    loudest value (Davis and Mermelstein, IEEE TASSP 28(4), 1980). The first ``samples // hop`` frames are used, centred
    on multiples of the hop.

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
        ValueError: in one line, for incompatible values, or if torchaudio cannot be imported.
    """

    #: How short clips are extended unless the task determines it.
    padding: Padding = "repeat"
    #: Whether PyTorch computes it, on any device, so that a training can compute its features.
    computes_in_training = True
    #: Packages on whose versions stored features depend.
    packages = ("torchaudio",)

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
        transforms = import_transforms(self)
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
        self.hop = sizes.hop
        mel = _mel_keywords(sizes, n_fft=n_fft, n_mels=n_mels, f_min=f_min)
        self.shape = n_mfcc, sizes.frames
        self._transform = _OnDevices(lambda: transforms.MFCC(sample_rate, n_mfcc=n_mfcc, melkwargs=mel), self.shape[1])

    def __call__(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Compute coefficients ``[batch, coefficient, frame]`` of ``[batch, sample]``, on the waveforms' device."""
        import torch

        # One clip at a time, because the range of decibels depends on the loudest value in the input.
        return torch.cat([self._transform(clip[None]) for clip in waveforms])
