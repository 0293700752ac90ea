"""Trainings that compute their features in each step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dcase_sweep.audio.packed import pack
from dcase_sweep.audio.packed import unpack as unpack_waveforms
from dcase_sweep.config import build_front_end
from dcase_sweep.training.augmentation.waveforms import Gain
from dcase_sweep.training.waveforms import WaveformInput, make_waveform_input
from tests.benchmarks import gpu_data
from tests.composing import composed

#: Training clips of a batch, and what is validated.
TRAINED, VALIDATED = sum(gpu_data.EVENT_BATCH), (2, 2)
WAVEFORMS = (
    *("data.seconds=1", "front_end.store=false", "hardware.precision=32-true", "hardware.threads=1"),
    "augmentation=[speed,device_response,gain,event_mixup]",
)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("by_numpy", [True, False], ids=["cpu", "torch, as on a gpu"])
@pytest.mark.parametrize("task", ["1a", "4"])
def test_the_features_are_those_of_the_store(task: str, by_numpy: bool) -> None:
    experiment = composed(f"task='{task}'", *(["model=crnn_meanteacher"] if task == "4" else []))
    front_end: Any = build_front_end(experiment)
    packed = pack(torch.from_numpy(rng().uniform(-0.5, 0.5, (6, experiment.task.sample_rate * 10)).astype(np.float32)))
    stored = torch.cat([front_end(clip[None]) for clip in unpack_waveforms(packed)])
    constants = front_end._constants[packed.device]
    filters = constants.filters if task == "1a" else constants[1]
    filters._on_cpu = by_numpy

    with torch.autocast("cpu", torch.bfloat16):
        features, targets = WaveformInput(front_end)(packed, "targets", rng())

    assert targets == "targets"
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, stored, rtol=1e-5, atol=1e-5)


def test_clips_are_computed_alike_by_one_thread_and_by_several() -> None:
    before = torch.get_num_threads()
    whole = make_waveform_input(composed("front_end.store=false", "augmentation=[speed,device_response,gain]"))
    packed = pack(torch.from_numpy(rng().uniform(-0.5, 0.5, (4, 441_000)).astype(np.float32)))
    found = []
    try:
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            found.append(whole(packed, torch.eye(4), rng())[0])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)

    assert all(torch.equal(each, found[0]) for each in found)


def test_waveforms_are_augmented_before_the_front_end() -> None:
    packed = pack(torch.ones(3, 8) / 2)
    rates = WaveformInput(lambda waveforms: waveforms[:, None], [Gain(6.0)])(packed, None, rng())[0]

    assert torch.allclose(rates, Gain(6.0)(torch.ones(3, 8) / 2, None, rng())[0][:, None])


def make(epochs: int) -> Any:
    clips = gpu_data.event_sizes(1, VALIDATED)
    features = abs(gpu_data.random_features((clips, 128, 63), "cpu"))
    waveforms = gpu_data.random_waveforms(TRAINED, 16_000, clips)
    more = (f"training.epochs={epochs}", "mean_teacher.ramp_epochs=1")
    return gpu_data.event_learner(features, 1, VALIDATED, *WAVEFORMS, *more, waveforms=waveforms)


def fit(learner: Any, folder: Path, resume: Path | None = None) -> dict[str, torch.Tensor]:
    seen: list[torch.Tensor] = []
    step = learner.module.compute

    def noted(mel: torch.Tensor, *labels: torch.Tensor, **numbers: Any) -> Any:
        seen.append(mel)
        return step(mel, *labels, **numbers)

    learner.module.compute = noted
    learner.fit(folder, extra={}, on_epoch=lambda epoch, metrics: None, resume=resume)
    learner.seen = seen
    weights = torch.load(folder / "last.ckpt", weights_only=False)["state_dict"]
    assert isinstance(weights, dict)
    return weights


def test_a_resumed_training_draws_what_an_uninterrupted_one_draws(tmp_path: Path) -> None:
    whole = make(2)
    expected = fit(whole, tmp_path / "whole")
    fit(make(1), tmp_path / "first")

    resumed = make(2)
    found = fit(resumed, tmp_path / "rest", tmp_path / "first/last.ckpt")

    first, second = whole.seen
    assert first.shape == (TRAINED, 128, 63)
    assert not torch.allclose(first, second), "each epoch draws anew"
    assert torch.equal(resumed.seen[0], second)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_targets_of_events_move_with_the_sound() -> None:
    learner = make(1)
    learner.module.rng = rng()
    packed = torch.from_numpy(learner.waveforms.packed[:TRAINED])
    strong = torch.zeros(12, 10, 15)
    strong[:, :, 7] = 1

    mel, moved, weak = learner.module.prepare((packed, strong, torch.zeros(12, 10)))

    assert weak.shape == (12, 10)
    assert mel.shape == (TRAINED, 128, 63)
    assert len({int(labels[0].argmax()) for labels in moved}) > 1
