"""A batch system that warns a job, ends it, gives it too little time and starts it again: a search and a grid."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from optuna.trial import FrozenTrial

from dcase_sweep.sweep.optuna import study as records
from tests.conftest import CommandLine
from tests.integration.test_experiment import client
from tests.integration.test_search import SPACE, _owner, _running, study

Tiny = Callable[..., list[str]]
#: What a process exits with after SIGUSR2.
WARNED = 128 + signal.SIGUSR2


def job(number: int, *, restarts: int = 0, seconds: float | None = None) -> dict[str, str]:
    """The environment of a Slurm job, which may have been restarted and may have a time limit."""
    found = {"SLURM_JOB_ID": str(number)}
    if restarts:
        found["SLURM_RESTART_COUNT"] = str(restarts)
    if seconds is not None:
        found["SLURM_JOB_END_TIME"] = str(int(time.time() + seconds))
    return found


def start(command_line: CommandLine, environment: dict[str, str], *words: str) -> tuple[int, str]:
    """Run a command to its end as part of a job."""
    process = command_line.start(*words, environment=command_line.environment() | environment)
    output, _ = process.communicate(timeout=300)
    assert process.returncode is not None
    assert "Traceback" not in output, output
    return process.returncode, output


def test_a_search_loses_no_trial_and_repeats_one_epoch_at_most(command_line: CommandLine, tiny: Tiny) -> None:
    def words(n_trials: int) -> list[str]:
        more = ("training.epochs=20", f"hydra.sweeper.n_trials={n_trials}", "hydra.sweeper.study_name=requeued")
        return ["-m", *tiny(*SPACE, *more)]

    def trials() -> list[FrozenTrial]:
        return study(command_line.folder, "requeued").get_trials()

    process = command_line.start(*words(1000), environment=command_line.environment() | job(7))
    lost = _running(command_line.folder, set(), epochs=3, name="requeued")
    for pid in (_owner(lost), process.pid):
        os.kill(pid, signal.SIGUSR2)
    output, _ = process.communicate(timeout=60)

    assert process.returncode == WARNED, output
    assert [records.kind(trial) for trial in trials()][lost.number :] == ["interrupted"], "no trial was begun after it"

    code, output = start(command_line, job(7, restarts=1, seconds=15), *words(1000))

    assert code == 1, output
    assert "search    ends: time limit: " in output
    assert "the search ended short: " in output
    again = trials()[lost.number + 1]
    assert again.user_attrs[records.RETRY_OF] == lost.number, "the interrupted trial is the first"
    found = records.counts(trials())
    assert found["running"] == found["failed"] == 0

    wanted = found["finished"] + found["pruned"] + 2
    code, output = start(command_line, job(7, restarts=2), *words(wanted))

    assert code == 0, output
    found = records.counts(trials())
    assert found["finished"] + found["pruned"] == wanted
    interrupted = [trial for trial in trials() if records.kind(trial) == "interrupted" and trial.params]
    assert lost.number in [trial.number for trial in interrupted]
    for trial in interrupted:
        (retry,) = [each for each in trials() if each.user_attrs.get(records.RETRY_OF) == trial.number]
        assert retry.params == trial.params
        assert retry.user_attrs.get(records.CONTINUED, 0) >= len(trial.intermediate_values) - 1


def test_a_grid_goes_on_in_its_folder_and_overwrites_nothing(command_line: CommandLine, tiny: Tiny) -> None:
    folder = command_line.folder / "grid"
    words = ["-m", *tiny("training.epochs=18", "seed=0,1", "hydra.sweep.dir=grid")]
    process = command_line.start(*words, environment=command_line.environment() | job(9))
    _wait_for(folder / "1/checkpoints/last.ckpt")
    os.kill(process.pid, signal.SIGUSR2)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == WARNED, output
    assert "sweep     1 of 2 jobs finished" in output

    code, output = start(command_line, job(9, restarts=1), *words, "hardware.time_limit=0.001")

    assert code == 1, output
    assert "time limit: no time is left" in output
    assert "sweep     1 of 2 jobs finished" in output

    code, output = start(command_line, job(9, restarts=2), *words)

    assert code == 0, output
    assert output.count("skipped   ") == 1
    assert "sweep     2 of 2 jobs finished" in output
    store, experiment = client(command_line.folder)
    runs = store.search_runs([experiment], "params.`training.epochs` = '18'")  # type: ignore[attr-defined]
    assert sorted(run.data.params["seed"] for run in runs) == ["0", "1"], "no run is begun twice"
    for run in runs:
        history = store.get_metric_history(run.info.run_id, "train/loss")  # type: ignore[attr-defined]
        assert sorted(metric.step for metric in history) == list(range(18))

    kept = {path: path.read_bytes() for path in folder.rglob("*.ckpt")}
    code, output = start(command_line, job(10), *words, "training.epochs=1")

    assert code == 0, output
    assert "grid has jobs of an earlier command: 2 finished, 0 continued from the last epoch" in output
    assert {path: path.read_bytes() for path in kept} == kept
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["0", "1", "2", "3"]


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 180
    while not path.is_file():
        assert time.monotonic() < deadline, f"{path} is not there after three minutes"
        time.sleep(0.05)
