"""Torchaudio's transforms as front ends, where torchaudio can be imported."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dcase_sweep.audio.reading import Padding
from dcase_sweep.audio.spectrograms import SpectrogramSizes, compute_sizes

if TYPE_CHECKING:
    import torch


def import_transforms(front_end: object) -> Any:
    """`torchaudio.transforms`.

    Raises:
        ValueError: in one line with what torchaudio says; its compiled part must fit the installed PyTorch.
    """
    try:
        import torchaudio.transforms as transforms
    except Exception as error:  # a build for another PyTorch fails with an OSError or an AttributeError
        name = f"{type(front_end).__module__}.{type(front_end).__name__}"
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"_target_={name}: torchaudio cannot be imported ({reason}); expected the build for this PyTorch; "
            "front_end=log_mel and front_end=mfcc need none"
        ) from None
    return transforms


class _OnDevices:
    """A transform, made once for each device that asks for it; threads share it.

    Args:
        make: makes the transform on the CPU.
        frames: how many of the centred frames are kept.
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
    """What `torchaudio.transforms.MelSpectrogram` is told besides the sample rate."""
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

    With torchaudio's defaults (Yang et al., "TorchAudio: building blocks for audio and speech processing", ICASSP
    2022): periodic Hann window, power spectrum, HTK's mel scale without area norm, padding by reflection. The result is
    ``ln(power + floor)``. Frames are centred on multiples of the hop, the first ``samples // hop`` of them.

    Args:
        sample_rate: Hz.
        seconds: length of a clip.
        window_seconds: length of the window.
        hop_seconds: from frame to frame.
        n_fft: samples of the Fourier transform.
        n_mels: number of bands.
        f_min: lower edge of the lowest band, Hz.
        f_max: upper edge of the highest band, Hz; None = half the sample rate.
        floor: added before the natural logarithm.

    Raises:
        ValueError: in one line, for values that do not fit each other, or if torchaudio cannot be imported.
    """

    #: How short clips are extended where no task decides it.
    padding: Padding = "repeat"
    #: Stored features depend on their versions.
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
        self._transform = _OnDevices(lambda: transforms.MelSpectrogram(sample_rate, **mel), self.shape[1])

    def __call__(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Log-mel energies ``[batch, mel, frame]`` of ``[batch, sample]``, on the waveforms' device."""
        return (self._transform(waveforms) + self.floor).log()


class TorchAudioMFCC:
    """Cepstral coefficients by `torchaudio.transforms.MFCC`: ``[batch, sample]`` → ``[batch, coefficient, frame]``.

    The orthonormal DCT-II of decibels down to 80 below the loudest, of the mel spectrogram of `TorchAudioMel` (Davis
    and Mermelstein, IEEE TASSP 28(4), 1980). Frames are centred on multiples of the hop, the first ``samples // hop``
    of them.

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
        ValueError: in one line, for values that do not fit each other, or if torchaudio cannot be imported.
    """

    #: How short clips are extended where no task decides it.
    padding: Padding = "repeat"
    #: Stored features depend on their versions.
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
        """Coefficients ``[batch, coefficient, frame]`` of ``[batch, sample]``, on the waveforms' device."""
        import torch

        # One at a time: the loudest of what the transform is given sets the lowest decibels.
        return torch.cat([self._transform(clip[None]) for clip in waveforms])
