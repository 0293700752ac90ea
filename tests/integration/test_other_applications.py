"""A search in another Hydra application: killed, continued, rejected, repeated."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import optuna
import pytest

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.study import open_storage
from tests.engines.hosts import on_host
from tests.warm import WarmProcess, WarmServer

PROJECT = Path(__file__).resolve().parents[1] / "projects" / "sklearn_search"
ROOT = Path(__file__).resolve().parents[2]
SLOW = ("-m", "seconds_per_epoch=0.1", "hydra/sweeper/optuna_workers/pruner=median")


class Project:
    """The application in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(PROJECT, folder, dirs_exist_ok=True)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HYDRA_")}
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        return kept | more | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}

    def start(
        self, *arguments: str, host: str | None = None, environment: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[str]":
        """Start the command without waiting; with a host, on a machine of this name."""
        return subprocess.Popen(
            [*(on_host(host) if host else ()), sys.executable, "train.py", *arguments],
            cwd=self.folder,
            env=self.environment(**environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run to the end, check the exit code, and return what was printed."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == code, output
        return output

    def study(self) -> optuna.Study:
        return optuna.load_study(study_name="train", storage=open_storage(str(self.folder / "optuna.log")))


class WarmProject(Project):
    """The application, whose commands are forked from a process that has imported what it needs."""

    def __init__(self, folder: Path, warm: WarmServer) -> None:
        super().__init__(folder)
        self._warm = warm

    def fork(self, *arguments: str, warm_workers: bool = True) -> WarmProcess:
        """Start the command without waiting.

        Args:
            arguments: of the command.
            warm_workers: as in `WarmServer.start`.
        """
        return self._warm.start(
            arguments,
            folder=self.folder,
            environment=self.environment(),
            warm_workers=warm_workers,
            script="train.py",
        )

    def __call__(self, *arguments: str, code: int = 0) -> str:
        process = self.fork(*arguments)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == code, output
        return output


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, warm: WarmServer) -> WarmProject:
    return WarmProject(tmp_path_factory.mktemp("project"), warm)


@pytest.fixture(scope="module")
def continued(project: WarmProject) -> str:
    """The output of the second command, after the first one was killed during its trials.

    The workers of the first one are started as people's are.
    """
    process = project.fork(*SLOW, warm_workers=False)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(KeyError):  # there is no study yet
            found = records.counts(project.study().get_trials(deepcopy=False))
            if found["finished"] >= 2 and found["running"]:
                break
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    _wait_for_workers(project)
    return project(*SLOW)


def _wait_for_workers(project: Project) -> None:
    """Workers end when the command that started them ends."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        trials = project.study().get_trials(deepcopy=False)
        if not any(records.kind(trial) == "running" and not records.owners.is_gone(trial) for trial in trials):
            return
        time.sleep(0.1)
    raise AssertionError("a worker outlives its command")


def test_the_same_command_continues_a_killed_search_to_its_total(project: Project, continued: str) -> None:
    trials = project.study().get_trials()
    found = records.counts(trials)

    assert re.search(r"search    train \(continued with \d finished", continued)
    assert found["finished"] + found["pruned"] == 8
    interrupted = [trial for trial in trials if records.kind(trial) == "interrupted"]
    assert interrupted
    for trial in interrupted:
        retries = [other for other in trials if other.user_attrs.get(records.RETRY_OF) == trial.number]
        assert [other.params for other in retries] == [trial.params]
    assert all(list(trial.intermediate_values) for trial in trials if records.kind(trial) == "finished")


def test_results_are_written_and_the_best_can_be_repeated(project: Project, continued: str) -> None:
    folder = max((project.folder / "multirun").glob("*/*"), key=lambda path: path.stat().st_mtime)
    command = re.search(r"repeat    python train.py (.*)", continued)

    assert {"optimization_results.yaml", "trials.csv", "figures"} <= {path.name for path in folder.iterdir()}
    assert command is not None
    project(*shlex.split(command[1]))


def test_finished_jobs_are_not_run_again(project: Project, continued: str) -> None:
    before = len(project.study().get_trials())

    assert "train (continued with" in project(*SLOW)
    assert len(project.study().get_trials()) == before


def test_another_space_or_configuration_is_rejected_in_one_line(project: Project, continued: str) -> None:
    changed = project(*SLOW, "epochs=6", "classifier.eta0=interval(1,2)", code=1)

    (line,) = [each for each in changed.splitlines() if each.startswith("error: ")]
    assert line.startswith("error: study train was created with different settings: space classifier.eta0: was")
    assert "configuration epochs: was 5, is 6" in line
    assert "Traceback" not in changed


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("hydra.sweeper.direction=up", "error: hydra.sweeper.direction=up: expected maximize or minimize"),
        ("hydra.sweeper.workers=0", "error: hydra.sweeper.workers=0: expected a whole number of at least 1"),
    ],
)
def test_wrong_settings_are_rejected_in_one_line(project: Project, argument: str, message: str) -> None:
    printed = project("-m", argument, code=1)

    errors = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith(message)
    assert "Traceback" not in printed
