"""The content of figures of predictions."""

from types import SimpleNamespace

import numpy as np
import pytest

from dcase_sweep.inference.figures import Spectrogram, draw_prediction
from dcase_sweep.tasks.prediction import ScenePrediction

FREQUENCIES = np.array([100.0, 200.0, 400.0, 1000.0])


def front_end(**more: object) -> SimpleNamespace:
    return SimpleNamespace(seconds=1.0, shape=(4, 10), **more)


def draw(features: np.ndarray, **more: object):  # type: ignore[no-untyped-def]
    spectrogram = Spectrogram(front_end(**more), 1.0)
    spectrogram.add(0.0, features.astype(np.float32))
    scores = np.array([[0.9, 0.1]], dtype=np.float32)
    prediction = ScenePrediction(
        label="park", probabilities={"park": 0.9, "tram": 0.1}, scores=scores, starts=np.zeros(1), seconds=1.0
    )
    return draw_prediction("street.wav", prediction, ("park", "tram"), spectrogram)


@pytest.mark.parametrize(("more", "axes"), [({"frequencies": FREQUENCIES}, 1), ({}, 0)])
def test_hertz_are_shown_where_the_front_end_knows_them(more: dict[str, object], axes: int) -> None:
    figure = draw(np.arange(40.0).reshape(4, 10), **more)

    assert [each.get_ylabel() for each in figure.axes[0].child_axes] == ["Hz"] * axes
    assert figure.axes[0].get_ylabel() == "band"


def test_digital_silence_does_not_take_the_colours() -> None:
    features = np.full((4, 10), -36.0)  # the logarithm of the front end's floor
    features[:, :5] = np.linspace(-3, 0, 20).reshape(4, 5)

    image = draw(features).axes[0].get_images()[0]

    assert image.get_clim() == pytest.approx((-3, 0), abs=0.1)


def test_a_constant_spectrogram_is_drawn() -> None:
    draw(np.zeros((4, 10)))
