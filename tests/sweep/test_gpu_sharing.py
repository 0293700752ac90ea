"""Which GPU the processes of a command use, and what is said of it."""

import logging
import subprocess
import sys
from contextlib import ExitStack

import pytest
from omegaconf import OmegaConf

from dcase_sweep.sweep import grid
from dcase_sweep.sweep.gpu_sharing import offering_gpus, sharing_gpus
from dcase_sweep.utils.gpus import SHARE, VISIBLE

#: Takes a GPU, says which one, and keeps it until the input ends.
_JOB = f"""
import os, sys
from dcase_sweep.sweep.gpu_sharing import take_gpu
take_gpu()
print(os.environ["{VISIBLE}"], os.environ.get("{SHARE}"), flush=True)
sys.stdin.read()
"""


def share(workers: int, *, mps: bool | None, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.set_level(logging.INFO)
    with sharing_gpus(workers, mps=mps):
        return [record.getMessage() for record in caplog.records]


def test_workers_that_share_are_announced(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv(VISIBLE, "0,1")
    monkeypatch.setenv("PATH", "")

    assert share(4, mps=True, caplog=caplog) == [
        "gpus      4 workers share 2 GPUs; nvidia-cuda-mps-control is not on the PATH, so kernels of different "
        "workers take turns"
    ]
    caplog.clear()
    assert share(4, mps=False, caplog=caplog) == [
        "gpus      4 workers share 2 GPUs; MPS is turned off, so kernels of different workers take turns"
    ]


@pytest.mark.parametrize(("workers", "mps", "visible"), [(2, True, "0,1"), (4, None, "0"), (4, True, "")])
def test_nothing_is_said_where_nothing_is_shared(
    workers: int,
    mps: bool | None,
    visible: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(VISIBLE, visible)

    assert share(workers, mps=mps, caplog=caplog) == []


def test_processes_of_a_launcher_take_gpus_that_no_other_one_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "2,5")
    pipe = subprocess.PIPE

    def start(stack: ExitStack) -> "subprocess.Popen[str]":
        job = [sys.executable, "-c", _JOB]
        return stack.enter_context(subprocess.Popen(job, stdin=pipe, stdout=pipe, text=True))

    def read(process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    with offering_gpus(3, mps=False), ExitStack() as stack:
        jobs = [start(stack) for _ in range(3)]
        taken = [read(job) for job in jobs]
        first = jobs[taken.index("5 None")]
        first.communicate()
        successor = read(start(stack))

    assert sorted(taken) == ["2 0/2/2", "2 0/2/2", "5 None"]
    assert successor == "5 None"


@pytest.mark.parametrize(
    ("launcher", "jobs", "offered"),
    [
        ({"_target_": "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher", "n_jobs": 4}, 8, [4]),
        ({"_target_": "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher", "n_jobs": 4}, 2, [2]),
        ({"_target_": "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"}, 8, []),
        ({"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}, 1, []),
    ],
    ids=["joblib", "fewer jobs", "slurm", "one after the other"],
)
def test_a_grid_offers_gpus_to_as_many_jobs_as_run_at_a_time_on_this_machine(
    launcher: dict[str, object], jobs: int, offered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []
    monkeypatch.setattr(grid, "offering_gpus", lambda workers, mps: found.append(workers))
    sweeper = grid.GridSweeper()
    sweeper._config = OmegaConf.create({"hydra": {"launcher": launcher}})

    sweeper._offer_gpus(jobs)

    assert found == offered
