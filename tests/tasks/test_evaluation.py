"""Evaluation of scores."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dcase_sweep.data.tau import TAU
from dcase_sweep.tasks.scene_classification import SceneClassification
from dcase_sweep.utils.errors import UserError


def test_scores_that_are_no_numbers_are_one_line(tau: Path) -> None:
    data = TAU(name="tiny", root=str(tau)).load()
    scores = np.full((len(data.test), 3), 1 / 3)
    scores[4] = np.nan

    task = SceneClassification(name="1a", title="acoustic scene classification")

    with pytest.raises(UserError, match=r"^audio/.*\.wav: the network's scores are NaN or infinite, as those of 1 of"):
        task.evaluate(None, data, SimpleNamespace(predict=lambda rows: scores), None)  # type: ignore[arg-type]
