"""Searches on a Slurm cluster of two hosts: by submitit, and by an array of jobs that run the same command."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import optuna
import pytest

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.study import open_storage
from tests.engines.slurm import PYTHON, Slurm, find_reason, start_slurm, wait_until
from tests.integration.test_other_applications import ROOT, Project

_REASON = find_reason()
pytestmark = pytest.mark.skipif(_REASON is not None, reason=str(_REASON))

TRIALS = 12
#: What all jobs of an array run.
COMMAND = ("-m", "seconds_per_epoch=0.3", f"hydra.sweeper.n_trials={TRIALS}", "hydra.sweeper.grace_period=10")
_VARIABLES = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    with start_slurm() as slurm:
        yield slurm


@pytest.fixture
def project(slurm: Slurm, tmp_path: Path) -> Iterator[Project]:
    yield Project(tmp_path)
    slurm.run("scancel", "--partition=test")
    for name, state in slurm.states().items():
        if "down" in state:  # by a test that has failed
            slurm.start_daemon(name)
    slurm.wait_until_idle()


def test_a_search_by_submitit_uses_both_hosts_and_survives_a_cancelled_job(slurm: Slurm, project: Project) -> None:
    words = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=test", "hydra.launcher.timeout_min=10"]
    process = project.start(*COMMAND, "hydra.sweeper.workers=2", *words, environment=slurm.environment)
    output: list[str] = []
    reader = threading.Thread(target=lambda: output.append(process.communicate(timeout=300)[0]))
    reader.start()
    wait_until(lambda: hosts(project) == {"north", "south"}, "both hosts have a trial", slurm.describe)
    wait_until(lambda: finished(project) >= 3, "three trials are finished", slurm.describe)
    running = [job for job, state in slurm.jobs().items() if state == "RUNNING"]

    slurm.run("scancel", running[0])

    reader.join()
    assert process.returncode == 0, output
    assert "Traceback" not in output[0], output[0]
    check_complete(project)


@pytest.mark.minutes
def test_an_array_of_jobs_shares_a_search_and_loses_no_trial(slurm: Slurm, project: Project) -> None:
    job = submit(slurm, project, "--array=0-3", "--requeue")
    wait_until(lambda: hosts(project) == {"north", "south"}, "both hosts have a trial", slurm.describe)
    wait_until(lambda: finished(project) >= 2, "two trials are finished", slurm.describe)

    slurm.run("scancel", f"{job}_0")
    wait_until(lambda: finished(project) >= 4, "four trials are finished", slurm.describe)
    slurm.run("scontrol", "requeue", f"{job}_1")

    wait_until(lambda: not alive(slurm, job), "all jobs have ended", slurm.describe, patience=180)
    states = {each: state for each, state in slurm.jobs().items() if each.startswith(f"{job}_")}
    assert states == {f"{job}_0": "CANCELLED"} | {f"{job}_{task}": "COMPLETED" for task in (1, 2, 3)}, log(project)
    check_complete(project)


@pytest.mark.minutes
def test_a_host_that_dies_costs_no_trial_and_its_job_starts_again(slurm: Slurm, project: Project) -> None:
    job = submit(slurm, project, "--array=0-1", "--requeue")
    wait_until(lambda: hosts(project) == {"north", "south"}, "both hosts have a trial", slurm.describe)
    victim = next(each.number for each in trials(project) if host(each) == "south" and records.kind(each) == "running")

    slurm.restart_host("south")

    wait_until(lambda: not alive(slurm, job), "all jobs have ended", slurm.describe, patience=180)
    states = {state for each, state in slurm.jobs().items() if each.startswith(f"{job}_")}
    assert states == {"COMPLETED"}, log(project)
    check_complete(project)
    assert records.kind(trials(project)[victim]) == "interrupted"
    assert [each for each in trials(project) if each.user_attrs.get(records.RETRY_OF) == victim]


@pytest.mark.minutes
def test_a_daemon_that_is_killed_costs_nothing(slurm: Slurm, project: Project) -> None:
    job = submit(slurm, project, "--array=0-1")
    wait_until(lambda: hosts(project) == {"north", "south"}, "both hosts have a trial", slurm.describe)

    slurm.kill_daemon("north")
    wait_until(lambda: finished(project) >= 4, "four trials are finished", slurm.describe)
    slurm.start_daemon("north")

    wait_until(lambda: not alive(slurm, job), "all jobs have ended", slurm.describe, patience=180)
    check_complete(project)


@pytest.mark.minutes
def test_a_job_near_its_time_limit_is_warned_and_goes_on_when_it_is_requeued(slurm: Slurm, project: Project) -> None:
    again = f"[ $? -ne {128 + signal.SIGUSR2} ] || scontrol requeue $SLURM_JOB_ID"
    script = f"srun {PYTHON} train.py {' '.join(COMMAND)} epochs=50 hydra.sweeper.workers=2 || {again}"
    job = slurm.submit(
        "--time=2", "--signal=USR2@30", "--requeue", "--output=job-%j.txt", "--open-mode=append",
        folder=project.folder, script=script, environment=_VARIABLES,
    )  # fmt: skip

    wait_until(lambda: not alive(slurm, job), "the job has ended", slurm.describe, patience=400)

    assert slurm.jobs()[job] == "COMPLETED", log(project)
    restarts = slurm.run("scontrol", "show", "job", job).partition("Restarts=")[2].split()[0]
    assert int(restarts) >= 1, "the search was too short to meet its time limit"
    check_complete(project)
    interrupted = [each for each in trials(project) if records.kind(each) == "interrupted"]
    assert interrupted
    assert "SIGUSR2" in str(interrupted[0].user_attrs[records.ERROR])


@pytest.mark.minutes
def test_the_demo_is_searched_by_submitit_and_an_array_of_jobs_joins(
    slurm: Slurm, project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("demo")
    words = ["-m", "dcase_sweep", "-m", "hydra/sweeper=optuna", "training.epochs=2", "hydra/launcher=submitit_slurm"]
    words += ["optimizer.lr=interval(1e-4,1e-2)", "hydra.sweeper.n_trials=8", "hydra.sweeper.study_name=lr"]
    words += ["hydra.launcher.partition=test", "hardware.threads=1", "hydra/sweeper/pruner=none"]
    variables = _VARIABLES | {"DCASE_SWEEP_CACHE": str(folder / "cache")}
    with (folder / "command.txt").open("wb") as output:
        command = subprocess.Popen(
            [PYTHON, *words],
            cwd=folder,
            env=dict(os.environ) | variables | slurm.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    where = folder / "mlruns" / "optuna.log"
    wait_until(lambda: where.is_file() and bool(demo_trials(where)), "the search begins", slurm.describe, patience=300)
    script = f"exec {PYTHON} -m dcase_sweep join lr"
    job = slurm.submit(
        "--array=0-1", "--nodelist=south", "--output=join-%a.txt", folder=folder, script=script, environment=variables
    )  # fmt: skip

    code = command.wait(500)
    wait_until(lambda: not alive(slurm, job), "all jobs have ended", slurm.describe, patience=180)

    said = "".join(path.read_text() for path in [folder / "command.txt", *folder.glob("join-*.txt")])
    assert code == 0, said
    assert {state for each, state in slurm.jobs().items() if each.startswith(f"{job}_")} == {"COMPLETED"}, said
    found = demo_trials(where)
    assert records.counts(found)["finished"] == 8, said
    assert "south" in {host(each) for each in found}, said
    labels = {each.user_attrs.get(records.LAUNCHED) for each in found}
    assert len(labels - {None}) == 1, "the command has launched one worker"
    assert None in labels, "a job of the array has had a trial, too"


def demo_trials(where: Path) -> list[optuna.trial.FrozenTrial]:
    with suppress(KeyError):
        return optuna.load_study(study_name="lr", storage=open_storage(str(where))).get_trials()
    return []


def submit(slurm: Slurm, project: Project, *options: str) -> str:
    """Submit an array of jobs that run the same command."""
    script = f"exec {PYTHON} train.py {' '.join(COMMAND)}"
    files = ["--output=job-%a.txt", "--open-mode=append"]
    return slurm.submit(*options, *files, folder=project.folder, script=script, environment=_VARIABLES)


def alive(slurm: Slurm, job: str) -> bool:
    """Whether the job, or a task of it, waits or runs."""
    ended = ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL")
    return any(state not in ended for each, state in slurm.jobs().items() if each.partition("_")[0] == job)


def trials(project: Project) -> list[optuna.trial.FrozenTrial]:
    """All trials; none before the search has begun."""
    with suppress(KeyError):
        return project.study().get_trials(deepcopy=False)
    return []


def finished(project: Project) -> int:
    found = records.counts(trials(project))
    return found["finished"] + found["pruned"]


def host(trial: optuna.trial.FrozenTrial) -> str:
    return str(trial.user_attrs.get(records.OWNER, "")).rpartition("@")[2]


def hosts(project: Project) -> set[str]:
    """The hosts that have had a trial."""
    return {host(each) for each in trials(project)} - {""}


def log(project: Project) -> str:
    return "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}" for path in sorted(project.folder.glob("job-*.txt")))


def check_complete(project: Project) -> None:
    """As many trials as wanted, none failed or left running, each lost one retried once."""
    found = trials(project)
    counted = records.counts(found)
    errors = [each.user_attrs.get(records.ERROR) for each in found if records.kind(each) == "failed"]
    assert counted["finished"] + counted["pruned"] == TRIALS, counted
    assert counted["running"] == counted["failed"] == 0, (counted, errors, log(project))
    lost = sorted(each.number for each in found if records.kind(each) == "interrupted")
    retried = sorted(each.user_attrs[records.RETRY_OF] for each in found if records.RETRY_OF in each.user_attrs)
    assert retried == lost
