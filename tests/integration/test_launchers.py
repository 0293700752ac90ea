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
from tests.integration.test_other_applications import Project, WarmProject
from tests.warm import WarmServer


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


def _signal_worker_of(trial: FrozenTrial, number: int) -> None:
    owner = parse_identity(trial.user_attrs[records.OWNER])
    assert owner is not None
    os.kill(owner.number, number)


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
    process = project.start("-m", "seconds_per_epoch=0.2", "hydra/launcher=joblib", "hydra.sweeper.n_trials=5")
    _wait_for(lambda: _finished(project) >= 1, "a trial")
    killed, other = _pause_both(project)
    _signal_worker_of(killed, signal.SIGKILL)
    _wait_for(lambda: len(_workers(project)) == 3, "one worker for the one that was killed")
    _signal_worker_of(other, signal.SIGCONT)
    output, _ = process.communicate(timeout=200)

    assert process.returncode == 0, output
    found = _trials(project)
    assert records.kind(found[killed.number]) == "interrupted"
    assert records.kind(found[other.number]) == "finished"
    assert records.counts(found) == {"finished": 5, "interrupted": 1}
    (again,) = [each for each in found if each.user_attrs.get(records.RETRY_OF) == killed.number]
    assert again.params == killed.params
    assert "is replaced: killed by SIGKILL (out of memory?)" in output
    assert "Traceback" not in output


def test_jobs_of_a_batch_system_go_on_without_their_command_which_attaches_again(
    tmp_path: Path, warm: WarmServer
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    project = WarmProject(tmp_path, warm)
    words = ("-m", "seconds_per_epoch=0.2", "hydra/launcher=submitit_local", "hydra.sweeper.n_trials=6")
    first = project.fork(*words)
    _wait_for(lambda: len(_running(project)) == 2, "two workers")
    first.kill()  # not its workers
    first.communicate()
    before = _finished(project)
    _wait_for(lambda: _finished(project) >= before + 1, "workers that go on")
    killed, other = _pause_both(project)

    second = project.fork(*words)
    _wait_for(lambda: "waiting" in second.printed() or second.poll() is not None, "a command that waits")
    _signal_worker_of(killed, signal.SIGKILL)
    _wait_for(lambda: len(_workers(project)) == 3, "one worker for the one that was killed")
    _signal_worker_of(other, signal.SIGCONT)
    output, _ = second.communicate(timeout=200)

    assert second.returncode == 0, output
    assert "waiting   for the trials of 2 workers of an earlier command" in output, output
    assert records.counts(_trials(project)) == {"finished": 6, "interrupted": 1}, output
    assert len(_workers(project)) == 3
    assert "Traceback" not in output


def _pause_both(project: Project) -> list[FrozenTrial]:
    """Stop both workers in the middle of a trial."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        running = _running(project)
        if len(running) == 2:
            for trial in running:
                _signal_worker_of(trial, signal.SIGSTOP)
            if [trial.number for trial in _running(project)] == [trial.number for trial in running]:
                return running
            for trial in running:
                _signal_worker_of(trial, signal.SIGCONT)
        time.sleep(0.2)
    raise AssertionError("there are no two workers with a trial each")
