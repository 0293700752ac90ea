"""Replacement of workers that die, and recovery of their trials."""

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from omegaconf import OmegaConf

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna import worker_pool
from dcase_sweep.sweep.optuna.launched import LaunchedProcesses
from dcase_sweep.sweep.optuna.processes import Death
from dcase_sweep.sweep.optuna.worker_pool import WorkerPool
from dcase_sweep.utils.processes import this_process
from tests.sweep.optuna.test_study import opened


def test_an_interrupted_trial_waits_for_its_retry_before_the_worker_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = opened(str(tmp_path / "optuna.log"))
    trial = records.ask(study, 1)
    assert trial is not None
    trial.suggest_float("x", 0, 1)
    records.fail(study, study.get_trials()[0], "SIGTERM", interrupted=True)
    at_start: list[dict[str, int]] = []

    class OneDeath:
        """One worker that is terminated; its successor ends by itself."""

        running: bool = True
        pids: ClassVar[dict[int, int]] = {}

        def collect(self) -> list[tuple[int, Death]]:
            return [(0, Death(1, "its process ended with exit code 143"))]

        def tail(self, number: int) -> list[str]:
            return []

        def start(self, number: int) -> None:
            at_start.append(dict(records.counts(study.get_trials())))
            self.running = False

        def stop(self) -> None:
            pass

    monkeypatch.setattr(worker_pool, "list_points", lambda space: None)
    search: Any = SimpleNamespace(
        space=None, n_trials=1, max_retries=None, grace_period=300.0, time_limit=None, max_failed=0.5
    )
    nothing: Any = None
    pool = WorkerPool(search, study, nothing, nothing, OmegaConf.create(), nothing, 1, tmp_path)
    pool._recovery._next = time.monotonic() + 60  # it has just looked for trials whose process is gone

    workers: Any = OneDeath()
    pool._run(workers, lambda: None)

    assert at_start == [{"interrupted": 1, "waiting": 1}]


def test_a_complete_search_does_not_wait_for_a_launcher_that_has_not_noticed_a_lost_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = opened(str(tmp_path / "optuna.log"))
    trial = records.ask(study, 1)
    assert trial is not None
    looks: list[int] = []

    class Lost(LaunchedProcesses):
        """A launcher whose worker has ended with its machine, before it had a trial."""

        stopped = False

        def __init__(self) -> None:
            pass

        running = 1  # type: ignore[assignment]
        pids: ClassVar[dict[int, int]] = {}  # type: ignore[assignment]

        def collect(self) -> list[tuple[int, Death | None]]:
            looks.append(len(looks))
            if len(looks) == 3:
                study.tell(trial, 0.5)
            return []

        def stop(self, patience: float = 20.0) -> None:
            self.stopped = True

    monkeypatch.setattr(worker_pool, "list_points", lambda space: None)
    monkeypatch.setattr(worker_pool, "_BEAT", 0.05)
    monkeypatch.setattr(worker_pool, "_LEAVING", 0.2)
    search: Any = SimpleNamespace(
        space=None, n_trials=1, max_retries=None, grace_period=300.0, max_failed=0.5, time_limit=None
    )
    nothing: Any = None
    pool = WorkerPool(search, study, nothing, nothing, OmegaConf.create(), nothing, 1, tmp_path)
    workers = Lost()

    pool._run(workers, lambda: None)

    assert workers.stopped
    assert 6 <= len(looks) <= 9


@pytest.mark.parametrize(("package", "left"), [("hydra_plugins.hydra_submitit_launcher.S", 1), (None, 0)])
def test_a_machine_that_joins_works_beside_the_jobs_of_a_batch_system(
    package: str | None, left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = opened(str(tmp_path / "optuna.log"))
    trial = records.ask(study, 2)
    assert trial is not None
    elsewhere = replace(this_process(), machine="another-boot:pid:[1]", host="login2")
    trial.set_user_attr(records.LAUNCHED, f"1 {elsewhere}")
    monkeypatch.setattr(worker_pool, "list_points", lambda space: None)
    search: Any = SimpleNamespace(space=None, n_trials=2, grace_period=300.0, time_limit=None)
    config = OmegaConf.create({"hydra": {"launcher": {"_target_": package}}} if package else {})
    nothing: Any = None

    pool = WorkerPool(search, study, nothing, nothing, config, nothing, 1, tmp_path)

    assert pool._count_left_workers() == left


@pytest.mark.parametrize(
    ("launcher", "shared"),
    [
        (None, [(4, True)]),
        ({"_target_": "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher", "n_jobs": 3}, [(3, True)]),
        ({"_target_": "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher"}, []),
        ({"_target_": "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"}, []),
        ({"_target_": "hydra_plugins.dcase_sweep.RayLauncher"}, []),
    ],
    ids=["processes", "joblib", "submitit_local", "slurm", "ray"],
)
def test_workers_that_end_with_their_command_share_the_gpus_of_this_machine(
    launcher: dict[str, Any] | None, shared: list[tuple[int, bool]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[int, bool]] = []
    monkeypatch.setattr(worker_pool, "list_points", lambda space: None)
    monkeypatch.setattr(worker_pool, "sharing_gpus", lambda workers, mps: found.append((workers, mps)))
    application = SimpleNamespace(choose_mps=lambda base: True)
    search: Any = SimpleNamespace(
        application=application, space=None, n_trials=2, max_retries=None, grace_period=300.0, time_limit=None
    )
    config = OmegaConf.create({"hydra": {"launcher": launcher}} if launcher else {})
    nothing: Any = None

    WorkerPool(search, nothing, nothing, nothing, config, nothing, 4, tmp_path)._share_gpus()

    assert found == shared
