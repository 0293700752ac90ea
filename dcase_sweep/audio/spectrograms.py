"""What the front ends on libraries have in common: the checks of their sizes, and the packages that they need."""

from importlib.util import find_spec


def check_spectrogram(
    *, sample_rate: int, samples: int, n_fft: int, window: int, hop: int, n_mels: int, f_min: float, f_max: float
) -> None:
    """Refuse sizes of a mel spectrogram that do not fit each other.

    Args:
        sample_rate: Hz.
        samples: of a clip.
        n_fft: samples of the Fourier transform.
        window: samples of the window, keyword ``window_seconds``.
        hop: samples from frame to frame, keyword ``hop_seconds``.
        n_mels: number of bands.
        f_min: lower edge of the lowest band, Hz.
        f_max: upper edge of the highest band, Hz.

    Raises:
        ValueError: in one line that begins with the keyword.
    """
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


def require_librosa(front_end: object) -> None:
    """Refuse a front end that computes with librosa where librosa is not installed; it is not imported yet.

    Raises:
        ValueError: in one line that says how it is installed.
    """
    if find_spec("librosa") is None:
        name = f"{type(front_end).__module__}.{type(front_end).__name__}"
        raise ValueError(
            f"_target_={name}: librosa is not installed; python -m pip install 'dcase-sweep[front-ends]' installs it"
        )
