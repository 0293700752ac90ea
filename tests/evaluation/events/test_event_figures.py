"""The content of the figures."""

import io

import numpy as np
import pytest

from dcase_sweep.evaluation.events import Event, EventEvaluation, evaluate, ground_truth_from_events
from dcase_sweep.evaluation.events.figures import class_f1_figure, clip_figure, psd_roc_figure
from tests.evaluation.events.event_reference import HOP, random_scores, random_truth


@pytest.fixture(scope="module")
def evaluation() -> EventEvaluation:
    rng = np.random.default_rng(3)
    truth = random_truth(rng)
    return evaluate(random_scores(rng, truth), truth, hop=HOP)


def test_psd_roc_has_a_panel_a_scenario_with_its_score(evaluation: EventEvaluation) -> None:
    figure = psd_roc_figure(evaluation)

    assert [axes.get_title() for axes in figure.axes] == [
        f"PSDS scenario {number}: {score.value:.4f} (50 thresholds), {exact.value:.4f} (all)"
        for number, score, exact in zip((1, 2), evaluation.psds, evaluation.exact, strict=True)
    ]
    drawn = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert set(drawn) == {"Cat", "Dog", "Speech", "PSD-ROC", "PSD-ROC, exact"}
    # The area under the drawn staircase is the score.
    x, y = drawn["PSD-ROC, exact"].get_data()
    assert np.sum(np.diff(x) * y[:-1]) / 100 == pytest.approx(evaluation.exact[0].value)


def test_values_of_a_set_without_events_are_undefined() -> None:
    truth = ground_truth_from_events([], {"a.wav": 10.0}, labels=["Dog"])
    result = evaluate({"a.wav": np.zeros((156, 1))}, truth, hop=HOP)

    titles = [axes.get_title() for axes in psd_roc_figure(result).axes]
    names = [bars.get_label() for bars in class_f1_figure(result).axes[0].containers]

    assert titles == [f"PSDS scenario {number}: - (50 thresholds), - (all)" for number in (1, 2)]
    assert names == ["segment, macro -", "intersection, macro -", "collar, macro -"]


def test_class_bars_are_f1_in_percent(evaluation: EventEvaluation) -> None:
    figure = class_f1_figure(evaluation)

    bars = {
        container.get_label().split(",")[0]: [bar.get_width() for bar in container]
        for container in figure.axes[0].containers
    }
    expected = [100 * item.f1 for item in evaluation.collar.per_class]
    assert bars["collar"] == pytest.approx(expected, nan_ok=True)


def test_a_clip_shows_reference_above_detection() -> None:
    figure = clip_figure(
        np.zeros((128, 626)),
        duration=10.0,
        reference=[Event("Dog", 1.0, 2.0)],
        detected=[Event("Dog", 1.1, 2.5), Event("Cat", 3.0, 4.0)],
        title="a.wav",
    )
    figure.savefig(io.BytesIO(), format="png")

    _, events = figure.axes
    assert [label.get_text() for label in events.get_yticklabels()] == ["Cat", "Dog"]
    spans = [bar.get_paths()[0].get_extents() for bar in events.collections]
    assert [(span.x0, span.x1) for span in spans] == [(1.0, 2.0), (1.1, 2.5), (3.0, 4.0)]
    assert spans[0].y1 < spans[1].y0  # the axis points down
    assert events.yaxis_inverted()


def test_a_clip_without_events_is_drawn() -> None:
    figure = clip_figure(np.zeros((4, 5)), duration=1.0, reference=[], detected=[])
    figure.savefig(io.BytesIO(), format="png")

    assert "none detected" in figure.axes[1].texts[0].get_text()


def test_a_spectrogram_of_the_beginning_leaves_the_rest_open() -> None:
    figure = clip_figure(np.zeros((4, 50)), duration=20.0, covered=10.0, reference=[], detected=[])

    assert figure.axes[0].get_images()[0].get_extent() == [0, 10, -0.5, 3.5]
    assert figure.axes[0].get_xlim() == (0, 20)


def test_the_axis_shows_the_frequencies_of_the_bands() -> None:
    frequencies = [100.0, 125.0, 250.0, 500.0, 1000.0, 2000.0]

    figure = clip_figure(np.zeros((6, 5)), duration=1.0, reference=[], detected=[], frequencies=frequencies)
    figure.savefig(io.BytesIO(), format="png")

    (right,) = figure.axes[0].child_axes
    ticks = {label.get_text(): place for label, place in zip(right.get_yticklabels(), right.get_yticks(), strict=True)}
    assert ticks == pytest.approx({"100": 0, "200": 1.6, "500": 3, "1k": 4, "2k": 5})
    assert right.get_ylabel() == "Hz"
    assert figure.axes[0].get_ylabel() == "band"
