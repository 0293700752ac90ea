"""Messages on recordings whose length differs from that of a clip."""

from pathlib import Path

import numpy as np

from dcase_sweep.data.compute import ClipState
from dcase_sweep.data.store import FeatureStore
from dcase_sweep.tasks.features import describe_changes

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
