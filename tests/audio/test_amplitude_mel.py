"""The task 4 front end against its formulae, written out in NumPy in double precision."""

import numpy as np
import pytest
import torch

from dcase_sweep.audio.amplitude_mel import AmplitudeMel, htk_mel_filters, scale_clip, to_decibel


def reference_mel(samples: np.ndarray) -> np.ndarray:
    """Mel amplitudes ``[mel, frame]`` of one clip, frame by frame and band by band."""
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(2048) / 2047)
    padded = np.concatenate([samples[1024:0:-1], samples, samples[-2:-1026:-1]]).astype(np.float64)
    spectrum = np.stack(
        [np.abs(np.fft.rfft(padded[start : start + 2048] * window)) for start in range(0, len(samples) + 1, 256)]
    )
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 130) / 2595) - 1)
    hz = np.arange(1025) * 16_000 / 2048
    mel = np.zeros((128, len(spectrum)))
    for band in range(128):
        low, centre, high = edges[band : band + 3]
        triangle = np.interp(hz, [low, centre, high], [0, 1, 0], left=0, right=0)
        mel[band] = spectrum @ triangle
    return mel


def reference_features(samples: np.ndarray) -> np.ndarray:
    decibel = np.clip(20 * np.log10(np.maximum(reference_mel(samples), 1e-5)), -50, 80)
    return (decibel - decibel.min()) / (decibel.max() - decibel.min()) * 2 - 1


def clips(count: int, seconds: float = 10.0) -> np.ndarray:
    """Noise, tones and a click over several orders of magnitude, float32 ``[clip, sample]``."""
    rng = np.random.default_rng(0)
    time = np.arange(round(16_000 * seconds)) / 16_000
    tones = np.stack([np.sin(2 * np.pi * hz * time) for hz in rng.uniform(50, 7900, count)])
    noise = rng.normal(size=tones.shape) * 10.0 ** rng.uniform(-5, -1, (count, 1))
    tones[:, len(time) // 2 :] = 0
    tones[:, 3000] += 1
    return (0.3 * tones + noise).astype(np.float32)


def test_equals_the_formulae() -> None:
    waveforms = clips(3)
    front_end = AmplitudeMel()

    mel = front_end(torch.from_numpy(waveforms))
    features = scale_clip(to_decibel(mel))

    assert mel.shape == (3, *front_end.shape) == (3, 128, 626)
    assert mel.dtype == torch.float32
    for clip, samples in enumerate(waveforms):
        expected = reference_mel(samples)
        # Single precision leaves about 1e-7 of a frame's loudest bin in every other.
        np.testing.assert_allclose(mel[clip], expected, rtol=1e-4, atol=2e-6 * expected.max())
        np.testing.assert_allclose(features[clip], reference_features(samples), atol=2e-4)


def test_filters_are_torchaudios_triangles_of_height_one() -> None:
    filters = htk_mel_filters(sample_rate=16_000, n_fft=2048, n_mels=128, f_min=0.0, f_max=8_000.0)

    assert filters.shape == (128, 1025)
    assert filters.max() <= 1
    # Neighbouring triangles overlap so that every bin between the outer centres is counted once in all.
    inner = slice(filters[0].argmax() + 1, filters[-1].argmax())
    np.testing.assert_allclose(filters.sum(axis=0)[inner], 1, atol=1e-6)


def test_decibels_have_a_floor_and_are_clamped() -> None:
    mel = torch.tensor([0.0, 1e-9, 10 ** (-50 / 20), 1.0, 10.0, 1e5])

    torch.testing.assert_close(to_decibel(mel), torch.tensor([-50.0, -50.0, -50.0, 0.0, 20.0, 80.0]))
    torch.testing.assert_close(to_decibel(mel, lowest=-120)[:2], torch.tensor([-100.0, -100.0]))


def test_floor_and_clamps_of_the_front_end() -> None:
    mel = torch.tensor([[[1e-9, 1.0], [10.0, 1e5]]])
    front_end = AmplitudeMel(decibel_floor=1e-3, decibel_lowest=-100, decibel_highest=40)

    torch.testing.assert_close(front_end.to_decibel(mel), torch.tensor([[[-60.0, 0.0], [20.0, 40.0]]]))
    torch.testing.assert_close(front_end.normalise(mel), torch.tensor([[[-1.0, 0.2], [0.6, 1.0]]]))
    torch.testing.assert_close(AmplitudeMel().normalise(mel), scale_clip(to_decibel(mel)))


def test_every_clip_is_scaled_by_its_own_range() -> None:
    decibel = torch.tensor([[[-50.0, 0.0], [10.0, 30.0]], [[1.0, 1.5], [1.25, 2.0]], [[7.0, 7.0], [7.0, 7.0]]])

    scaled = scale_clip(decibel)

    expected = [[[-1.0, 0.25], [0.5, 1.0]], [[-1.0, 0.0], [-0.5, 1.0]], [[-1.0, -1.0], [-1.0, -1.0]]]
    torch.testing.assert_close(scaled, torch.tensor(expected))
    assert decibel[0, 0, 0] == -50  # the input stays as it was


def test_clips_are_scaled_to_the_configured_range() -> None:
    mel = torch.tensor([[[1.0, 10.0], [100.0, 10.0]]])
    of_2021 = AmplitudeMel(scaled_to=[0.0, 1.0])

    torch.testing.assert_close(of_2021.normalise(mel), torch.tensor([[[0.0, 0.5], [1.0, 0.5]]]))
    torch.testing.assert_close(AmplitudeMel().normalise(mel), torch.tensor([[[-1.0, 0.0], [1.0, 0.0]]]))


@pytest.mark.parametrize("scaled_to", [[1.0, 0.0], [0.0], [0.0, 0.5, 1.0], [0.0, 0.0]])
def test_an_invalid_range_is_rejected(scaled_to: list[float]) -> None:
    with pytest.raises(ValueError, match=r"^scaled_to=\["):
        AmplitudeMel(scaled_to=scaled_to)


def test_a_batch_gives_the_features_of_its_clips() -> None:
    waveforms = torch.from_numpy(clips(4, seconds=1.0))
    front_end = AmplitudeMel(seconds=1.0)

    torch.testing.assert_close(front_end(waveforms), torch.cat([front_end(clip[None]) for clip in waveforms]))


@pytest.mark.parametrize(
    ("sizes", "line"),
    [
        ({"window": 4096}, "window=4096: expected 1 to n_fft=2048 samples; use a larger n_fft"),
        ({"hop": 0}, "hop=0: expected 1 to the clip's 160000 samples"),
        ({"seconds": 0.05}, "n_fft=2048: expected less than twice the clip's 800 samples"),
        ({"f_max": 9000.0}, "f_min=0.0, f_max=9000.0: expected 0 <= f_min < f_max <= 8000.0 Hz"),
        ({"n_mels": 600}, "600 mel bands over an FFT of 2048: band 0 holds no bin; use fewer bands"),
    ],
)
def test_rejects_sizes_that_do_not_fit(sizes: dict[str, float], line: str) -> None:
    with pytest.raises(ValueError, match=r"expected|fewer") as problem:
        AmplitudeMel(**sizes)

    assert str(problem.value) == line
