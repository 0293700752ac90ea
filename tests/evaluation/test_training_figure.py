"""The content of learning curves."""

import io

import pytest

from dcase_sweep.evaluation.training_figure import training_figure

HISTORY = {
    "train/loss": {0: 2.0, 1: 1.5, 2: 1.2},
    "validation/loss": {0: 2.1, 1: 1.6, 2: 1.8},
    "validation/accuracy": {0: 0.2, 1: 0.5, 2: 0.4},
    "speed/clips_per_second": {0: 90.0, 1: 91.0, 2: 92.0},
}


def test_losses_and_the_monitored_metric_have_a_panel_each() -> None:
    figure = training_figure(HISTORY, monitor="validation/accuracy", best_epoch=1)
    figure.savefig(io.BytesIO(), format="png")

    losses, monitored = figure.axes
    assert [line.get_label() for line in losses.get_lines()] == ["train loss", "validation loss", "best epoch"]
    assert monitored.get_ylabel() == "validation accuracy"
    assert list(monitored.get_lines()[0].get_xdata()) == [1, 2, 3]
    assert monitored.get_lines()[-1].get_xydata().tolist() == [[2, 0.5]]
    assert figure.get_suptitle() == "best epoch: 2, validation accuracy 0.5"


def test_a_monitored_loss_needs_one_panel() -> None:
    figure = training_figure(HISTORY, monitor="validation/loss", best_epoch=1)

    (axes,) = figure.axes
    assert axes.get_lines()[-1].get_xydata().tolist() == [[2, 1.6]]


@pytest.mark.parametrize(
    "history", [{"validation/accuracy": {0: 0.5}}, {"train/loss": {0: float("nan")}}, {"my/metric": {0: 1.0}}, {}]
)
def test_few_or_no_values_are_drawn(history: dict[str, dict[int, float]]) -> None:
    training_figure(history, monitor="validation/accuracy", best_epoch=0).savefig(io.BytesIO(), format="png")
