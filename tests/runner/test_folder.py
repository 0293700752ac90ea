"""A run that begins in a folder where another one was: interrupted, finished, of another configuration, running."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from dcase_sweep import runner
from dcase_sweep.config import Experiment
from dcase_sweep.result import Result
from dcase_sweep.tracking import provenance
from dcase_sweep.training.device import resolve_precision
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.leases import claim_folder
from dcase_sweep.utils.signals import Interrupted, interruptible
from tests.composing import composed
from tests.desed_layout import make_desed
from tests.integration.test_mean_teacher import SMALL as TEACHER
from tests.runner.interruptions import stopping
from tests.test_runner import experiment, job, runs

__all__ = ["experiment"]

Compose = Callable[..., Experiment]
EPOCHS = "training.epochs=4"


@pytest.fixture(autouse=True)
def _interruptions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a configuration find the callback that ends a training."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """What was printed since the last call."""

    def take() -> str:
        text = "\n".join(caplog.messages)
        caplog.clear()
        return text

    caplog.set_level(logging.INFO, "dcase_sweep")
    return take


@pytest.fixture
def run(experiment: Compose, tmp_path: Path) -> Callable[..., Result]:
    """Runs the same configuration in a folder, and more overrides."""
    same = (EPOCHS, stopping(tmp_path / "stop"))
    return lambda folder, *more: runner.run(experiment(*same, *more), job(tmp_path / folder))


@pytest.fixture
def interrupted(run: Callable[..., Result], tmp_path: Path) -> Path:
    """The folder of a run that ended in its third epoch."""
    (tmp_path / "stop").write_text("2 SystemExit")
    with pytest.raises(SystemExit) as caught:
        run("job")
    assert caught.value.code == 1, "what has not finished is no success"
    return tmp_path / "job"


def requeue(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("SLURM_JOB_ID", "77")
    patch.setenv("SLURM_RESTART_COUNT", "1")


def test_an_interrupted_run_continues_in_its_folder_and_equals_an_uninterrupted_one(
    run: Callable[..., Result], experiment: Compose, interrupted: Path, tmp_path: Path, lines: Callable[[], str]
) -> None:
    (killed,) = runs(experiment())
    assert killed.info.status == "KILLED"

    again = run("job")

    assert "continued  from epoch 2 of job" in lines()
    whole = run("whole")
    assert again.metrics["test/log_loss"] == whole.metrics["test/log_loss"]
    assert (interrupted / "scores.csv").read_text() == (tmp_path / "whole/scores.csv").read_text()
    assert again.run_id == killed.info.run_id, "the interrupted run is continued in MLflow, too"


def test_further_epochs_in_another_precision_are_reported(
    run: Callable[..., Result], experiment: Compose, interrupted: Path, lines: Callable[[], str]
) -> None:
    """``hardware.precision=auto`` is resolved on each machine."""
    first = resolve_precision(experiment().hardware)
    other = "bf16-mixed" if first == "32-true" else "32-true"
    lines()

    run("same", f"resume={interrupted}")
    assert "were trained in" not in lines()

    run("other", f"resume={interrupted}", f"hardware.precision={other}")
    assert f"the first 2 epochs were trained in {first}, the others will be in {other}" in lines()


def test_a_signal_ends_a_run_as_interrupted_with_its_last_epoch(
    run: Callable[..., Result], experiment: Compose, tmp_path: Path, lines: Callable[[], str]
) -> None:
    (tmp_path / "stop").write_text("1 SIGUSR2")

    with pytest.raises(Interrupted), interruptible():
        run("job")

    assert runs(experiment())[0].info.status == "KILLED"
    assert "interrupted; to continue: " in lines()
    run("job")
    assert "continued  from epoch 1 of job" in lines()


def test_a_finished_run_is_run_again_unless_its_job_was_requeued(
    run: Callable[..., Result],
    experiment: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: Callable[[], str],
) -> None:
    first = run("job")

    with monkeypatch.context() as patch:
        requeue(patch)
        known = run("job")

    assert "has finished before this job was requeued; it is not run again" in lines()
    assert (known.status, known.metrics, known.run_id) == ("finished", first.metrics, first.run_id)
    assert [column.title for column in known.columns] == [column.title for column in first.columns]

    again = run("job")

    assert "job has checkpoints of a finished run; they are kept in checkpoints.1, a new run begins" in lines()
    assert again.run_id != first.run_id
    assert (tmp_path / "job/checkpoints.1/last.ckpt").is_file()
    assert len(runs(experiment())) == 2


@pytest.mark.parametrize("is_requeued", [False, True])
def test_checkpoints_of_another_configuration_are_kept(
    run: Callable[..., Result],
    interrupted: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: Callable[[], str],
    is_requeued: bool,
) -> None:
    before = (interrupted / "checkpoints/last.ckpt").read_bytes()
    if is_requeued:
        requeue(monkeypatch)

    run("job", "optimizer.lr=0.01")

    assert (
        "job has checkpoints of another configuration: optimizer.lr was 0.001, is 0.01; they are kept in checkpoints.1"
    ) in lines()
    assert (interrupted / "checkpoints.1/last.ckpt").read_bytes() == before
    assert (interrupted / "checkpoints/result.json").is_file()


def test_other_code_begins_again_but_not_in_a_requeued_job(
    run: Callable[..., Result], interrupted: Path, monkeypatch: pytest.MonkeyPatch, lines: Callable[[], str]
) -> None:
    monkeypatch.setattr(provenance, "code_fingerprint", lambda: "edited")
    with monkeypatch.context() as patch:
        patch.setattr(runner.execution, "train", _reach)
        with pytest.raises(UserError, match="reached"):
            run("job")
        assert "job has checkpoints of other code or other data; they are kept in checkpoints.1" in lines()
        (interrupted / "checkpoints.1").rename(interrupted / "checkpoints")
        requeue(patch)
        with pytest.raises(UserError, match="reached"):
            run("job")
    assert "continued  from epoch 2 of job" in lines()


def _reach(*_: object, **__: object) -> None:
    raise UserError("reached")


def test_a_damaged_checkpoint_is_kept_with_its_reason(
    run: Callable[..., Result], interrupted: Path, monkeypatch: pytest.MonkeyPatch, lines: Callable[[], str]
) -> None:
    (interrupted / "checkpoints/last.ckpt").write_bytes(b"PK")
    monkeypatch.setattr(runner.execution, "train", _reach)

    with pytest.raises(UserError, match="reached"):
        run("job")

    assert "job has checkpoints which cannot be continued: " in lines()
    assert (interrupted / "checkpoints.1/last.ckpt").read_bytes() == b"PK"


def test_a_folder_in_which_another_process_runs_is_refused(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()

    with (
        claim_folder(tmp_path / "job"),
        pytest.raises(UserError, match=r"/job: another process runs in this"),
    ):
        run("job")


def test_a_mean_teacher_that_is_ended_continues(
    tmp_path: Path, mlruns: Path, monkeypatch: pytest.MonkeyPatch, lines: Callable[[], str]
) -> None:
    monkeypatch.chdir(tmp_path)
    places = [f"data.root={make_desed(tmp_path / 'desed')}", f"store.root={tmp_path}", f"tracking.folder={mlruns}"]
    settings = composed("data=desed", "training.epochs=3", *places, *TEACHER, stopping(tmp_path / "stop"))
    (tmp_path / "stop").write_text("1 SystemExit")
    teacher = runner.Job(tmp_path / "job", {"model": "crnn_meanteacher", "data": "desed"})
    teacher.folder.mkdir()
    assert settings.task.name == "4"

    with pytest.raises(SystemExit):
        runner.run(settings, teacher)

    assert runs(settings)[0].info.status == "KILLED"
    assert "interrupted; to continue: " in lines()
    monkeypatch.setattr(runner.execution, "train", _reach)
    with pytest.raises(UserError, match="reached"):
        runner.run(settings, teacher)
    assert "continued  from epoch 1 of job" in lines()
