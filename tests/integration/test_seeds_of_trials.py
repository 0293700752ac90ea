"""A search with several seeds of each trial through the command line, killed in the second seed and continued."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from dcase_sweep.config import Tracking
from dcase_sweep.export.runs import read_run
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.seed_jobs import read_seed_jobs
from dcase_sweep.tracking.compared import read_compared_runs
from dcase_sweep.tracking.stores import open_store
from dcase_sweep.utils.errors import UserError
from tests.conftest import CommandLine
from tests.integration.test_experiment import client
from tests.integration.test_search import SPACE, _owner, _wait_for, newest, study


def test_a_trial_killed_in_its_second_seed_continues_there(
    command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    more = ("training.epochs=16", "hydra.sweeper.n_trials=1", "hydra.sweeper.study_name=m", "hydra.sweeper.seeds=2")
    arguments = ["-m", *tiny(*SPACE, *more)]
    process = command_line.start(*arguments)

    def is_in_second_seed() -> bool:
        if not (command_line.folder / "mlruns" / "optuna.log").is_file():
            return False
        try:
            trials = study(command_line.folder, "m").get_trials()
        except KeyError:
            return False
        return any(trial.user_attrs.get(records.SEED_STEP, [1, 0])[1] >= 2 for trial in trials)

    _wait_for(is_in_second_seed)
    (killed,) = study(command_line.folder, "m").get_trials()
    worker = _owner(killed)
    process.kill()
    os.kill(worker, signal.SIGKILL)
    process.communicate()
    before = newest(command_line.folder)
    output = command_line(*arguments)

    first, second = study(command_line.folder, "m").get_trials()
    assert [records.kind(first), records.kind(second)] == ["interrupted", "finished"], output
    # Two epochs of the second seed were reported, and the checkpoint of the last may not have been written.
    assert second.user_attrs[records.CONTINUED] >= 16 + 1
    assert sorted(second.intermediate_values) == list(range(16))
    jobs, stored = read_seed_jobs(second), second.user_attrs[records.SEED_JOBS]
    assert [job.run_id for job in jobs.values()] == [job.run_id for job in read_seed_jobs(first).values()]
    assert stored["0"] == first.user_attrs[records.SEED_JOBS]["0"], "the first seed is not trained again"
    assert jobs[0].folder == str(before.resolve() / "0" / "seed_0")
    mean, spread = second.value, second.user_attrs[records.SPREAD]["best/validation/accuracy"]
    assert f"trial 1: best/validation/accuracy {mean:.4g} ± {spread:.2g}" in output
    assert "seed=0,1" in re.findall(r"repeat    python -m dcase_sweep (.*)", output)[-1]

    store, experiment = client(command_line.folder)
    runs = {run.info.run_id: run for run in store.search_runs([experiment])}  # type: ignore[attr-defined]
    row = runs[second.user_attrs[records.RUN]]
    assert first.user_attrs[records.RUN] == row.info.run_id, "the row of the trial goes on"
    assert {run.info.status for run in runs.values() if run.info.run_name.startswith("m")} == {"FINISHED"}
    assert row.data.metrics["best/validation/accuracy"] == mean
    assert row.data.params["seed"] == "0, 1"
    children = [run for run in runs.values() if run.data.tags.get("mlflow.parentRunId") == row.info.run_id]
    assert sorted(run.info.run_name for run in children) == ["m #0 seed=0", "m #0 seed=1"]
    assert {run.data.tags["dcase_sweep.trial"] for run in children} == {"0"}
    of_search = row.data.tags["mlflow.parentRunId"]
    settings = Tracking(folder=str(command_line.folder / "mlruns"))
    compared = read_compared_runs(open_store(settings), [of_search])
    assert sorted(run.seed for run in compared) == ["0", "1"], "the row of the trial is no run of its own"
    with pytest.raises(UserError, match=r"the run of a trial with the seeds 0, 1; expected the run of one of them"):
        read_run(row.info.run_id, settings)


def test_the_seeds_of_a_trial_are_trained_together_with_the_results_of_lone_ones(
    command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    more = ("hydra.sweeper.n_trials=1", "hydra.sweeper.seeds=2", "hydra.sweeper.sampler.seed=1")
    precision = "hardware.precision=32-true"
    for name, fused in (("alone", 1), ("together", 2)):
        names = (f"hydra.sweeper.study_name={name}", f"hydra.sweeper.fused={fused}")
        output = command_line("-m", *tiny(*SPACE, *more, *names, precision))

    assert "trained with the seeds 0, 1, up to 2 together" in output
    alone, together = (study(command_line.folder, name).best_trial for name in ("alone", "together"))
    assert together.params == alone.params
    assert together.user_attrs[records.METRICS] == pytest.approx(alone.user_attrs[records.METRICS], abs=1e-4)
    jobs = read_seed_jobs(together)
    store, _ = client(command_line.folder)
    first, second = (store.get_run(jobs[seed].run_id).info for seed in (0, 1))  # type: ignore[attr-defined]
    assert second.start_time < first.end_time
    for job in jobs.values():
        text = Path(job.folder, "dcase_sweep.log").read_text()
        assert "alone" not in text
        assert text.count("training  2 epochs") == 1
