"""The files that the evaluation of a scene classifier writes."""

from pathlib import Path

import numpy as np
import pytest

from dcase_sweep.evaluation.scenes.files import read_reference, read_scores
from dcase_sweep.evaluation.scenes.metrics import as_probabilities, evaluate_scenes
from dcase_sweep.evaluation.scenes.pooling import evaluate_scene_files
from dcase_sweep.evaluation.scenes.result import REFERENCE, SCORES, evaluate_scene_scores

CLASSES = ("bus", "park", "tram")


def test_the_scores_of_a_run_have_its_log_loss_where_it_is_overconfident(tmp_path: Path) -> None:
    logits = np.random.default_rng(0).normal(scale=15, size=(60, 3)).astype(np.float32)
    values = np.exp(logits - logits.max(axis=1, keepdims=True))
    truth = np.arange(60) % 3
    names = [f"{index}.wav" for index in range(60)]

    found = evaluate_scene_scores(values, truth, classes=CLASSES, devices=None, filenames=names)
    for name in (SCORES, REFERENCE):
        (tmp_path / name).write_text(found.files[name], encoding="utf-8")
    reference = read_reference(tmp_path / REFERENCE)
    scores = as_probabilities(read_scores(tmp_path / SCORES, reference).values)
    again = evaluate_scenes(scores, truth, classes=CLASSES)

    assert again.log_loss == pytest.approx(found.metrics["test/log_loss"], rel=1e-8)
    pooled = evaluate_scene_files([tmp_path])
    assert pooled.metrics["test/log_loss"] == pytest.approx(found.metrics["test/log_loss"], rel=1e-8)
