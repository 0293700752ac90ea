"""Mistakes in what ``load()`` of a data set of one's own returns."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcase_sweep.data.events import SoundEvent
from dcase_sweep.data.scenes import SceneData, SceneRecording
from dcase_sweep.tasks.data_checks import check_loaded
from dcase_sweep.utils.errors import UserError
from tests.data.test_events import make_data

RECORDINGS = tuple(SceneRecording(f"{index}.wav", "ab"[index % 2], "", str(index), "") for index in range(4))
SCENES = SceneData("mine", Path("recordings"), RECORDINGS, ("a", "b"), np.array([0, 1]), np.array([2]), np.array([3]))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"classes": ()}, "no classes; expected their names in classes"),
        ({"classes": ("a", "b", "a")}, "the class a twice; expected each once in classes"),
        ({"classes": ("a", "c")}, "1.wav with the label b; expected one of classes: a, c"),
        (
            {"train": np.array([0, 9])},
            "the split train with the index 9; expected indices of its 4 recordings, from 0 to 3",
        ),
        (
            {"test": np.array([-1])},
            "the split test with the index -1; expected indices of its 4 recordings, from 0 to 3",
        ),
        (
            {"train": np.array([True, True, False, False])},
            "the split train with a mask; expected the indices of its recordings: numpy.flatnonzero(mask)",
        ),
        (
            {"validation": np.array([])},
            "the split validation with an array float64 [0]; expected indices of recordings: int64 [clip]",
        ),
        (
            {"test": np.array([], dtype=np.int64)},
            "the split test without recordings; expected at least one",
        ),
    ],
)
def test_a_mistake_is_reported_in_one_line_with_the_class(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as caught:
        check_loaded(replace(SCENES, **change), "mine.Data")

    assert str(caught.value) == f"data._target_=mine.Data: load() returned {says}"


def test_labels_of_sound_events_must_be_classes() -> None:
    with pytest.raises(UserError, match=r"with the label Owl; expected one of classes: Alarm_bell_ringing, "):
        check_loaded(make_data(SoundEvent(1, 2, "Owl")), "mine.Data")


def test_a_recording_may_be_in_the_training_split_several_times() -> None:
    check_loaded(replace(SCENES, train=np.array([0, 0, 1])), "mine.Data")
