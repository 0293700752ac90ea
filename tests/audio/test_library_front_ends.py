"""The front ends that compute with librosa and torchaudio, each against the library itself."""

import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.signal
import torch

from dcase_sweep.audio import spectrograms
from dcase_sweep.audio.cqt import CQT
from dcase_sweep.audio.mfcc import MFCC
from dcase_sweep.audio.pcen import PCEN
from dcase_sweep.audio.torchaudio_transforms import TorchAudioMel, TorchAudioMFCC
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.utils.errors import UserError

RATE = 22_050
CLIP: dict[str, Any] = {"sample_rate": RATE, "seconds": 2.0}


@pytest.fixture(scope="module")
def clips() -> np.ndarray:
    """Three sounds ``[clip, sample]``: a rising tone, noise whose level rises, and clicks in silence."""
    rng = np.random.default_rng(5)
    time = np.arange(2 * RATE) / RATE
    tone = 0.3 * scipy.signal.chirp(time, 100, 2, 6000, method="logarithmic")
    noise = rng.normal(0, 0.1, len(time)) * time
    clicks = np.zeros(len(time))
    clicks[:: RATE // 4] = 0.9
    return np.stack([tone, noise, clicks]).astype(np.float32)


def test_pcen_is_librosas(clips: np.ndarray) -> None:
    front_end = PCEN(**CLIP, gain=0.9, bias=1.5, power=0.4, time_constant=0.2)

    found = front_end(torch.from_numpy(clips)).numpy()

    window = scipy.signal.windows.hamming(882, sym=False)
    settings = {"sr": RATE, "n_fft": 2048, "hop_length": 441, "n_mels": 40}
    mel = librosa.feature.melspectrogram(
        y=clips.astype(np.float64), win_length=882, window=window, power=1, pad_mode="reflect", **settings
    )
    expected = librosa.pcen(2.0**31 * mel, sr=RATE, hop_length=441, gain=0.9, bias=1.5, power=0.4, time_constant=0.2)
    assert found.shape == (3, *front_end.shape) == (3, 40, 100)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected[..., :100], rtol=2e-3, atol=2e-3)


def test_cqt_is_librosas(clips: np.ndarray) -> None:
    front_end = CQT(**CLIP, hop=512, n_bins=96, bins_per_octave=12, floor=1e-4)

    found = front_end(torch.from_numpy(clips)).numpy()

    expected = np.abs(librosa.cqt(clips, sr=RATE, hop_length=512, fmin=32.703, n_bins=96, bins_per_octave=12))
    assert found.shape == (3, *front_end.shape) == (3, 96, 86)
    np.testing.assert_allclose(found, np.log(expected[..., :86] + 1e-4), rtol=1e-4, atol=1e-4)


def test_a_tone_is_heard_in_its_bin_of_the_cqt() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE).astype(np.float32)

    levels = CQT(**CLIP)(torch.from_numpy(tone)[None])[0].mean(dim=1)

    assert int(levels.argmax()) == 45  # A4, forty-five semitones above C1


def test_mfcc_are_librosas(clips: np.ndarray) -> None:
    front_end = MFCC(**CLIP, n_mfcc=20, n_mels=64)

    found = front_end(torch.from_numpy(clips)).numpy()

    expected = [
        librosa.feature.mfcc(y=clip, sr=RATE, n_mfcc=20, n_fft=2048, hop_length=441, win_length=882, n_mels=64)
        for clip in clips
    ]
    assert found.shape == (3, *front_end.shape) == (3, 20, 100)
    np.testing.assert_allclose(found, np.stack(expected)[..., :100], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", [PCEN, CQT, MFCC])
def test_threads_and_batches_get_what_a_single_clip_gets(kind: Any, clips: np.ndarray) -> None:
    front_end, waveforms = kind(**CLIP), torch.from_numpy(clips)
    together = front_end(waveforms)

    with ThreadPoolExecutor(3) as pool:
        alone = torch.cat(list(pool.map(lambda clip: front_end(clip[None]), waveforms)))

    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [PCEN, CQT, MFCC])
def test_silence_has_finite_features(kind: Any) -> None:
    assert torch.isfinite(kind(**CLIP)(torch.zeros(1, 2 * RATE))).all()


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["front_end=cqt", "front_end.n_bins=120"],
            r"^front_end\.n_bins=120: 10 octaves above f_min=32\.703 Hz; .*22050",
        ),
        (["front_end=cqt", "front_end.hop=0"], r"^front_end\.hop=0: expected at least 1"),
        (["front_end=cqt", "front_end.f_min=0"], r"^front_end\.f_min=0\.0: expected more than 0 Hz"),
        (["front_end=pcen", "front_end.time_constant=0"], r"^front_end\.time_constant=0: expected at least 1e-06"),
        (["front_end=pcen", "front_end.power=-1"], r"^front_end\.power=-1: expected at least 0"),
        (["front_end=mfcc", "front_end.n_mfcc=129"], r"^front_end\.n_mfcc=129: expected 1 to n_mels=128"),
        (["front_end=mfcc", "front_end.f_max=23000"], r"^front_end\.f_min=0\.0, f_max=23000\.0: expected 0 <= f_min"),
        (["front_end=mfcc", "front_end.n_fft=1024"], r"^front_end\.window_seconds: 1764 samples do not fit n_fft=1024"),
        (["front_end=pcen", "model=crnn_meanteacher"], r"PCEN: has no normalise; .*front_end=amplitude_mel"),
    ],
)
def test_values_that_do_not_fit_are_rejected_in_one_line(overrides: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        compose_experiments(overrides)


def test_a_missing_librosa_is_reported_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrograms, "find_spec", lambda name: None)

    with pytest.raises(
        UserError, match=r"^front_end\._target_=dcase_sweep\.audio\.pcen\.PCEN: librosa .*\[front-ends\]"
    ):
        compose_experiments(["front_end=pcen"])


def torchaudio() -> ModuleType:
    """Import torchaudio, or skip the test if it does not match the installed PyTorch."""
    try:
        import torchaudio.transforms
    except Exception as error:
        pytest.skip(f"torchaudio cannot be imported: {error}")
    return torchaudio


@pytest.mark.parametrize("choice", ["torchaudio_mel", "torchaudio_mfcc"])
def test_a_torchaudio_that_cannot_be_imported_is_reported_in_one_line(
    choice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchaudio", None)

    with pytest.raises(UserError, match=r"torchaudio cannot be imported \(.*\); .*front_end=mfcc do not") as error:
        compose_experiments([f"front_end={choice}"])
    assert "\n" not in str(error.value)


def test_torchaudios_mel_and_mfcc_are_torchaudios(clips: np.ndarray) -> None:
    transforms = torchaudio().transforms
    waveforms = torch.from_numpy(clips)
    settings = {"n_fft": 2048, "win_length": 882, "hop_length": 441, "f_max": RATE / 2}

    mel = TorchAudioMel(**CLIP)(waveforms)
    mfcc = TorchAudioMFCC(**CLIP, n_mfcc=20)(waveforms)

    expected = transforms.MelSpectrogram(RATE, n_mels=40, **settings)(waveforms)[..., :100]
    torch.testing.assert_close(mel, (expected + 1e-10).log())
    one = transforms.MFCC(RATE, n_mfcc=20, melkwargs={"n_mels": 128, **settings})(waveforms[1])[..., :100]
    torch.testing.assert_close(mfcc[1], one, rtol=1e-4, atol=1e-4)
