"""Common parts of the front ends on libraries: checked sizes, and required packages."""

from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True, slots=True)
class SpectrogramSizes:
    """Sizes of a mel spectrogram.

    Attributes:
        window: samples of the window.
        hop: samples between frames.
        frames: number of frames of a clip; they are centred on multiples of the hop.
        f_max: upper edge of the highest band, Hz.
    """

    window: int
    hop: int
    frames: int
    f_max: float


def compute_sizes(
    *,
    sample_rate: int,
    seconds: float,
    window_seconds: float,
    hop_seconds: float,
    n_fft: int,
    n_mels: int,
    f_min: float,
    f_max: float | None,
    n_mfcc: int | None = None,
) -> SpectrogramSizes:
    """Compute the sizes of a mel spectrogram from the keywords of a front end.

    Args:
        sample_rate: sample rate in Hz.
        seconds: length of a clip in s.
        window_seconds: length of the window in s.
        hop_seconds: time between frames in s.
        n_fft: samples of the Fourier transform.
        n_mels: number of bands.
        f_min: lower edge of the lowest band, Hz.
        f_max: upper edge of the highest band, Hz; None = half the sample rate.
        n_mfcc: number of cepstral coefficients, if any are computed.

    Raises:
        ValueError: in one line that begins with the keyword, for incompatible values.
    """
    samples, window, hop = (round(length * sample_rate) for length in (seconds, window_seconds, hop_seconds))
    f_max = sample_rate / 2 if f_max is None else f_max
    if not 0 < window <= n_fft:
        raise ValueError(f"window_seconds: {window} samples do not fit n_fft={n_fft}; use a larger n_fft")
    if not 0 < hop <= samples:
        raise ValueError(f"hop_seconds: {hop} samples; expected between 1 and the clip's {samples}")
    if samples <= n_fft // 2 + 1:
        raise ValueError(f"n_fft={n_fft}: expected less than twice the clip's {samples} samples")
    if n_mels < 1:
        raise ValueError(f"n_mels={n_mels}: expected at least 1")
    if not 0 <= f_min < f_max <= sample_rate / 2:
        raise ValueError(f"f_min={f_min}, f_max={f_max}: expected 0 <= f_min < f_max <= {sample_rate / 2} Hz")
    if n_mfcc is not None and not 1 <= n_mfcc <= n_mels:
        raise ValueError(f"n_mfcc={n_mfcc}: expected 1 to n_mels={n_mels}")
    return SpectrogramSizes(window, hop, samples // hop, f_max)


def require_librosa(front_end: object) -> None:
    """Check that librosa is installed, without importing it.

    Raises:
        ValueError: if not, in one line with the command that installs it.
    """
    if find_spec("librosa") is None:
        name = f"{type(front_end).__module__}.{type(front_end).__name__}"
        raise ValueError(
            f"_target_={name}: librosa is not installed; python -m pip install 'dcase-sweep[front-ends]' installs it"
        )
