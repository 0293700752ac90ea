"""Searches and grids on a Ray cluster of two nodes, one of which dies."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import optuna
import pytest

from dcase_sweep.sweep.optuna import study as records
from tests.engines.ray_cluster import RayCluster, find_reason, start_ray
from tests.engines.slurm import wait_until
from tests.integration.test_other_applications import ROOT, Project
from tests.layout import make_tau

_REASON = find_reason()
pytestmark = [pytest.mark.skipif(_REASON is not None, reason=str(_REASON)), pytest.mark.minutes]

TRIALS = 12
VARIABLES = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


@pytest.fixture
def cluster() -> Iterator[RayCluster]:
    with start_ray() as cluster:
        yield cluster


def test_a_search_goes_on_when_a_node_dies_and_when_it_is_back(cluster: RayCluster, tmp_path: Path) -> None:
    project = Project(tmp_path)
    words = ["-m", "hydra/launcher=ray", "seconds_per_epoch=1", f"hydra.sweeper.n_trials={TRIALS}"]
    words += ["hydra.sweeper.workers=4", "hydra.sweeper.grace_period=10"]
    process = cluster.start("train.py", *words, folder=tmp_path, variables=VARIABLES)
    output = read(process)
    wait_until(lambda: {"north", "south"} <= set(map(host, running(project))), "both nodes have a trial", patience=240)
    lost = [trial.number for trial in running(project) if host(trial) == "south"]

    cluster.network.restart("south")
    cluster.start_node("south")

    process.wait(400)
    assert process.returncode == 0, output
    trials = project.study().get_trials()
    found = records.counts(trials)
    assert found["finished"] + found["pruned"] == TRIALS
    assert found["running"] == found["failed"] == 0, found
    assert {records.kind(trials[number]) for number in lost} <= {"interrupted", "finished"}
    interrupted = [trial.number for trial in trials if records.kind(trial) == "interrupted"]
    assert interrupted
    retried = [trial.user_attrs.get(records.RETRY_OF) for trial in trials if records.RETRY_OF in trial.user_attrs]
    assert sorted(retried) == interrupted


def test_a_grid_that_loses_a_node_runs_its_jobs_again_on_the_other(cluster: RayCluster, tmp_path: Path) -> None:
    root = make_tau(tmp_path / "tau")
    tiny = ["data=tau2020", f"data.root={root}", "data.seconds=1", "model.blocks.2.pool=[4,5]", "training.epochs=150"]
    words = ["-m", "dcase_sweep", "-m", *tiny, "training.batch_size=4", "hardware.threads=1", "seed=0,1,2,3"]
    words += ["hydra/launcher=ray", "hydra.sweep.dir=sweep"]
    variables = VARIABLES | {"DCASE_SWEEP_CACHE": str(tmp_path / "cache")}
    process = cluster.start(*words, folder=tmp_path, variables=variables)
    output = read(process)
    wait_until(
        lambda: len(list((tmp_path / "sweep").glob("*/checkpoints/last.ckpt"))) == 4, "all jobs train", patience=300
    )

    kill_processes = cluster.network.hosts["south"].command("kill", "-KILL", "-1")  # all but the first one
    subprocess.run(kill_processes, timeout=20)

    process.wait(400)
    assert process.returncode == 0, output
    assert "4 of 4 jobs finished" in "".join(output)


def read(process: "subprocess.Popen[str]") -> list[str]:
    """Collect what a command prints."""
    lines: list[str] = []
    assert process.stdout is not None
    threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True).start()
    return lines


def running(project: Project) -> list[optuna.trial.FrozenTrial]:
    """The running trials; none before the search has begun."""
    time.sleep(0.2)
    with suppress(KeyError):
        return [each for each in project.study().get_trials(deepcopy=False) if records.kind(each) == "running"]
    return []


def host(trial: optuna.trial.FrozenTrial) -> str:
    return str(trial.user_attrs.get(records.OWNER, "")).rpartition("@")[2]
