"""Trials that end their worker: tried again, but not for ever."""

from pathlib import Path

import optuna
import pytest

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.recovery import close_died
from tests.sweep.optuna.test_study import opened

KILLED = "killed by SIGKILL (out of memory?)"


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return opened(str(tmp_path / "optuna.log"))


def die(study: optuna.Study, *, steps: int = 0) -> str | None:
    """A worker takes the next trial and dies after this number of steps; returns the status of the trial's record."""
    trial = records.ask(study, 100)
    assert trial is not None
    trial.suggest_float("x", 0, 1)
    for step in range(steps):
        trial.report(0.5, step)
    status = close_died(study, records.find_trial(study, trial), KILLED)
    records.recover(study)
    return status


def test_a_trial_that_ends_its_worker_at_the_same_step_each_time_has_failed(study: optuna.Study) -> None:
    assert [die(study, steps=2) for _ in range(3)] == ["KILLED", "KILLED", "FAILED"]

    trials = study.get_trials()
    assert [trial.user_attrs.get(records.RETRY_OF) for trial in trials] == [None, 0, 1]
    assert records.counts(trials) == {"interrupted": 2, "failed": 1}
    assert trials[2].user_attrs[records.ERROR] == f"{KILLED}, 3 times in a row without a new step"


def test_a_trial_that_comes_further_each_time_is_tried_again(study: optuna.Study) -> None:
    assert [die(study, steps=steps) for steps in range(6)] == ["KILLED"] * 6


def test_a_loss_for_another_reason_begins_the_count_again(study: optuna.Study) -> None:
    assert [die(study), die(study)] == ["KILLED", "KILLED"]
    trial = records.ask(study, 100)
    assert trial is not None
    records.fail(study, records.find_trial(study, trial), "SIGTERM", interrupted=True)
    records.recover(study)

    assert [die(study), die(study), die(study)] == ["KILLED", "KILLED", "FAILED"]


def test_a_trial_that_another_process_has_closed_stays_as_it_is(study: optuna.Study) -> None:
    trial = records.ask(study, 100)
    assert trial is not None
    study.tell(trial, 1.0)

    assert close_died(study, records.find_trial(study, trial), KILLED) is None
    assert records.counts(study.get_trials()) == {"finished": 1}
