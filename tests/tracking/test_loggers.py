"""Loggers other than MLflow."""

import csv
from pathlib import Path
from typing import Any

import pytest

from dcase_sweep.tracking import MultiLoggerRun, UntrackedRun, build_loggers, check_loggers
from dcase_sweep.utils.errors import UserError
from tests.conftest import DRAWN, CommandLine

CSV = {"_target_": "pytorch_lightning.loggers.CSVLogger", "_partial_": True, "name": "csv", "version": ""}


class Recorder:
    """A logger of the user's own."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.calls: list[tuple[Any, ...]] = []

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        self.calls.append(("parameters", params))

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.calls.append(("metrics", metrics, step))

    def finalize(self, status: str) -> None:
        self.calls.append(("end", status))


class Broken(Recorder):
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        raise ConnectionError("no route to host")


def test_a_logger_that_needs_a_folder_gets_that_of_the_run(tmp_path: Path) -> None:
    entries = {"plain": {"_target_": CSV["_target_"]}, "own": {"_target_": CSV["_target_"], "save_dir": "elsewhere"}}

    made: dict[str, Any] = build_loggers(entries, tmp_path)

    assert (made["plain"].save_dir, made["own"].save_dir) == (str(tmp_path), "elsewhere")


def test_parameters_and_metrics_go_to_each_logger(tmp_path: Path) -> None:
    own = Recorder()
    run = MultiLoggerRun(UntrackedRun("a run", tmp_path), {"own": own})
    run.log_parameters({"seed": 1, "tracking.uri": "postgresql://me:secret@host/db"})
    run.log_metrics({"train/loss": 0.5}, step=3)
    run.log_metrics({"test/accuracy": 0.7})
    run.end("FINISHED")
    assert own.calls == [
        ("parameters", {"seed": 1, "tracking.uri": "postgresql://me:***@host/db"}),
        ("metrics", {"train/loss": 0.5}, 3),
        ("metrics", {"test/accuracy": 0.7}, 3),
        ("end", "success"),
    ]
    assert run.logged_metrics() == {"train/loss": 0.5, "test/accuracy": 0.7}


def test_a_logger_that_fails_is_reported_once_and_costs_the_run_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = Recorder()
    run = MultiLoggerRun(UntrackedRun("a run", tmp_path), {"broken": Broken(), "own": own})
    run.log_metrics({"loss": 1.0}, step=0)
    run.log_metrics({"loss": 0.5}, step=1)
    assert [record.message for record in caplog.records] == [
        "logger    broken is no longer used: ConnectionError: no route to host"
    ]
    assert [call[2] for call in own.calls] == [0, 1]


def test_lightnings_loggers_write_into_the_folder_of_the_run(tmp_path: Path) -> None:
    entries = {
        "csv": CSV,
        "tensorboard": {
            "_target_": "pytorch_lightning.loggers.TensorBoardLogger",
            "_partial_": True,
            "name": "tensorboard",
            "version": "",
        },
        "own": {"_target_": "tests.tracking.test_loggers.Recorder", "prefix": "a"},
    }
    check_loggers(entries)
    loggers = build_loggers(entries, tmp_path)
    run = MultiLoggerRun(UntrackedRun("a run", tmp_path), loggers)
    run.log_parameters({"seed": 1})
    for epoch, loss in enumerate((0.5, 0.25)):
        run.log_metrics({"train/loss": loss}, step=epoch)
    run.end("FINISHED")
    rows = list(csv.DictReader((tmp_path / "csv/metrics.csv").open()))
    assert [(row["step"], row["train/loss"]) for row in rows] == [("0", "0.5"), ("1", "0.25")]
    assert list((tmp_path / "tensorboard").glob("events.*"))
    assert loggers["own"].prefix == "a"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"_target_": "nowhere.Logger"}, "logger.mine._target_=nowhere.Logger: No module named 'nowhere'; expected"),
        (
            {"_target_": "collections.OrderedDict"},
            "logger.mine._target_=collections.OrderedDict: has no log_hyperparams; expected a logger",
        ),
        ({"name": "csv"}, "logger.mine={'name': 'csv'}: expected a _target_"),
    ],
)
def test_something_other_than_a_logger_is_rejected_in_one_line(entry: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as caught:
        check_loggers({"mine": entry})
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_arguments_that_a_logger_does_not_take_are_rejected_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^logger\.csv: TypeError: .*folder"):
        build_loggers({"csv": {**CSV, "folder": "here"}}, tmp_path)


def test_a_run_without_mlflow_leaves_its_results_in_its_folder(tmp_path: Path, warm: Any, tiny: Any) -> None:
    output = CommandLine(tmp_path, warm)(*tiny("logger=csv", DRAWN))
    folder = next(tmp_path.glob("outputs/*/*"))
    assert not (tmp_path / "mlruns").exists()
    assert "mlflow ui" not in output
    rows = list(csv.DictReader((folder / "csv/metrics.csv").open()))
    assert rows[-1]["test/accuracy"]
    assert {"scenes.json", "complexity.txt", "config.yaml", "confusion.png"} <= {path.name for path in folder.iterdir()}


def test_sweeps_without_mlflow_compare_their_jobs_all_the_same(tmp_path: Path, warm: Any, tiny: Any) -> None:
    line = CommandLine(tmp_path, warm)
    output = line("-m", *tiny("logger=csv", "seed=0,1"))
    assert "2 of 2 jobs finished" in output
    search = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "model.dropout=interval(0.1,0.3)")
    output = line("-m", *tiny("logger=csv", *search))
    assert "best" in output
    assert not list(tmp_path.glob("mlruns/*.db"))
    assert len(list(tmp_path.glob("multirun/**/csv/metrics.csv"))) == 4


def test_finished_runs_are_looked_for_in_mlflow_alone(tmp_path: Path, warm: Any, tiny: Any) -> None:
    words = tiny("logger=csv", "seed=0,1", "hydra.sweeper.skip_finished=true")
    output = CommandLine(tmp_path, warm)("-m", *words, code=1)
    assert "error: hydra.sweeper.skip_finished=true: finished runs are only found in MLflow" in output
