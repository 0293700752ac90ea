"""The order in which interrupted trials are taken again, and those of a requeued job."""

from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.attributes import JOB
from dcase_sweep.utils.processes import this_process
from tests.sweep.optuna.test_study import opened


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return opened(str(tmp_path / "optuna.log"))


def lose(study: optuna.Study, value: float, *, host: str, job: str | None = None, is_closed: bool = True) -> int:
    """A trial whose process ended on this host, in this batch job."""
    trial = study.ask()
    trial.suggest_float("x", value, value)
    elsewhere = replace(this_process(), host=host, machine=f"{host}:pid:[1]")
    trial.set_user_attr(records.OWNER, str(elsewhere))
    if job is not None:
        trial.set_user_attr(JOB, job)
    if is_closed:
        records.fail(study, records.find_trial(study, trial), "SIGTERM", interrupted=True)
    return trial.number


def test_a_workers_own_trials_come_before_those_of_others(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    there = lose(study, 0.1, host="there")
    here = lose(study, 0.2, host=this_process().host)
    ours = lose(study, 0.3, host="there", job="slurm:7@0")
    also_there = lose(study, 0.4, host="there", job="slurm:70@0")
    study.enqueue_trial({"x": 0.5})
    records.recover(study)

    taken = [records.ask(study, 100) for _ in range(5)]

    found = [None if trial is None else trial.user_attrs.get(records.RETRY_OF) for trial in taken]
    assert found == [ours, here, there, also_there, None]
    owners = [trial.user_attrs[records.OWNER] for trial in study.get_trials(states=[TrialState.RUNNING])]
    assert owners == [str(this_process())] * 5


def test_a_trial_that_another_worker_has_taken_is_left_to_it(study: optuna.Study) -> None:
    lose(study, 0.1, host="there")
    records.recover(study)
    before = study.get_trials(deepcopy=False)
    first = records.take_waiting(study, before, before)

    assert first is not None
    assert records.take_waiting(study, before, before) is None


def test_a_requeued_job_closes_its_own_trials_without_waiting_for_their_heartbeat(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs in the job now, its processes before have ended; those of other jobs may run."""
    ours = lose(study, 0.1, host="there", job="slurm:7@0", is_closed=False)
    lose(study, 0.2, host="there", job="slurm:8@0", is_closed=False)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert records.recover(study) == []

    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    (closed,) = records.recover(study)

    assert closed.number == ours
    assert records.counts(study.get_trials()) == {"interrupted": 1, "running": 1, "waiting": 1}
