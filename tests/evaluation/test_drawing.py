"""The figures of a run are drawn last, and an error does not fail the run."""

import logging
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from dcase_sweep.evaluation.result import EvaluationResult, Figures
from dcase_sweep.runner import Job
from dcase_sweep.runner.records import draw_figures


class Recorder:
    """Records the calls of a run in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def flush(self, *_: Any) -> None:
        self.calls.append("metrics")

    def log_file(self, path: Path, *_: Any) -> None:
        self.calls.append(path.name)


def broken() -> Figure:
    raise ValueError("a label\nthat cannot be drawn")


def test_a_figure_that_cannot_be_drawn_costs_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = Recorder()
    figures = Figures({"broken.png": broken, "good.png": lambda: Figure((1, 1))})

    with caplog.at_level(logging.WARNING):
        draw_figures(run, EvaluationResult({"test/accuracy": 1.0}, "", figures=figures), Job(tmp_path, {}))  # type: ignore[arg-type]

    assert run.calls == ["metrics", "good.png"]
    assert [record.getMessage() for record in caplog.records] == ["broken.png cannot be drawn: ValueError: a label"]
    assert (tmp_path / "good.png").is_file()


def test_a_formula_that_is_none_is_a_broken_figure_and_no_broken_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    figure = Figure((1, 1))
    figure.suptitle("$\\frac{a}{$")

    with caplog.at_level(logging.WARNING):
        draw_figures(
            Recorder(),  # type: ignore[arg-type]
            EvaluationResult({}, "", figures=Figures({"title.png": lambda: figure})),
            Job(tmp_path, {}),
        )

    (record,) = caplog.records
    assert record.getMessage().startswith("title.png cannot be drawn: ValueError")
