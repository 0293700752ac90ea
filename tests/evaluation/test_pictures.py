"""Figures as files."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from dcase_sweep.evaluation.pictures import DPI, save_figure
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
