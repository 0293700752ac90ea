"""The task 1A front end against librosa, which the baseline system computed its features with."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.signal
import soundfile
import torch

from dcase_sweep.audio.log_mel import LogMel
from dcase_sweep.audio.mel import slaney_mel_filters

RECIPE: dict[str, Any] = {
    "sample_rate": 44_100,
    "seconds": 10.0,
    "window_seconds": 0.04,
    "hop_seconds": 0.02,
    "n_fft": 2048,
    "n_mels": 40,
    "f_min": 0.0,
    "f_max": 22_050.0,
    "floor": 2.2e-16,
}


def librosa_mel(samples: np.ndarray, pad_mode: str, window_samples: int = 1764) -> np.ndarray:
    """The baseline's features before the logarithm, ``[mel, frame]``, in double precision."""
    window = scipy.signal.windows.hamming(window_samples, sym=False)
    spectrum = librosa.stft(
        samples.astype(np.float64),
        n_fft=2048,
        hop_length=882,
        win_length=window_samples,
        window=window,
        center=True,
        pad_mode=pad_mode,
    )
    filters = librosa.filters.mel(sr=44_100, n_fft=2048, n_mels=40, fmin=0, fmax=22_050, dtype=np.float64)
    return (filters @ np.abs(spectrum))[:, :500]


@pytest.mark.parametrize("pad_mode", ["reflect", "constant"])
def test_equals_librosa_on_a_real_recording(shared: Path, pad_mode: str) -> None:
    samples, _ = soundfile.read(shared / "data/tau2020/metro_station-paris.wav", dtype="float32")
    front_end = LogMel(**RECIPE, pad_mode=pad_mode)
    expected = librosa_mel(samples, pad_mode)

    mel = front_end.mel(torch.from_numpy(samples)[None])[0].numpy()
    log_mel = front_end(torch.from_numpy(samples)[None])[0].numpy()

    assert mel.shape == front_end.shape == (40, 500)
    np.testing.assert_allclose(mel, expected, rtol=1e-5)
    np.testing.assert_allclose(log_mel, np.log(expected + 2.2e-16), atol=1e-3)


@pytest.mark.parametrize("window_samples", [2048, 2047, 2046, 1764, 511])
def test_equals_librosa_with_any_window_that_fits(window_samples: int) -> None:
    samples = 0.1 * np.random.default_rng(0).standard_normal(441_000).astype(np.float32)
    front_end = LogMel(**{**RECIPE, "window_seconds": window_samples / 44_100})

    mel = front_end.mel(torch.from_numpy(samples)[None])[0].numpy()

    np.testing.assert_allclose(mel, librosa_mel(samples, "reflect", window_samples), rtol=2e-5)


def test_a_batch_gives_the_features_of_its_clips() -> None:
    clips = torch.randn(3, 44_100, generator=torch.Generator().manual_seed(0)) * 0.1
    front_end = LogMel(**{**RECIPE, "seconds": 1.0})

    together = front_end(clips)

    assert together.shape == (3, 40, 50)
    for position, clip in enumerate(clips):
        torch.testing.assert_close(together[position], front_end(clip[None])[0], rtol=0, atol=1e-5)


def test_results_do_not_depend_on_earlier_computations() -> None:
    clips = torch.randn(3, 44_100, generator=torch.Generator().manual_seed(0)) * 0.1
    front_end = LogMel(**{**RECIPE, "seconds": 1.0})
    with torch.inference_mode():
        first = front_end(clips[:2])
    kept = first.clone()

    alone = front_end(clips[2:])

    assert torch.equal(first, kept)
    assert torch.equal(alone, LogMel(**{**RECIPE, "seconds": 1.0})(clips[2:]))


def test_threads_share_a_front_end() -> None:
    clips = torch.randn(24, 1, 44_100, generator=torch.Generator().manual_seed(0)) * 0.1
    front_end = LogMel(**{**RECIPE, "seconds": 1.0})
    alone = [front_end(clip) for clip in clips]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(front_end, clips))

    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_silence_gives_the_floor() -> None:
    features = LogMel(**{**RECIPE, "seconds": 1.0})(torch.zeros(1, 44_100))

    assert features.min() == features.max() == pytest.approx(np.log(2.2e-16))


@pytest.mark.parametrize(("n_mels", "n_fft", "rate"), [(40, 2048, 44_100), (128, 4096, 44_100), (64, 1024, 16_000)])
def test_filters_are_those_of_librosa(n_mels: int, n_fft: int, rate: int) -> None:
    expected = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=0, fmax=rate / 2)

    filters = slaney_mel_filters(sample_rate=rate, n_fft=n_fft, n_mels=n_mels, f_min=0, f_max=rate / 2)

    np.testing.assert_allclose(filters, expected, atol=1e-8)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n_fft": 1024}, "window_seconds: 1764 samples do not fit n_fft=1024"),
        ({"n_mels": 400}, "holds no bin"),
        ({"f_max": 30_000.0}, "f_max=30000.0"),
        ({"pad_mode": "mirror"}, "pad_mode='mirror'"),
        ({"hop_seconds": 0.0}, "hop_seconds: 0 samples"),
        ({"floor": 0.0}, "floor=0.0"),
        ({"seconds": 0.02}, "n_fft=2048: expected less than twice the clip's 882 samples"),
    ],
)
def test_rejects_impossible_values(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("'", ".")):
        LogMel(**{**RECIPE, **change})
