"""A task from outside the package, in a project with one Python file and one configuration file."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import DRAWN, UNDRAWN, CommandLine
from tests.integration.test_experiment import client, run_folder

PROJECT = Path(__file__).parents[1] / "projects" / "tagging"
SMALL = ("model.blocks.2.pool=[4,5]", "hardware.threads=1", UNDRAWN)


@pytest.fixture(scope="module")
def tagging(command_line: CommandLine) -> Callable[..., str]:
    """Runs the command in the folder of the project."""
    shutil.copytree(PROJECT, command_line.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))

    def run(*arguments: str, code: int = 0) -> str:
        return command_line("--config-dir", "conf", "task=tagging", *SMALL, *arguments, code=code)

    return run


def test_the_project_is_one_python_file_and_one_configuration_file() -> None:
    files = {path.name for path in PROJECT.rglob("*") if path.is_file() and "__pycache__" not in path.parts}

    assert files == {"tagging.py", "tagging.yaml"}


def test_it_is_trained_evaluated_and_logged_by_its_own_metric(
    tagging: Callable[..., str], command_line: CommandLine
) -> None:
    output = tagging("training.epochs=8", "metrics=macro_f1", DRAWN)

    assert "task tagging, baseline_cnn on demo" in output
    table = output[output.index("map: ") :].splitlines()
    assert [line.partition(":")[0] for line in table[:5]] == ["map", "macro_f1", "high", "low", "middle"]
    store, experiment = client(command_line.folder)
    (run,) = store.search_runs([experiment])  # type: ignore[attr-defined]
    assert run.info.status == "FINISHED"
    assert f"map: {run.data.metrics['test/map']:.4f}" == table[0]
    assert run.data.metrics["test/map"] > 0.8  # three tones are easily told apart
    assert 0 < run.data.metrics["best/validation/map"] <= 1
    assert {"test/macro_f1", "validation/macro_f1"} <= run.data.metrics.keys()
    assert run.data.params["task.learner"] == "tagging.TaggingLearner"
    assert (run.data.params["metrics"], run.data.tags["dcase_sweep.metrics"]) == ("macro_f1", "macro_f1")
    _predict_its_tags(command_line, run_folder(output, command_line.folder))


def _predict_its_tags(command_line: CommandLine, trained: Path) -> None:
    """The trained network names the tones of recordings of any length, alone and as the MLflow model of the run."""
    (tones,) = (command_line.folder / "cache").rglob("tones")
    samples, rate = soundfile.read(tones / "59.wav")
    soundfile.write(command_line.folder / "long.wav", np.tile(samples, 4), rate)
    words = ("predict", str(trained), "--config-dir", "conf")

    short, long = (command_line(*words, name).splitlines() for name in (str(tones / "59.wav"), "long.wav"))

    assert short[0] == long[0] == "filename,event_labels,high,low,middle"
    assert next(csv.reader(short[1:]))[1] == next(csv.reader(long[1:]))[1]
    assert (trained / "checkpoints/best.ckpt").is_file()
    assert [path.name for path in command_line.folder.glob("mlruns/**/artifacts/model/code/*")] == ["tagging.py"]
    refused = command_line("predict", str(trained), "long.wav", code=1)
    assert "a file is not trusted to name code" in refused


def test_a_sweep_compares_it_by_the_columns_of_the_task(tagging: Callable[..., str]) -> None:
    lines = tagging("-m", "seed=0,1", "training.epochs=1").splitlines()

    header = next(line for line in lines if "mAP" in line)
    assert header.split()[:5] == ["seeds", "mAP", "validation", "mAP", "parameters"]


def test_it_is_the_objective_of_a_search(tagging: Callable[..., str]) -> None:
    output = tagging(
        "-m",
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=2",
        "training.epochs=1",
        "model.units=choice(8,16)",
        "task.objective=test/map",
    )

    assert "2 finished" in output
    assert "test/map" in output


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("task.threshold=2", "task.threshold=2.0: expected a number between 0 and 1"),
        ("task.treshold=0.5", "task.treshold: no such key; did you mean task.threshold?"),
        ("data=tau2020", "data TAU is for scenes, but task=tagging is for tags"),
        ("framework=tensorflow", "framework=tensorflow has no learner for task=tagging; expected one of torch"),
        ("compression.quantize=true", "compression"),
        ("task.monitor=validation/mpa", "task.monitor=validation/mpa: no such metric of an epoch; did you mean"),
    ],
)
def test_mistakes_are_one_line(tagging: Callable[..., str], override: str, says: str) -> None:
    assert says in tagging("training.epochs=1", override, code=1)
