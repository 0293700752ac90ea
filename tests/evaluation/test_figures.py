"""Figures as files."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from dcase_sweep.evaluation.figures import DPI, plain_text, save_figure
from dcase_sweep.evaluation.scenes.figures import confusion_figure
from dcase_sweep.evaluation.scenes.metrics import evaluate_scenes


def test_a_figure_is_written_as_matplotlib_writes_it(tmp_path: Path) -> None:
    scores = np.full((4, 2), 0.5)
    scores[:3] = [0.9, 0.1]
    report = evaluate_scenes(scores, np.array([0, 0, 1, 1]), classes=["park", "tram"], devices=["a"] * 4)
    confusion_figure(report).savefig(tmp_path / "theirs.png", dpi=DPI)

    save_figure(confusion_figure(report), tmp_path / "ours.png")

    save_figure(Figure((2, 1)), tmp_path / "plain.png")
    assert Image.open(tmp_path / "plain.png").size == (2 * DPI, DPI)
    ours, theirs = (Image.open(tmp_path / name) for name in ("ours.png", "theirs.png"))
    assert (ours.mode, round(ours.info["dpi"][0])) == ("RGB", DPI)
    assert np.array_equal(np.asarray(ours), np.asarray(theirs.convert("RGB")))


@pytest.mark.parametrize(
    "label", ["$\\frac{a}{$b", "a$b$c", "_hidden", "<b>x</b>", "\\alpha", "犬", "x" * 10_000, "%s"]
)
def test_any_label_is_drawn_unchanged(tmp_path: Path, label: str) -> None:
    figure = Figure((2, 1))
    axes = figure.subplots()
    axes.plot([0, 1], label=plain_text(label))
    axes.set_title(plain_text(label))
    axes.set_yticks([0], [plain_text(label)])
    assert len(figure.axes[0].get_legend_handles_labels()[1]) == 1

    save_figure(figure, tmp_path / "label.png")

    assert len(plain_text(label).replace("\\$", "$")) <= 33


def test_a_confusion_matrix_of_many_scenes_is_drawn_within_bounds(tmp_path: Path) -> None:
    classes = [f"scene {number}" for number in range(120)]
    report = evaluate_scenes(np.eye(120), np.arange(120), classes=classes)

    save_figure(confusion_figure(report), tmp_path / "confusion.png")

    assert max(Image.open(tmp_path / "confusion.png").size) <= 33 * DPI
