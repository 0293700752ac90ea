"""Checks of the configuration against the data."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dcase_sweep.config import Experiment, MeanTeacher
from dcase_sweep.data.events import DESED_CLASSES, SoundEvent
from dcase_sweep.tasks.sound_event_detection import SoundEventDetection
from dcase_sweep.utils.errors import UserError
from tests.data.test_events import make_data

TASK = SoundEventDetection(name="4", title="sound event detection")


def experiment(**settings: object) -> Experiment:
    wanted = {"strong": 1, "weak": 1, "unlabelled": 1, "median_filter": 7} | settings
    data, model = SimpleNamespace(seconds=10.0), SimpleNamespace(_target_="dcase_sweep.models.crnn.CRNN")
    return Experiment(mean_teacher=MeanTeacher(**wanted), data=data, model=model)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"median_filter": {"Dgo": 3}}, "mean_teacher.median_filter.Dgo: no such class; did you mean Dog?"),
        (
            {"median_filter": {label: 7 for label in DESED_CLASSES if label not in ("Cat", "Dog")}},
            "mean_teacher.median_filter: no frames for Cat, Dog; expected some for every class",
        ),
        (
            {"strong": 12},
            "mean_teacher.strong=12: only 1 clip; expected at most as many a batch, as mean_teacher.strong=1",
        ),
        (
            {"unlabelled": 2},
            "mean_teacher.unlabelled=2: only 1 clip; expected at most as many a batch, as mean_teacher.unlabelled=1",
        ),
    ],
)
def test_rejected_in_one_line(change: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as caught:
        TASK.validate_data(experiment(**change), make_data(SoundEvent(1, 2, "Cat")))

    assert str(caught.value) == says


def test_valid_data_are_accepted_without_messages(caplog: pytest.LogCaptureFixture) -> None:
    TASK.validate_data(experiment(median_filter=dict.fromkeys(DESED_CLASSES, 5)), make_data(SoundEvent(1, 2, "Cat")))

    assert not caplog.records


def test_a_test_set_without_events_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    data = replace(make_data(), test=np.array([2]))

    with caplog.at_level(logging.WARNING):
        TASK.validate_data(experiment(), data)

    assert "no event in the test set: PSDS and F1 are not defined on it" in caplog.text


def test_events_after_the_end_of_the_input_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    tried = experiment()
    tried.data.seconds = 9.0  # where the only test event begins

    with caplog.at_level(logging.WARNING):
        TASK.validate_data(tried, make_data())

    assert "1 test event begins after data.seconds=9 and counts as missed" in caplog.text
