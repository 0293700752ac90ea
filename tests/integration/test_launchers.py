"""Searches under Hydra's launchers: each worker stands alone, and those of a batch system outlive their command."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.utils.processes import parse_identity
from tests.integration.test_other_applications import Project


def _trials(project: Project) -> list[FrozenTrial]:
    with suppress(KeyError, FileNotFoundError):  # there is no study yet
        return project.study().get_trials(deepcopy=False)
    return []


def _wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def _finished(project: Project) -> int:
    return sum(records.kind(trial) == "finished" for trial in _trials(project))


def _kill_worker_of(trial: FrozenTrial) -> None:
    owner = parse_identity(trial.user_attrs[records.OWNER])
    assert owner is not None
    os.kill(owner.number, signal.SIGKILL)


def _running(project: Project) -> list[FrozenTrial]:
    return [
        trial
        for trial in _trials(project)
        if records.kind(trial) == "running" and {records.OWNER, records.LAUNCHED} <= trial.user_attrs.keys()
    ]


def _workers(project: Project) -> set[str]:
    return {trial.user_attrs[records.LAUNCHED] for trial in _trials(project) if records.LAUNCHED in trial.user_attrs}


def test_a_worker_of_joblib_that_dies_costs_its_trial_alone(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    project = Project(tmp_path)
    process = project.start("-m", "seconds_per_epoch=0.2", "hydra/launcher=joblib")
    _wait_for(lambda: _finished(project) >= 1 and len(_running(project)) == 2, "two workers")
    killed, other = _running(project)
    _kill_worker_of(killed)
    output, _ = process.communicate(timeout=200)

    assert process.returncode == 0, output
    found = _trials(project)
    assert records.kind(found[killed.number]) == "failed"
    assert records.kind(found[other.number]) == "finished"
    assert records.counts(found) == {"finished": 8, "failed": 1}
    assert "is replaced: killed by SIGKILL (out of memory?)" in output
    assert len(_workers(project)) == 3
    assert "Traceback" not in output


def test_jobs_of_a_batch_system_go_on_without_their_command_which_attaches_again(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    project = Project(tmp_path)
    words = ("-m", "seconds_per_epoch=0.3", "hydra/launcher=submitit_local", "hydra.sweeper.n_trials=16")
    first = project.start(*words)
    _wait_for(lambda: len(_running(project)) == 2, "two workers")
    first.kill()  # not its workers
    first.wait()
    before = _finished(project)
    _wait_for(lambda: _finished(project) >= before + 2, "workers that go on")

    second = project.start(*words)
    time.sleep(4)
    running = _running(project)
    assert len(_workers(project)) == 2, "more workers than wanted"
    _kill_worker_of(running[0])
    output, _ = second.communicate(timeout=200)

    assert second.returncode == 0, output
    assert "waiting   for the trials of 2 workers of an earlier command" in output
    found = records.counts(_trials(project))
    assert found == {"finished": 16, "interrupted": 1}, output
    assert len(_workers(project)) == 3
    assert "Traceback" not in output
