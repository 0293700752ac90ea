"""Jobs of a grid that are lost: they are run again, cost no other job, and fail if that does not help."""

import logging
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus

from dcase_sweep.sweep import lost_jobs
from dcase_sweep.sweep.application import Application
from dcase_sweep.sweep.grid_report import read_outcome
from dcase_sweep.sweep.job import GridJob
from dcase_sweep.sweep.launchers import JobLost
from dcase_sweep.sweep.launches import Ended, make_return
from dcase_sweep.sweep.lost_jobs import LostJobs, run_each, run_together
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.leases import claim_folder


class Steps(Application):
    """Stores the steps of a job as files of its folder, and its result as another one."""

    def find_progress(self, folder: Path) -> int:
        return len(list(folder.glob("step-*")))

    def find_result(self, job: Any, folder: Path) -> float | None:
        return 0.5 if (folder / "result").exists() else None


def returned(value: float) -> JobReturn:
    result = JobReturn(status=JobStatus.COMPLETED)
    result.return_value = value
    return result


class Scripted:
    """Jobs that end as a script says: ``lost``, ``step`` (lost after one more step), ``refused`` or ``done``."""

    def __init__(self, folder: Path, *scripts: str) -> None:
        self.folder = folder
        self.scripts = [deque(script.split()) for script in scripts]
        self.started: list[int] = []
        self.most = 0
        self.has_stopped = False
        self._running: list[int] = []

    @property
    def running(self) -> int:
        return len(self._running)

    def start(self, number: int, overrides: Sequence[str]) -> None:
        assert overrides == [f"seed={number}"]
        self.started.append(number)
        self._running.append(number)
        self.most = max(self.most, self.running)

    def collect(self) -> list[Ended]:
        ended = [self._end(number) for number in self._running]
        self._running.clear()
        return ended

    def _end(self, number: int) -> Ended:
        how = self.scripts[number].popleft()
        if how == "done":
            return Ended(number, returned(number))
        if how == "step":
            steps = self.folder / str(number)
            steps.mkdir(exist_ok=True)
            (steps / f"step-{len(self.started)}").touch()
        if how == "refused":
            return Ended(number, how="sbatch: error: Socket timed out", why="refused")
        return Ended(number, how="killed by SIGKILL")

    def stop(self) -> None:
        self.has_stopped = True


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(lost_jobs, "_BEAT", 0.0)
    caplog.set_level(logging.INFO, "dcase_sweep")


def lost_of(folder: Path, count: int) -> LostJobs:
    words = [[f"seed={number}"] for number in range(count)]
    return LostJobs(Steps(), [GridJob(each) for each in words], words, lambda number: folder / str(number))


def run(launches: Scripted, limit: int = 8) -> dict[int, Any]:
    """Run the jobs and return the value or the error of each."""
    results: dict[int, Any] = {}
    lost = lost_of(launches.folder, len(launches.scripts))
    run_each(launches, limit, lost, lambda number, result: results.update({number: result}))
    outcomes = {number: read_outcome(Application(), result) for number, result in results.items()}
    return {number: each.error or each.metrics["value"] for number, each in sorted(outcomes.items())}


def test_a_lost_job_is_run_again_and_the_others_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    launches = Scripted(tmp_path, "done", "lost done", "done")

    assert run(launches) == {0: 0, 1: 1, 2: 2}
    assert launches.started == [0, 1, 2, 1]
    assert caplog.messages == ["job       1 is run again: killed by SIGKILL"]
    assert launches.has_stopped


def test_a_job_that_is_lost_three_times_without_a_new_step_has_failed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    launches = Scripted(tmp_path, "lost lost lost", "step lost step lost lost")

    found = run(launches)

    reason = "killed by SIGKILL, 3 times in a row without a new step"
    assert found == {0: reason, 1: reason}
    assert [launches.started.count(number) for number in (0, 1)] == [3, 5]
    assert f"job       0 has failed: {reason}" in caplog.messages


def test_a_job_whose_process_was_lost_after_its_end_is_not_run_again(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0/result").touch()

    assert run(Scripted(tmp_path, "lost")) == {0: 0.5}


def test_at_most_so_many_jobs_run_at_a_time(tmp_path: Path) -> None:
    launches = Scripted(tmp_path, *["done"] * 5)

    assert run(launches, limit=2) == {number: number for number in range(5)}
    assert launches.most == 2


def test_a_process_that_a_lost_job_has_left_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller of submitit may be killed alone; two processes must not write to one folder."""
    (tmp_path / "0").mkdir()
    lost = lost_of(tmp_path, 1)
    assert not lost.is_still_running(0), "a job that was not lost is not looked at"
    assert lost.find_result(0, "killed") is None

    with claim_folder(tmp_path / "0"):
        assert lost.is_still_running(0)
    assert not lost.is_still_running(0)


def test_a_launcher_that_refuses_jobs_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lost_jobs._Refusals, "must_wait", lambda self: self.is_final)

    assert run(Scripted(tmp_path, "refused refused done")) == {0: 0}
    assert caplog.messages == [
        "sweep     the launcher refuses a job, and is asked again: sbatch: error: Socket timed out"
    ]


def test_a_launcher_that_refuses_all_jobs_ends_the_sweep_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_jobs._Refusals, "must_wait", lambda self: self.is_final)

    with pytest.raises(UserError, match="the launcher accepts no job: sbatch: error: Socket timed out"):
        run(Scripted(tmp_path, "refused " * 7))


def test_refusals_of_jobs_that_were_launched_together_count_once() -> None:
    refusals = lost_jobs._Refusals()
    for number in range(100):
        refusals.add(Ended(number, how="busy", why="refused"))

    assert refusals.must_wait()
    assert not refusals.is_final


class Together:
    """Gets all jobs in one call, and loses each with an odd number once."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[list[str]], int]] = []

    def launch(self, job_overrides: list[list[str]], initial_job_idx: int) -> list[JobReturn]:
        self.calls.append((job_overrides, initial_job_idx))
        is_first = len(self.calls) == 1
        return [
            make_return(JobLost("its node has died")) if is_first and number % 2 else returned(number)
            for number, _ in enumerate(job_overrides, initial_job_idx)
        ]


def test_a_launcher_that_takes_all_jobs_gets_the_lost_ones_once_more_for_their_folders(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    launcher: Any = Together()
    results: dict[int, JobReturn] = {}

    run_together(launcher, 4, lost_of(tmp_path, 4), results.__setitem__, lambda _: False)

    assert sorted(results) == [0, 1, 2, 3]
    (all_jobs, first), (again, _) = launcher.calls
    assert (all_jobs, first) == ([["seed=0"], ["seed=1"], ["seed=2"], ["seed=3"]], 0)
    assert again == [[f"seed={number}", f"hydra.sweep.subdir='{tmp_path}/{number}'"] for number in (1, 3)]
    assert caplog.messages == [f"job       {number} is run again: its node has died" for number in (1, 3)]


def test_no_batch_is_begun_when_the_time_is_over(tmp_path: Path) -> None:
    launcher: Any = Together()
    results: dict[int, JobReturn] = {}

    run_together(launcher, 1, lost_of(tmp_path, 3), results.__setitem__, lambda _: True)

    assert sorted(results) == [0]
