"""Augmentation of waveforms."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from dcase_sweep.training.augmentation.base import EventTargets
from dcase_sweep.training.augmentation.responses import DeviceResponse, convolve
from dcase_sweep.training.augmentation.waveforms import Gain, Speed

RATE = 8000
#: A tone of 500 Hz from 0.25 to 0.5 s of a clip of 1 s, and its labels in frames of 1/20 s.
TIME = torch.arange(RATE) / RATE
TONE = torch.sin(2 * torch.pi * 500 * TIME) * ((TIME >= 0.25) & (TIME < 0.5))
LABELS = torch.zeros(1, 20)
LABELS[0, 5:10] = 1


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def play(lowest: float, highest: float, clips: int = 20) -> tuple[torch.Tensor, EventTargets]:
    targets = EventTargets(LABELS.expand(clips, 1, 20), torch.ones(2, 1))
    waveforms, changed = Speed(lowest, highest)(TONE.expand(clips, RATE), targets, rng())
    return waveforms, changed


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_a_faster_clip_is_shorter_and_higher(speed: float) -> None:
    waveforms, _ = play(speed, speed)

    for clip in waveforms:
        heard = torch.nonzero(clip.abs() > 0.3)
        assert float(heard[-1] - heard[0]) / RATE == pytest.approx(0.25 / speed, rel=0.02)
        spectrum = torch.fft.rfft(clip).abs()
        assert int(spectrum.argmax()) == pytest.approx(500 * speed, abs=4)  # the clip lasts 1 s


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
def test_the_labels_follow_the_sound(speed: float) -> None:
    waveforms, targets = play(speed, speed)

    loud = waveforms.reshape(20, 20, -1).square().mean(dim=2)  # [clip, frame of the labels]
    begins = set()
    for level, labels in zip(loud, targets.strong[:, 0], strict=True):
        assert (level[labels == 1] > 0).all()
        assert level[labels == 1].mean() > 0.4
        assert labels.sum() == pytest.approx(5 / speed, abs=1)
        begins.add(int(labels.argmax()))
    assert len(begins) > 1 or speed == 1.0
    assert torch.equal(targets.weak, torch.ones(2, 1))


def test_a_speed_of_1_changes_nothing() -> None:
    waveforms, targets = play(1.0, 1.0)

    assert torch.equal(waveforms, TONE.expand(20, RATE))
    assert torch.equal(targets.strong, LABELS.expand(20, 1, 20))


def test_what_is_missing_is_silent_for_events_and_repeated_for_scenes() -> None:
    noise = torch.from_numpy(rng().normal(size=(30, RATE)).astype(np.float32))
    labels = torch.eye(30)

    events, _ = Speed(1.25, 1.25)(noise, EventTargets(labels[:, None], labels), rng())
    scenes, same = Speed(1.25, 1.25)(noise, labels, rng())

    silent = events == 0
    assert (silent.sum(dim=1) / RATE).numpy() == pytest.approx(0.2, abs=0.01)
    assert len(set(silent.int().argmin(dim=1).tolist())) > 10, "the sound begins at different times"
    assert not (scenes == 0).any()
    assert same is labels
    torch.testing.assert_close(scenes[~silent], events[~silent])


def test_the_same_generator_gives_the_same_waveforms_and_another_one_others() -> None:
    noise = torch.randn(4, RATE)
    for augmentation in (Speed(), Gain(6.0), DeviceResponse(sample_rate=RATE, probability=1.0)):
        one, _ = augmentation(noise, None, rng())
        again, _ = augmentation(noise, None, rng())
        other, _ = augmentation(noise, None, rng(8))

        assert torch.equal(one, again)
        assert not torch.allclose(one, other)


def test_a_gain_is_within_its_limits_and_differs_by_clip() -> None:
    louder, _ = Gain(6.0)(torch.ones(50, 4), None, rng())

    levels = 20 * louder.log10()
    assert levels.abs().max() <= 6.0
    assert levels.min() < -3 < 3 < levels.max()
    assert torch.equal(louder, louder[:, :1].expand(50, 4))


def test_a_convolution_is_that_of_the_definition() -> None:
    waveforms, responses = torch.randn(3, 100), torch.randn(3, 7)

    found = convolve(waveforms, responses, 2)

    for clip, response, wave in zip(found.numpy(), responses.numpy(), waveforms.numpy(), strict=True):
        np.testing.assert_allclose(clip, np.convolve(wave, response)[2:102], atol=1e-5)


def test_a_drawn_response_colours_a_clip_and_moves_nothing() -> None:
    click = torch.zeros(20, RATE)
    click[:, 4000] = 1

    filtered, _ = DeviceResponse(sample_rate=RATE, probability=1.0, decibels=6.0)(click, None, rng())

    assert (filtered.abs().argmax(dim=1) == 4000).all()
    torch.testing.assert_close(filtered.square().sum(dim=1), torch.ones(20))
    levels = 20 * torch.fft.rfft(filtered).abs().log10()[:, 50:-1]
    spread = levels.amax(dim=1) - levels.amin(dim=1)
    assert spread.min() > 1
    assert spread.max() < 13


def test_only_some_clips_are_filtered() -> None:
    noise = torch.randn(200, 1000)

    filtered, _ = DeviceResponse(sample_rate=RATE, probability=0.3)(noise, None, rng())

    unchanged = (filtered == noise).all(dim=1)
    assert unchanged.float().mean() == pytest.approx(0.7, abs=0.1)


def test_responses_of_a_folder_are_aligned_and_resampled(tmp_path: Path) -> None:
    response = np.zeros(3000, dtype=np.float32)
    response[1000] = 0.5
    soundfile.write(tmp_path / "phone.wav", response, 2 * RATE)
    click = torch.zeros(1, RATE)
    click[0, 4000] = 1

    augmentation = DeviceResponse(sample_rate=RATE, probability=1.0, folder=str(tmp_path), seconds=0.05)
    filtered, _ = augmentation(click, None, rng())

    assert int(filtered.abs().argmax()) == 4000
    assert float(filtered.square().sum()) == pytest.approx(1, abs=0.01)


def test_a_folder_without_a_response_is_named(tmp_path: Path) -> None:
    def read() -> None:
        DeviceResponse(sample_rate=RATE, folder=str(tmp_path))

    with pytest.raises(ValueError, match=r"^folder=.*: no WAV file; expected impulse responses of devices"):
        read()
    (tmp_path / "a.wav").write_text("no audio")
    with pytest.raises(ValueError, match=r"^folder=.*: a\.wav: "):
        read()
    soundfile.write(tmp_path / "a.wav", np.zeros(100), RATE)
    with pytest.raises(ValueError, match=r"^folder=.*: a\.wav: silent or not finite; expected an impulse response"):
        read()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Speed(0.3, 1.1), r"^lowest=0\.3: expected from 0\.5 to 2"),
        (lambda: Speed(1.1, 0.9), r"^highest=0\.9: expected from 1\.1 to 2"),
        (lambda: Gain(-1.0), r"^decibels=-1\.0: expected at least 0"),
        (lambda: DeviceResponse(sample_rate=RATE, probability=1.5), r"^probability=1\.5: expected from 0 to 1"),
        (lambda: DeviceResponse(sample_rate=RATE, points=1), r"^points=1: expected from 2 to 100"),
    ],
    ids=["too slow", "reversed", "negative", "probability", "points"],
)
def test_wrong_arguments_are_named(make: object, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        make()  # type: ignore[operator]
