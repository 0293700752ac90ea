"""The grid sweeper: the results of interrupted and failed sweeps."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from dcase_sweep import tracking
from dcase_sweep.application.sweepers import GridSweeper, SweepFailed
from dcase_sweep.config import Tracking
from dcase_sweep.runner import Result
from dcase_sweep.sweep import grid
from dcase_sweep.tasks.scene_classification import SceneClassification
from dcase_sweep.utils import leases
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.signals import Interrupted


def ended(accuracy: float) -> JobReturn:
    result = JobReturn()
    result.status = JobStatus.COMPLETED
    result.return_value = Result(
        "finished",
        "job",
        ".",
        metrics={"test/accuracy": accuracy},
        note="synthetic",
        columns=SceneClassification.columns,
    )
    return result


def ended_in_time() -> JobReturn:
    """A job that ended before its time limit."""
    result = JobReturn()
    result.status = JobStatus.COMPLETED
    result.return_value = Result("interrupted", "job", ".", error="time limit: 2.0 s left, an epoch takes 3.0 s")
    return result


def stopped_by_its_batch_system() -> JobReturn:
    """A job that submitit has not requeued."""
    result = JobReturn()
    result.overrides = ["seed=0"]
    result.status = JobStatus.FAILED
    result.return_value = type("UncompletedJobError", (RuntimeError,), {})("timed-out too many times")
    return result


def swept(
    monkeypatch: pytest.MonkeyPatch, folder: Path, launcher: object, *, error: type[BaseException]
) -> tuple[Any, list[list[str]]]:
    """The parent run of a sweep over two seeds by this launcher, and the overrides that the jobs were given."""
    monkeypatch.chdir(folder)
    settings = Tracking(folder=str(folder / "mlruns"))
    monkeypatch.setattr(GridSweeper, "_checked", lambda self, composer, overrides, is_first: None)
    monkeypatch.setattr(GridSweeper, "_jobs", lambda self, arguments: [["seed=0"], ["seed=1"]])
    sweeper = GridSweeper()
    logger = {"mlflow": {"_target_": "dcase_sweep.tracking.start_run"}}
    sweeper._application._base = SimpleNamespace(tracking=settings, logger=logger)  # type: ignore[attr-defined]
    sweeper._config = OmegaConf.create({"hydra": {"sweep": {"dir": str(folder / "multirun")}}})
    sweeper._context = None  # type: ignore[assignment]
    sweeper._launcher = launcher  # type: ignore[assignment]
    with pytest.raises(error) as caught:
        sweeper.sweep([])
    launcher.raised = caught.value  # type: ignore[attr-defined]
    store = tracking.open_store(settings)
    (parent,) = store.client.search_runs([store.experiment_id])
    return parent, launcher.given  # type: ignore[attr-defined]


class Serial:
    """Finishes the first job and is interrupted in the second."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.raised: BaseException | None = None
        self.given: list[list[str]] = []

    def launch(self, job_overrides: Any, initial_job_idx: int) -> list[JobReturn]:
        self.given += job_overrides
        if len(self.given) == 2:
            raise self.error
        return [ended(0.5)]


@pytest.mark.usefixtures("mlruns")
@pytest.mark.parametrize("error", [Interrupted(2), SystemExit(1)], ids=["signal", "exit"])
def test_an_interrupted_sweep_compares_what_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    parent, given = swept(monkeypatch, tmp_path, Serial(error), error=type(error))

    lines = (tmp_path / "multirun/comparison.txt").read_text().splitlines()
    assert lines[0] == "synthetic"
    assert lines[-1].split()[:2] == ["2", "50.0"]
    assert lines[-1].endswith("1 of 2")
    assert parent.info.status == "KILLED"
    assert "synthetic" in parent.data.tags["mlflow.note.content"]
    assert given[0][1:] == [f"++tracking.parent={parent.info.run_id}", "++tracking.varying=['seed']"]


@pytest.mark.usefixtures("mlruns")
def test_a_launcher_that_breaks_leaves_a_failed_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent, _ = swept(monkeypatch, tmp_path, Serial(RuntimeError("no more processes")), error=RuntimeError)

    assert parent.info.status == "FAILED"
    assert (tmp_path / "multirun/comparison.csv").is_file()


class Ending:
    """Ends each job in the same way."""

    def __init__(self, how: Callable[[], JobReturn]) -> None:
        self.how = how
        self.raised: Any = None
        self.given: list[list[str]] = []

    def launch(self, job_overrides: Any, initial_job_idx: int) -> list[JobReturn]:
        self.given += job_overrides
        return [self.how() for _ in job_overrides]


@pytest.mark.usefixtures("mlruns")
@pytest.mark.parametrize("how", [ended_in_time, stopped_by_its_batch_system])
def test_a_job_that_ends_before_its_time_limit_ends_the_sweep_as_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, how: Callable[[], JobReturn]
) -> None:
    caplog.set_level("INFO", "dcase_sweep")
    launcher = Ending(how)

    parent, given = swept(monkeypatch, tmp_path, launcher, error=SweepFailed)

    assert len(given) == 1, "no job is begun that the time does not hold"
    assert parent.info.status == "KILLED"
    (failure,) = launcher.raised.failures
    assert failure.startswith("seed=0: ")
    assert failure.endswith(("an epoch takes 3.0 s", "UncompletedJobError: timed-out too many times"))
    assert "sweep     0 of 2 jobs finished" in caplog.text
    assert "continue  " in caplog.text


def test_a_long_check_reports_its_progress(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(grid, "_QUIET", -1.0)
    monkeypatch.setattr(GridSweeper, "_checked", lambda self, composer, overrides, is_first: (overrides, is_first))
    sweeper = GridSweeper()
    sweeper._context = sweeper._config = None  # type: ignore[assignment]

    with caplog.at_level("INFO"):
        jobs = sweeper._check_jobs([["seed=0"], ["seed=1"]])

    assert [job.content for job in jobs] == [(["seed=0"], True), (["seed=1"], False)]
    assert [each.message for each in caplog.records] == ["sweep     1 of 2 jobs checked, about 0.0 s left"]


def test_two_sweeps_that_begin_at_the_same_time_do_not_share_a_folder(tmp_path: Path) -> None:
    sweeper = GridSweeper()
    sweeper._config = OmegaConf.create({"hydra": {}})
    (tmp_path / "multirun.yaml").write_text("of: the other\n")
    leases.hold(tmp_path / "multirun.yaml")
    try:
        with pytest.raises(UserError, match=r"another sweep runs there; wait for its end"), sweeper._written(tmp_path):
            pass
    finally:
        leases.release(tmp_path / "multirun.yaml")
    assert (tmp_path / "multirun.yaml").read_text() == "of: the other\n"

    with sweeper._written(tmp_path):
        pass
    assert (tmp_path / "multirun.yaml").read_text() != "of: the other\n"


def test_a_sweep_that_begins_while_another_replaces_its_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeper = GridSweeper()
    sweeper._config = OmegaConf.create({"hydra": {}})
    refused: list[str] = []

    def write(path: Path, text: str) -> None:
        path.write_text(text)
        if not refused:
            with pytest.raises(UserError) as caught, sweeper._written(tmp_path):
                pass
            refused.append(str(caught.value))

    monkeypatch.setattr(grid, "write_text", write)

    with sweeper._written(tmp_path):
        pass

    assert refused == [f"hydra.sweep.dir={tmp_path}: another sweep runs there; wait for its end"]
