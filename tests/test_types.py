"""Types of code that users write: that of the documents, and the project that ``init`` writes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_docs import ROOT, Page

pytest.importorskip("mypy")

PAGES = ("tutorial/own-model", "tutorial/own-data", "tutorial/own-front-end", "tutorial/own-task")
HOW_TO = ("how-to/training", "how-to/metrics")
PYTHON = """
import numpy as np
from my_front_ends import Envelope
from pytorch_lightning.loggers import CSVLogger
from tagging import TagData, TaggingLearner
from torch import Tensor

import dcase_sweep
from dcase_sweep.audio.amplitude_mel import AmplitudeMel
from dcase_sweep.audio.front_end import FrontEnd
from dcase_sweep.audio.pcen import PCEN
from dcase_sweep.audio.torchaudio_transforms import TorchAudioMFCC
from dcase_sweep.data.events import EventData
from dcase_sweep.evaluation.metrics import Metric
from dcase_sweep.tasks.predictors import ClipPredictor
from dcase_sweep.tasks.protocols import Learner, Predictor, TaskData
from dcase_sweep.tracking.loggers import Logger
from dcase_sweep.training.augmentation.base import Augmentation
from dcase_sweep.training.scenes import SceneLearner

result = dcase_sweep.run(dcase_sweep.compose(["model=cnn5", "training.epochs=20"]))
prediction = dcase_sweep.load_run(result.folder).predict("clip.wav")
if isinstance(prediction, dcase_sweep.ScenePrediction):
    print(prediction.label)


def accuracy(y_score: np.ndarray, y_true: np.ndarray) -> float:
    return float((y_score.argmax(1) == y_true).mean())


def noise(x: Tensor, y: Tensor, generator: np.random.Generator, *, std: float = 0.1) -> tuple[Tensor, Tensor]:
    return x + std, y


metric: Metric = accuracy
augmentation: Augmentation = noise


def front_ends(*made: Envelope | AmplitudeMel | PCEN | TorchAudioMFCC) -> tuple[FrontEnd, ...]:
    return made


def of_tasks(data: TagData | EventData, learner: TaggingLearner | SceneLearner) -> tuple[TaskData, Learner]:
    return data, learner


def others(logger: CSVLogger, predictor: ClipPredictor) -> tuple[Logger, Predictor]:
    return logger, predictor
"""


def test_code_of_users_has_the_types_of_the_package(tmp_path: Path) -> None:
    for page in (*PAGES, *HOW_TO):
        Page(ROOT / f"docs/{page}.md").write_files(tmp_path)
    (tmp_path / "use_from_python.py").write_text(PYTHON)
    (tmp_path / "tagging.py").write_text((ROOT / "tests/projects/tagging/tagging.py").read_text())
    for name in ("my_project", "tests"):
        shutil.copytree(ROOT / "dcase_sweep/cli/project" / name, tmp_path / name)

    check = ["--strict", "--follow-imports=silent", "--disable-error-code=import-untyped", f"--cache-dir={tmp_path}"]
    files = sorted(str(path) for path in tmp_path.rglob("*.py"))
    found = subprocess.run(
        [sys.executable, "-m", "mypy", *check, *files],
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert found.returncode == 0, found.stdout + found.stderr
