"""The content of the figures."""

import io
import subprocess
import sys

import numpy as np
import pytest

from dcase_sweep.evaluation.scenes.figures import confusion_figure, device_accuracy_figure
from dcase_sweep.evaluation.scenes.metrics import SceneReport, evaluate_scenes


@pytest.fixture
def report() -> SceneReport:
    """Return a reference without clips of the class tram."""
    return evaluate_scenes(
        np.array([[6, 2, 2], [2, 6, 2], [2, 6, 2], [6, 2, 2]]) / 10,
        [0, 1, 1, 1],
        classes=("metro_station", "park", "tram"),
        devices=["a", "a", "s6", "s6"],
    )


def test_confusion_matrix_colours_shares_and_writes_counts(report: SceneReport) -> None:
    axes = confusion_figure(report).axes[0]

    share = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(share, [[1, 0, 0], [1 / 3, 2 / 3, 0], [np.nan, np.nan, np.nan]])
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((0, 0), "1"),
        ((0, 1), "1"),
        ((1, 1), "2"),
    }
    assert [label.get_text() for label in axes.get_yticklabels()] == ["metro station", "park", "tram"]


def test_device_bars_are_as_high_as_the_accuracy(report: SceneReport) -> None:
    axes = device_accuracy_figure(report).axes[0]

    assert [bar.get_height() for bar in axes.patches] == [100, 50]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["A\n100.0", "S6\n50.0"]


def test_without_devices_there_are_no_bars_to_draw() -> None:
    with pytest.raises(ValueError, match="no devices to draw"):
        device_accuracy_figure(evaluate_scenes([[1.0, 0.0]], [0], classes=("bus", "park")))


@pytest.mark.parametrize("classes", [2, 10])
def test_everything_stays_inside_the_picture(classes: int) -> None:
    names = [f"a_rather_long_scene_{index}" for index in range(classes)]
    figure = confusion_figure(evaluate_scenes(np.eye(classes), np.arange(classes), classes=names))

    figure.savefig(io.BytesIO(), format="png")

    tight = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert tight.x0 >= 0
    assert tight.y0 >= 0
    assert tight.x1 <= width
    assert tight.y1 <= height


def test_drawing_leaves_pyplot_alone() -> None:
    program = (
        "import sys\n"
        "from dcase_sweep.evaluation.scenes.figures import confusion_figure\n"
        "from dcase_sweep.evaluation.scenes.metrics import evaluate_scenes\n"
        "assert 'matplotlib' not in sys.modules\n"
        "confusion_figure(evaluate_scenes([[1.0, 0.0]], [0], classes=('bus', 'park')))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
