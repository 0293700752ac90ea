"""A training whose next epoch would not end before the time limit."""

import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dcase_sweep import runner
from dcase_sweep.config import Experiment
from dcase_sweep.runner.epoch_time import EpochTime
from dcase_sweep.utils import time_limit
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.signals import interruptible
from dcase_sweep.utils.time_limit import OutOfTime, TimeLimit
from tests.test_runner import experiment, job, runs

__all__ = ["experiment"]

Compose = Callable[..., Experiment]


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in which nothing has run."""
    monkeypatch.setattr(time_limit, "_process", time_limit._Process())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were asked for. The third question is answered with no."""
    questions: list[float] = []

    def holds(self: TimeLimit, seconds: float) -> bool:
        questions.append(seconds)
        return len(questions) != 3

    monkeypatch.setattr(TimeLimit, "holds", holds)
    monkeypatch.setattr(TimeLimit, "seconds_left", 1.0)
    return questions


def test_a_training_ends_as_interrupted_before_an_epoch_that_does_not_fit(
    experiment: Compose, tmp_path: Path, asked: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dcase_sweep")
    settings = experiment("training.epochs=4", "tracking.last_checkpoint=true")

    ended = runner.run(settings, job(tmp_path / "job"))

    assert ended.status == "interrupted"
    assert ended.error is not None
    assert ended.error.startswith("time limit: 1.0 s left, an epoch takes ")
    assert "interrupted; to continue: " in caplog.text
    (run,) = runs(settings)
    assert run.info.status == "KILLED"
    logged = Path(run.info.artifact_uri.removeprefix("file://"), "checkpoints/last.ckpt")
    assert logged.read_bytes() == (tmp_path / "job/checkpoints/last.ckpt").read_bytes(), "for other machines"
    first, second, third = asked
    assert first == 0.0
    assert third == max(second, third) > 0

    again = runner.run(settings, job(tmp_path / "job"))

    assert again.status == "finished"
    assert again.run_id == run.info.run_id
    assert "continued  from epoch 2 of job" in caplog.text
    assert asked[3] > asked[1], "what the first run took to its first epoch, with its preparation"
    assert len(asked) == 3 + 1 + 1 + 1, "the speed of the interrupted epochs is known at once"


def test_a_run_is_not_begun_without_the_time_for_its_first_epoch(
    experiment: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_limit.remember_start(3600.0)
    settings = experiment("hardware.time_limit=0:30:00")
    monkeypatch.setattr(time_limit, "_get_start", time.time)

    ended = runner.run(settings, job(tmp_path / "job"))

    assert ended.status == "interrupted"
    assert ended.error is not None
    assert ended.error.endswith(" left, a run up to its first epoch takes 1:00:00")
    assert runs(settings) == []


def test_the_longest_of_the_last_epochs_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 9.0, 11.0, 15.0, 18.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    monkeypatch.setattr(TimeLimit, "seconds_left", 3.5)
    times = EpochTime(TimeLimit(0.0), clips=6, began=-1.0)
    times.begin_epoch()

    speeds = [times.end_epoch() for _ in range(4)]

    assert speeds == [6 / 9, 3.0, 1.5, 2.0]
    assert time_limit.seconds_to_first_epoch() == 10.0
    with pytest.raises(OutOfTime, match=r"an epoch takes 4\.0 s"):
        times.begin_epoch()


@pytest.mark.parametrize("value", ["soon", "0", "-1", "[1]"])
def test_a_limit_that_is_none_is_refused(experiment: Compose, value: str) -> None:
    with pytest.raises(UserError, match=r"hardware\.time_limit=.*: expected seconds, or .*, or null"):
        experiment(f"hardware.time_limit={value}")


def test_submitit_requeues_a_job_that_ends_before_its_time_limit(
    experiment: Compose, tmp_path: Path, asked: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its handler does so, which the batch system's warning would call later."""
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    called: list[Any] = []
    before = signal.signal(signal.SIGUSR2, lambda *_: called.append("requeued"))
    try:
        with interruptible():
            ended = runner.run(experiment("training.epochs=4"), job(tmp_path / "job"))
            assert not called, "the run is closed first"
    finally:
        signal.signal(signal.SIGUSR2, before)

    assert ended.status == "interrupted"
    assert called == ["requeued"]
