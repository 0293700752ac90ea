"""Workers of Hydra launchers: their deaths, those that an earlier command has left, and their number."""

import os
import signal
import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf
from optuna.trial import FrozenTrial, TrialState, create_trial

from dcase_sweep.sweep.launchers import limit_workers, without_processes
from dcase_sweep.sweep.optuna import launched
from dcase_sweep.sweep.optuna.attributes import ERROR, INTERRUPTED, LAUNCHED, OWNER
from dcase_sweep.sweep.optuna.attributes import GONE as GONE_TEXT
from dcase_sweep.sweep.optuna.launched import (
    LaunchedProcesses,
    LaunchedWorkers,
    count_left,
    describe_death,
    find_gone,
    make_label,
)
from dcase_sweep.utils.processes import this_process

HERE = this_process()
GONE = replace(HERE, start="1")
ELSEWHERE = replace(HERE, machine="another-boot:pid:[1]", host="login2")


def trial(label: str, owner: object = HERE, *, ended: float | None = None, **attributes: Any) -> FrozenTrial:
    """A running trial of a launched worker, or one that has ended so many seconds ago."""
    made = create_trial(
        state=TrialState.RUNNING if ended is None else TrialState.FAIL,
        user_attrs={LAUNCHED: label, OWNER: str(owner), **attributes},
    )
    if ended is not None:
        made.datetime_complete = datetime.now() - timedelta(seconds=ended)
    return made


def test_workers_whose_command_has_ended_or_cannot_be_seen_are_counted() -> None:
    left, hidden, watched = (make_label(1, str(command)) for command in (GONE, ELSEWHERE, HERE))

    assert count_left([trial(left), trial(hidden), trial(watched)], 300) == 2
    assert count_left([trial(left, ended=60), trial(left)], 300) == 1
    assert count_left([trial(left, owner=GONE)], 300) == 0, "its process has ended"
    assert count_left([trial("1 nobody")], 300) == 0


def test_a_worker_between_two_trials_still_runs() -> None:
    label = make_label(1, str(GONE))

    assert count_left([trial(label, ended=1)], 300) == 1
    assert count_left([trial(label, ended=60)], 300) == 0
    assert count_left([trial(label, ended=1, **{INTERRUPTED: True})], 300) == 0


def test_a_worker_runs_as_long_as_one_of_its_trials_does() -> None:
    """It may run several at a time, of which the newest one ends first."""
    label = make_label(1, str(GONE))

    assert count_left([trial(label), trial(label, ended=60)], 300) == 1
    assert find_gone([trial(label), trial(label, ended=60)], 300) == set()
    assert find_gone([trial(label, owner=GONE), trial(label, ended=60)], 300) == {label}


@pytest.mark.parametrize(
    ("error", "how", "is_lost"),
    [
        (RuntimeError("no configuration is within the limits"), "no configuration is within the limits", False),
        (OSError("sbatch: error\nQueue full"), "OSError: sbatch: error Queue full", False),
        (
            ValueError(
                "Job 12 (task: 0) with path /a/12_result.pkl\nhas not produced any output (state: NODE_FAIL)\nx"
            ),
            "its job 12 has ended without a result (state NODE_FAIL)",
            True,
        ),
        (
            ValueError("Job 7_1 (task: 0) with path /a\nhas not produced any output (state: OUT_OF_MEMORY)"),
            "its job 7_1 has ended without a result (state OUT_OF_MEMORY)",
            False,
        ),
    ],
)
def test_the_death_of_a_job_is_told_in_one_line(error: Exception, how: str, is_lost: bool) -> None:
    death = describe_death(error, "1 here")

    assert death is not None
    assert (death.how, death.is_lost, death.label) == (how, is_lost, "1 here")


def test_each_worker_is_launched_by_itself() -> None:
    running = threading.Event()
    given: list[tuple[int, str]] = []

    class Launcher:
        command = str(HERE)

        def launch(self, number: int, label: str) -> None:
            given.append((number, label))
            if number == 1:
                raise RuntimeError("broken")
            running.wait(20)

    launcher: Any = Launcher()
    workers = LaunchedWorkers(launcher, 2, lambda: [], 300)
    ended = []
    while not ended:
        ended = workers.collect()
        time.sleep(0.01)
    assert [(number, death and death.how) for number, death in ended] == [(1, "broken")]
    assert workers.running == 1
    workers.start(1)
    running.set()
    deadline = time.monotonic() + 20
    while len(given) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len({label for _, label in given}) == 3


def test_a_job_is_dead_as_soon_as_its_process_is_gone() -> None:
    blocked = threading.Event()

    class Launcher:
        command = str(HERE)

        def launch(self, number: int, label: str) -> None:
            blocked.wait(20)

    launcher: Any = Launcher()
    workers = LaunchedWorkers(launcher, 1, lambda: [trial(make_label(1, str(HERE)), GONE)], 300)

    assert [death and death.how for _, death in workers.collect()] == ["its process has ended without a result"]
    assert workers.running == 0
    blocked.set()


def test_a_trial_that_another_command_has_closed_first_says_so_too() -> None:
    mine, others = make_label(1, str(HERE)), make_label(2, str(HERE))
    closed = trial(mine, ended=5, **{INTERRUPTED: True, ERROR: GONE_TEXT})

    assert find_gone([closed, trial(others)], 300) == {mine}
    assert find_gone([closed, trial(mine)], 300) == set(), "the worker has begun another trial"


def wait(number: int) -> None:
    time.sleep(60)


def test_a_process_whose_worker_has_ended_with_its_machine_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launched, "_ENDING", 0.1)
    trials: list[FrozenTrial] = []
    launcher: Any = wait
    workers = LaunchedProcesses(launcher, 1, tmp_path, None, lambda: trials, 300)
    assert workers.collect() == []
    trials.append(trial(make_label(workers.pids[0], str(HERE)), GONE))

    ((number, death),) = workers.collect()

    assert death is not None
    assert (number, death.how, death.is_lost) == (0, "its process has ended without a result", True)
    assert workers.running == 0


def kill_itself(number: int) -> None:
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_has_been_the_worker_says_how_it_ended_although_its_trial_shows_it_first(tmp_path: Path) -> None:
    trials: list[FrozenTrial] = []
    launcher: Any = kill_itself
    workers = LaunchedProcesses(launcher, 1, tmp_path, None, lambda: trials, 300)
    trials.append(trial(make_label(workers.pids[0], str(HERE)), GONE))

    ((number, death),) = workers.collect()

    assert death is not None
    assert (number, death.how, death.is_lost) == (0, "killed by SIGKILL (out of memory?)", False)


def test_a_batch_system_that_accepts_no_job_is_asked_later(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(launched, "time", SimpleNamespace(sleep=slept.append, monotonic=time.monotonic))

    class Launcher:
        command = str(HERE)

        def launch(self, number: int, label: str) -> None:
            raise RuntimeError("sbatch: error: Socket timed out")

    launcher: Any = Launcher()
    workers = LaunchedWorkers(launcher, 1, lambda: [], 300)
    for _ in range(8):
        while not workers.collect():
            pass
        workers.start(0)
    while not workers.collect():
        pass

    assert slept == [0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_joblib_runs_each_worker_in_a_process_of_ours() -> None:
    joblib = OmegaConf.create(
        {"hydra": {"launcher": {"_target_": "hydra_plugins.hydra_joblib_launcher.J", "n_jobs": 3}}}
    )

    assert limit_workers(joblib, 8) == 3
    assert limit_workers(joblib, 2) == 2
    assert limit_workers(OmegaConf.create(), 8) == 8
    assert without_processes(joblib).hydra.launcher.n_jobs == 1
    assert joblib.hydra.launcher.n_jobs == 3
