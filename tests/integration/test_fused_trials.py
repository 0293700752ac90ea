"""Trials of one architecture that a search trains together, through the command line; also killed and continued."""

import os
import signal
from collections.abc import Callable

import pytest

from dcase_sweep.sweep.optuna import study as records
from tests.conftest import CommandLine
from tests.integration.test_experiment import client
from tests.integration.test_search import _owner, _wait_for, newest, study

SPACE = (
    "hydra/sweeper=optuna",
    "model.units=choice(8,16)",
    "optimizer.lr=tag(log,interval(1e-4,1e-2))",
    "model.dropout=interval(0.0,0.5)",
    "hardware.precision=32-true",
)


def test_trials_trained_together_have_the_results_of_lone_ones(
    command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    more = ("hydra.sweeper.study_name=f", "hydra.sweeper.n_trials=6", "hydra.sweeper.fused=3")
    output = command_line("-m", *tiny(*SPACE, *more))

    assert "search    each worker trains up to 3 trials of one architecture together" in output
    assert "search    f: 6 finished" in output
    trials = study(command_line.folder, "f").get_trials()
    assert len(trials) == 6
    for group in (trials[:3], trials[3:]):
        assert len({trial.params["model.units"] for trial in group}) == 1
        assert len({trial.params["optimizer.lr"] for trial in group}) == 3
    folder = newest(command_line.folder)
    printed = (folder / "workers" / "worker-0.log").read_text()
    for names in ("#0, #1, #2", "#3, #4, #5"):
        assert f"together  3 jobs of one architecture: {names}" in printed
    store, _ = client(command_line.folder)
    ends = [store.get_run(trial.user_attrs[records.RUN]).info for trial in trials]  # type: ignore[attr-defined]
    assert {info.status for info in ends} == {"FINISHED"}
    assert len({info.run_id for info in ends}) == 6

    trial = trials[1]
    values = [f"{name}={value}" for name, value in trial.params.items()]
    alone = command_line(*tiny(*values, "hardware.precision=32-true", "hydra.run.dir=alone"))
    assert f"(validation/accuracy {trial.value:.3f})" in alone
    runs = store.search_runs([ends[0].experiment_id])  # type: ignore[attr-defined]
    lone = max(runs, key=lambda run: run.info.start_time)
    fused = store.get_run(trial.user_attrs[records.RUN])  # type: ignore[attr-defined]
    compared = [name for name in fused.data.metrics if name.startswith(("training/", "validation/", "best/", "test/"))]
    assert {"best/validation/accuracy", "test/accuracy", "validation/accuracy"} <= {*compared}
    for name in compared:
        one, other = (
            [each.value for each in store.get_metric_history(run.info.run_id, name)]  # type: ignore[attr-defined]
            for run in (fused, lone)
        )
        assert one == pytest.approx(other, abs=1e-5), name


def test_a_group_that_is_killed_continues_from_its_last_epochs(
    command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    more = ("hydra.sweeper.study_name=g", "hydra.sweeper.n_trials=3", "hydra.sweeper.fused=3", "training.epochs=16")
    arguments = ["-m", *tiny(*SPACE, *more)]
    process = command_line.start(*arguments)

    def have_trained() -> bool:
        if not (command_line.folder / "mlruns" / "optuna.log").is_file():
            return False
        try:
            trials = study(command_line.folder, "g").get_trials()
        except KeyError:
            return False
        return len(trials) == 3 and all(len(trial.intermediate_values) >= 3 for trial in trials)

    _wait_for(have_trained)
    killed = study(command_line.folder, "g").get_trials()
    worker = _owner(killed[0])
    assert {_owner(trial) for trial in killed} == {worker}
    process.kill()
    os.kill(worker, signal.SIGKILL)
    process.communicate()
    output = command_line(*arguments)

    trials = study(command_line.folder, "g").get_trials()
    assert [records.kind(trial) for trial in trials] == ["interrupted"] * 3 + ["finished"] * 3, output
    for first, second in zip(trials[:3], trials[3:], strict=True):
        assert second.params == first.params
        assert second.user_attrs[records.CONTINUED] >= 2
        assert sorted(second.intermediate_values) == list(range(16))
        assert second.user_attrs[records.RUN] == first.user_attrs[records.RUN]
    printed = (newest(command_line.folder) / "workers" / "worker-0.log").read_text()
    assert "together  3 jobs of one architecture: #3, #4, #5" in printed
