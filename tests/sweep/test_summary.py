"""The summary in the record of a sweep: metrics, a table in Markdown, a figure."""

from pathlib import Path
from unittest.mock import MagicMock

import pytest
from PIL import Image

from dcase_sweep.sweep.comparison import Column, Entry, compare
from dcase_sweep.sweep.grid_report import report
from dcase_sweep.sweep.job import GridJob, PooledRow
from dcase_sweep.sweep.outcomes import Outcome
from dcase_sweep.sweep.summary import draw_comparison, summarise, to_markdown

SCENES = (Column("test/accuracy", "accuracy %", 100, 1), Column("test/log_loss", "log loss", larger_is_better=False))
LOSS = (Column("test/loss", "loss", larger_is_better=False),)


def entry(model: str, seed: int, columns: tuple[Column, ...] = SCENES, **metrics: float) -> Entry:
    named = {f"test/{name}": value for name, value in metrics.items()}
    return Entry({"model": model, "seed": str(seed)}, "finished", named, 1.0, columns=columns)


def test_best_and_mean_are_of_the_first_column() -> None:
    jobs = [
        entry("a", 0, accuracy=0.5, log_loss=1.5),
        entry("a", 1, accuracy=0.7, log_loss=1.3),
        entry("b", 0, accuracy=0.8, log_loss=1.4),
        entry("b", 1, accuracy=0.3, log_loss=1.2),
    ]

    figures = summarise(jobs)

    assert figures["best/test/accuracy"] == 0.8
    assert figures["best/test/log_loss"] == 1.4
    assert figures["mean/test/accuracy"] == pytest.approx(0.6)
    assert figures["sd/test/accuracy"] == pytest.approx(0.02**0.5)


def test_a_smaller_loss_is_the_better_one_and_tasks_are_apart() -> None:
    jobs = [entry("a", 0, LOSS, loss=2.0), entry("b", 0, LOSS, loss=1.0), entry("c", 0, accuracy=0.4)]

    assert summarise(jobs) == {
        **{"best/test/loss": 1.0, "mean/test/loss": 1.0},
        **{"best/test/accuracy": 0.4, "mean/test/accuracy": 0.4},
    }


def test_the_figures_of_a_cross_validation_are_those_of_all_folds(tmp_path: Path) -> None:
    def finished(**metrics: float) -> Outcome:
        return Outcome("finished", {f"test/{name}": value for name, value in metrics.items()}, columns=SCENES)

    jobs = [
        GridJob([f"data.fold={fold}", f"seed={seed}"], outcome=finished(accuracy=0.4 + 0.2 * fold + 0.1 * seed))
        for fold in (1, 2)
        for seed in (0, 1)
    ]
    pooled = [
        PooledRow({"data.fold": "pooled", "seed": str(seed)}, finished(accuracy=0.7 + 0.1 * seed)) for seed in (0, 1)
    ]
    record, application = MagicMock(link=None, command=None), MagicMock()
    application.pool.return_value = pooled

    report(application, record, [], {}, tmp_path, jobs)

    logged = record.log_metrics.call_args.args[0]
    assert logged["best/test/accuracy"] == pytest.approx(0.8)
    assert logged["mean/test/accuracy"] == pytest.approx(0.75)


def test_markup_in_a_value_is_text() -> None:
    table = to_markdown(compare([entry("<b>|x", 0, accuracy=0.5), entry("y_z", 0, accuracy=0.5)]))

    assert table.splitlines()[:2] == ["| model | accuracy % | seconds |", "| --- | ---: | ---: |"]
    assert "\\<b\\>\\|x" in table
    assert "y\\_z" in table


def test_each_task_has_a_panel(tmp_path: Path) -> None:
    jobs = [entry("$a", 0, accuracy=0.5), entry("$a", 1, accuracy=0.6), entry("b", 0, LOSS, loss=1.0)]

    one = draw_comparison(compare(jobs[:2]), tmp_path / "one.png")
    both = draw_comparison(compare(jobs), tmp_path / "both.png")

    assert one is not None
    assert both is not None
    assert Image.open(both).height > 1.5 * Image.open(one).height
    assert draw_comparison(compare([Entry({}, "failed", {})]), tmp_path / "none.png") is None
