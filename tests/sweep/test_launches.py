"""Jobs that Hydra's launchers for submitit and joblib run, each by itself, and those of them that are killed."""

import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from dcase_sweep.sweep.application import Application
from dcase_sweep.sweep.grid_report import read_outcome
from dcase_sweep.sweep.job import GridJob
from dcase_sweep.sweep.job_folders import JobFolders
from dcase_sweep.sweep.job_processes import LaunchInProcess, ProcessLaunches
from dcase_sweep.sweep.launches import BatchLaunches, Launches, describe_end
from dcase_sweep.sweep.lost_jobs import LostJobs, run_each

PROJECT = Path(__file__).resolve().parents[1] / "projects" / "resumable"


def make_task() -> Callable[[DictConfig], float]:
    """A task that ends as its ``step`` says. It is pickled by value: the processes need not find this module."""

    def end(config: DictConfig) -> float:
        marker = Path(f"killed-{config.step}")
        is_first = not marker.exists()
        if config.step == 2 or (config.step == 1 and is_first):
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if config.step == 3:
            raise ValueError("no such thing\nat all")
        return float(config.step)

    return end


class Sweep:
    """A sweep over the values of ``step`` with a launcher."""

    def __init__(self, folder: Path, launcher: str, *steps: float) -> None:
        loader = ConfigLoaderImpl(create_config_search_path(str(PROJECT / "conf")))
        words = [f"hydra/launcher={launcher}", f"hydra.sweep.dir={folder}", "hydra.job.name=test"]
        self.config = loader.load_configuration("config", [*words, "hydra.job.chdir=false"], RunMode.MULTIRUN)
        callbacks: Any = SimpleNamespace(on_job_start=lambda **_: None, on_job_end=lambda **_: None)
        self.context = HydraContext(loader, callbacks)
        self.task = make_task()
        self.jobs = [GridJob([f"step={step}"]) for step in steps]

    def run(self, launches: Launches, limit: int = 2) -> dict[int, Any]:
        """Run the jobs and return the value or the error of each."""
        results: dict[int, Any] = {}
        words = [job.overrides for job in self.jobs]
        lost = LostJobs(Application(), self.jobs, words, JobFolders(self.context, self.config, words).locate)
        run_each(launches, limit, lost, lambda number, result: results.update({number: result}))
        outcomes = {number: read_outcome(Application(), result) for number, result in results.items()}
        return {number: each.error or each.metrics["value"] for number, each in sorted(outcomes.items())}


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "dcase_sweep")


def test_a_process_of_joblib_that_is_killed_costs_its_job_an_attempt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    sweep = Sweep(tmp_path, "joblib", 0.5, 1, 3, 2)
    launches = ProcessLaunches(LaunchInProcess(Application(), sweep.context, sweep.task, sweep.config))

    found = sweep.run(launches)

    lost = "killed by SIGKILL (out of memory?)"
    assert found == {
        0: 0.5,
        1: 1.0,
        2: "ValueError: no such thing at all",
        3: f"{lost}, 3 times in a row without a new step",
    }
    assert f"job       1 is run again: {lost}" in caplog.messages
    assert launches.running == 0


def test_processes_run_one_job_after_the_other_and_end_with_the_sweep(tmp_path: Path) -> None:
    def tell_process(config: DictConfig) -> float:
        return float(os.getpid())

    sweep = Sweep(tmp_path, "joblib", 0.1, 0.2, 0.3)
    launches = ProcessLaunches(LaunchInProcess(Application(), sweep.context, tell_process, sweep.config))

    found = sweep.run(launches, limit=1)

    assert len(set(found.values())) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int(found[0]), 0)


def test_a_job_of_submitit_that_is_killed_is_submitted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    from submitit.core.core import Job

    monkeypatch.setattr(Job, "_results_timeout_s", 0)  # it waits 15 s for a slow disk
    sweep = Sweep(tmp_path, "submitit_local", 0.5, 1)
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=sweep.context, task_function=sweep.task, config=sweep.config
    )

    found = sweep.run(BatchLaunches(lambda words, number: launcher.launch([words], initial_job_idx=number)[0]))

    assert found == {0: 0.5, 1: 1.0}
    (line,) = caplog.messages
    assert line.startswith("job       1 is run again: its job ")
    assert line.endswith(" has ended without a result (state FINISHED)")


UNCOMPLETED = "Job 12 (task: 0) with path /a/12_result.pkl\nhas not produced any output (state: {})\nTraceback"
FAILED = "Job (task=0) failed during processing with trace:\n-----------\nTraceback\n  x\n{}\n\n-----------\nYou can"


@pytest.mark.parametrize(
    ("text", "seconds", "how", "why"),
    [
        (UNCOMPLETED.format("NODE_FAIL"), 99, "its job 12 has ended without a result (state NODE_FAIL)", "lost"),
        (UNCOMPLETED.format("OUT_OF_MEMORY"), 1, "its job 12 has ended without a result (state OUT_OF_MEMORY)", "lost"),
        (UNCOMPLETED.format("TIMEOUT"), 99, "its job 12 has ended without a result (state TIMEOUT)", "interrupted"),
        (FAILED.format("ValueError: no disk"), 99, "ValueError: no disk", "failed"),
        (
            FAILED.format("submitit.core.utils.UncompletedJobError: timed-out too many times."),
            99,
            "submitit.core.utils.UncompletedJobError: timed-out too many times.",
            "interrupted",
        ),
        ("sbatch: error:\nQueue full", 1, "OSError: sbatch: error: Queue full", "refused"),
        ("sacct: error", 99, "OSError: sacct: error", "failed"),
    ],
)
def test_what_submitit_reports_becomes_one_line(text: str, seconds: float, how: str, why: str) -> None:
    ended = describe_end(7, OSError(text), seconds=seconds)

    assert ended.number == 7
    if ended.result is None:
        assert (ended.how, ended.why) == (how, why)
    else:
        outcome = read_outcome(Application(), ended.result)
        assert (outcome.error, outcome.status) == (how, why)


def test_jobs_of_a_batch_system_are_left_to_it(caplog: pytest.LogCaptureFixture) -> None:
    launches = BatchLaunches(lambda words, number: time.sleep(60))  # type: ignore[arg-type, return-value]
    launches.start(0, [])

    launches.stop()

    (line,) = caplog.messages
    assert line.startswith("sweep     1 job left to the launcher; ")
