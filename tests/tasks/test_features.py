"""Stored features and waveforms of an experiment, and messages on the lengths of its recordings."""

from pathlib import Path

import numpy as np
import torch

from dcase_sweep.audio.packed import unpack
from dcase_sweep.config import build_front_end
from dcase_sweep.data.compute import ClipState
from dcase_sweep.data.store import FeatureStore
from dcase_sweep.tasks.features import describe_changes, load_features, load_waveforms
from tests.composing import composed

NAMES = ["a.wav", "b\n.wav", "c.wav"]


def store(*states: ClipState) -> FeatureStore:
    return FeatureStore(Path("store"), np.zeros((len(states), 1, 1), np.float32), states, 0, ())


def test_a_recording_that_is_far_shorter_or_longer_is_named() -> None:
    found = store(
        ClipState(padded=True, seconds=9.5), ClipState(padded=True, seconds=0.05), ClipState(cut=True, seconds=3600)
    )

    assert describe_changes(NAMES, found, 10.0) == [
        "2 padded",
        "1 cut",
        r"the shortest 0.05 s of 10 s: b\n.wav",
        "the longest 3,600.00 s of 10 s: c.wav",
    ]


def test_recordings_of_about_a_clips_length_are_counted_alone() -> None:
    found = store(ClipState(seconds=10.0), ClipState(padded=True, seconds=9.0), ClipState(cut=True, seconds=11.0))

    assert describe_changes(NAMES, found, 10.0) == ["1 padded", "1 cut"]


def test_clips_without_a_known_length_are_not_named() -> None:
    found = store(ClipState(problem="x"), ClipState(padded=True), ClipState(seconds=10.0))

    assert describe_changes(NAMES, found, 10.0) == ["1 padded"]


def test_the_stored_waveforms_are_those_of_the_training_clips(tau: Path, tmp_path: Path) -> None:
    overrides = ("data=tau2020", f"data.root={tau}", "data.seconds=1", "model.blocks.2.pool=[4,5]")
    experiment = composed(*overrides, f"store.root={tmp_path / 'store'}", "front_end.store=false")
    data, store = load_features(experiment)
    train = data.splits["train"]

    waveforms = load_waveforms(experiment, data)
    again = load_waveforms(experiment, data)

    computed = build_front_end(experiment)(unpack(torch.from_numpy(waveforms.packed[waveforms.find(train)])))
    np.testing.assert_allclose(computed, store.features[train, :, : computed.shape[2]], atol=1e-3)
    assert waveforms.packed.shape == (len(train), 44_100 + 2)
    assert (waveforms.find(data.test) == -1).all()
    np.testing.assert_array_equal(again.packed, waveforms.packed)
