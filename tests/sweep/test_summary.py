"""The summary in the record of a sweep: metrics, a table in Markdown, a figure."""

from pathlib import Path

import pytest
from PIL import Image

from dcase_sweep.sweep.comparison import Column, Entry, compare
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
