"""Joining of windows to the prediction for a recording."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import dcase_sweep
from dcase_sweep.models.crnn import Predictions
from dcase_sweep.tasks.event_predictor import EventPredictor
from dcase_sweep.tasks.predictors import ClipPredictor, NetworkPredictor, join
from dcase_sweep.utils.errors import UserError
from tests.checkpoints import EVENTS

CLASSES = ("bus", "park", "tram")


class Given(nn.Module):
    """Returns the features of a window as probabilities ``[1, class]``."""

    def forward(self, features: Tensor) -> Tensor:
        return features[:, 0]


def windows(*probabilities: list[float]) -> Tensor:
    return torch.tensor(probabilities)[:, None]


def test_the_probabilities_of_a_recording_are_the_mean_over_its_windows() -> None:
    joiner = join(ClipPredictor(Given(), CLASSES, seconds=1.0), 100, 1.0)
    joiner.add([0, 50], windows([0.8, 0.1, 0.1], [0.2, 0.7, 0.1]))
    joiner.add([100], windows([0.2, 0.7, 0.1]))

    found = joiner.finish(180)

    assert found.label == "park"
    assert found.probabilities == pytest.approx({"park": 0.5, "bus": 0.4, "tram": 0.1})
    assert list(found.probabilities) == ["park", "bus", "tram"]
    assert [(each.onset, each.offset, each.label) for each in found.segments] == [
        (0.0, 1.0, "bus"),
        (0.5, 1.5, "park"),
        (1.0, 1.8, "park"),
    ]
    assert found.seconds == 1.8


def test_tags_are_those_above_the_threshold() -> None:
    predictor = ClipPredictor(Given(), CLASSES, seconds=1.0, threshold=0.5)

    found = predictor(windows([0.6, 0.2, 0.9]))
    joiner = join(predictor, 100, 1.0, threshold=0.1)
    joiner.add([0], windows([0.6, 0.2, 0.9]))

    assert isinstance(found, dcase_sweep.TagPrediction)
    assert found.labels == ("tram", "bus")
    assert joiner.finish(100).labels == ("tram", "bus", "park")
    assert predictor(windows([0.1, 0.2, 0.3])).labels == ()


def test_a_scene_has_no_threshold() -> None:
    with pytest.raises(UserError, match=r"^threshold=0\.3: no effect, because recordings have one label"):
        join(ClipPredictor(Given(), CLASSES, seconds=1.0), 100, 1.0, threshold=0.3)
    with pytest.raises(UserError, match=r"^threshold=0\.3: not known to NetworkPredictor"):
        join(NetworkPredictor(Given()), 100, 1.0, threshold=0.3)


def test_a_predictor_of_single_clips_predicts_each_window() -> None:
    joiner = join(NetworkPredictor(Given()), 100, 1.0)
    joiner.add([0, 50], windows([0.8, 0.1, 0.1], [0.2, 0.7, 0.1]))

    first, second = joiner.finish(140)

    assert (second.onset, second.offset) == (0.5, 1.4)
    assert second.prediction[0].tolist() == pytest.approx([0.2, 0.7, 0.1])
    alone = join(NetworkPredictor(Given()), 100, 1.0)
    alone.add([0], windows([0.8, 0.1, 0.1]))
    assert torch.equal(alone.finish(100), first.prediction)


class Played(nn.Module):
    """Returns the features as probabilities of each frame ``[class, frame]``."""

    frame_stride = 1

    def forward(self, features: Tensor) -> Predictions:
        return Predictions(features, features.amax(dim=2))


@pytest.fixture(scope="module")
def detector() -> EventPredictor:
    """Detects two classes, one frame of 16 ms for each of the features."""
    settings: Any = dcase_sweep.compose([*EVENTS, "mean_teacher.median_filter=1"]).settings
    predictor = EventPredictor(settings, Played(), ("cat", "dog"))
    predictor.network = Played()
    return predictor


def test_events_go_on_from_window_to_window(detector: EventPredictor) -> None:
    track = np.zeros((2, 120), np.float32)
    track[0, 30:90] = 0.9
    track[1, 100:] = 0.8
    joiner = join(detector, 16_000, 1.0)
    for first in (0, 30, 60):
        joiner.add([first * detector.grid], torch.from_numpy(track[None, :, first : first + 60]))

    found = joiner.finish(120 * detector.grid)

    assert [(each.onset, each.offset, each.event_label) for each in found.events] == [
        (0.48, 1.44, "cat"),
        (1.6, 1.92, "dog"),
    ]
    assert [each.confidence for each in found.events] == pytest.approx([0.9, 0.8])
    assert np.allclose(found.scores, track.T)
    assert found.probabilities == pytest.approx({"cat": 0.9, "dog": 0.8})
    assert found.labels == ("cat", "dog")


def test_the_window_whose_middle_is_nearer_has_more_weight(detector: EventPredictor) -> None:
    joiner = join(detector, 16_000, 1.0)
    joiner.add([0], torch.full((1, 2, 60), 1.0))
    joiner.add([30 * detector.grid], torch.zeros(1, 2, 60))

    scores = joiner.finish(90 * detector.grid).scores[:, 0]

    assert (scores[:30] == 1).all()
    assert (scores[60:] == 0).all()
    assert (np.diff(scores[29:61]) < 0).all()


def test_the_prediction_of_one_window_is_the_output_of_the_network_bit_for_bit(detector: EventPredictor) -> None:
    said = torch.rand(1, 2, 60, generator=torch.manual_seed(1))
    joiner = join(detector, 16_000, 1.0)
    joiner.add([0], said)

    assert np.array_equal(joiner.finish(60 * detector.grid).scores, said[0].T.numpy())


def test_nothing_is_detected_after_the_end_of_a_short_recording(detector: EventPredictor) -> None:
    joiner = join(detector, 16_000, 1.0)
    joiner.add([0], torch.full((1, 2, 60), 0.9))

    found = joiner.finish(20 * detector.grid + 100)

    assert {(each.onset, each.offset) for each in found.events} == {(0.0, found.seconds)}
    assert found.seconds == pytest.approx(0.32625)


def test_scores_of_many_windows_need_little_more_room_than_they_have(detector: EventPredictor) -> None:
    joiner = join(detector, 16_000, 1.0)
    for first in range(0, 30_000, 30):
        joiner.add([first * detector.grid], torch.full((1, 2, 60), 0.9))

    found = joiner.finish(30_030 * detector.grid)

    assert found.scores.shape == (30_030, 2)
    assert [(each.onset, each.offset) for each in found.events] == [(0.0, 30_030 * 0.016)] * 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(detector: EventPredictor, value: float) -> None:
    track = np.full((1, 2, 120), 0.1, np.float32)
    track[0, 1, 60] = value
    events, scenes = join(detector, 16_000, 1.92), join(ClipPredictor(Given(), CLASSES, seconds=1.0), 100, 1.0)

    for joiner, features in ((events, torch.from_numpy(track)), (scenes, windows([0.2, value, 0.1]))):
        with pytest.raises(UserError, match="the network's scores are NaN or infinite; expected probabilities"):
            joiner.add([0], features)
