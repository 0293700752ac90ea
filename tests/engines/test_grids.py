"""Grids whose jobs run in a batch system: jobs, hosts and the command are killed, and the comparison is complete."""

import csv
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import CommandLine
from tests.engines.slurm import PYTHON, Slurm, find_reason, start_slurm, wait_until
from tests.integration.test_other_applications import ROOT

Tiny = Callable[..., list[str]]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep that writes into a file. Its jobs inherit its output, so that a pipe would be open until they end."""

    process: "subprocess.Popen[bytes]"
    output: Path

    def read(self) -> str:
        return self.output.read_text()

    def wait_for(self, text: str) -> None:
        """Wait until it has written a line with this text."""
        wait_until(lambda: text in self.read() or self.process.poll() is not None, text, self.read, patience=120)
        assert text in self.read(), self.read()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def start(folder: Path, name: str, *words: str, **variables: str) -> Sweep:
    """Start a sweep whose jobs have one thread and a store of features of their own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "HYDRA_"))}
    own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DCASE_SWEEP_CACHE": str(folder / "cache")}
    with (folder / f"{name}.txt").open("wb") as output:
        process = subprocess.Popen(
            [PYTHON, "-m", "dcase_sweep", "-m", *words],
            cwd=folder,
            env=kept | own | {"PYTHONWARNINGS": "ignore"} | variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return Sweep(process, folder / f"{name}.txt")


def find_processes(folder: Path) -> list[int]:
    """The processes of submitit's jobs in a folder, without those that watch them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode().split("\0")
        except OSError:  # it has ended
            continue
        is_python = Path(words[0]).name.startswith("python")  # not srun, which has the same words
        if is_python and "submitit.core._submit" in words and any(word.startswith(str(folder)) for word in words):
            found.append(int(path.parent.name))
    return found


def count_compared(folder: Path) -> int:
    """The number of finished jobs in the comparison."""
    with (folder / "grid/comparison.csv").open() as handle:
        return sum(int(row["finished"]) for row in csv.DictReader(handle))


def count_epochs(folder: Path) -> int:
    return len(list(folder.glob("grid/*/checkpoints/last.ckpt")))


@pytest.mark.minutes
def test_jobs_that_are_killed_are_run_again_and_outlive_their_command(command_line: CommandLine, tiny: Tiny) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    folder = command_line.folder
    words = [*tiny("training.epochs=60", "seed=0,1", "hydra.sweep.dir=grid"), "hydra/launcher=submitit_local"]
    first = start(folder, "first", *words)
    wait_until(lambda: count_epochs(folder) == 2, "both jobs have stored an epoch", first.read, patience=120)
    killed, other = find_processes(folder)
    os.kill(other, signal.SIGSTOP)
    os.kill(killed, signal.SIGKILL)
    first.wait_for("is run again: its job ")
    first.kill()

    second = start(folder, "second", *words)
    second.wait_for("that an earlier command has left running in grid")
    os.kill(other, signal.SIGCONT)

    assert second.process.wait(200) == 0, second.read()
    assert "sweep     2 of 2 jobs finished" in second.read()
    assert "Traceback" not in first.read() + second.read()
    assert count_compared(folder) == 2


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    reason = find_reason()
    if reason is not None:
        pytest.skip(reason)
    with start_slurm() as slurm:
        yield slurm


@pytest.mark.minutes
def test_a_grid_of_slurm_survives_a_cancelled_job_a_dead_host_and_its_command(
    slurm: Slurm, command_line: CommandLine, tiny: Tiny
) -> None:
    folder = command_line.folder / "slurm"
    folder.mkdir()
    words = [*tiny("training.epochs=60", "seed=0,1,2,3", "hydra.sweep.dir=grid", "tracking.folder=mlruns")]
    words += ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=test", "hydra.launcher.timeout_min=20"]
    first = start(folder, "first", *words, **slurm.environment)
    wait_until(lambda: count_epochs(folder) == 4, "all jobs have stored an epoch", slurm.describe, patience=180)
    running = [job for job, state in slurm.jobs().items() if state == "RUNNING"]
    slurm.run("scancel", running[0])
    wait_until(lambda: len(find_processes(folder)) == 3, "the job is cancelled", slurm.describe)
    paused = find_processes(folder)
    for each in paused:
        os.kill(each, signal.SIGSTOP)
    first.wait_for("is run again: its job ")
    slurm.restart_host("south")
    first.kill()

    second = start(folder, "second", *words, **slurm.environment)
    second.wait_for("that an earlier command has left running in grid")
    for each in paused:
        with suppress(ProcessLookupError):  # it has ended with its host
            os.kill(each, signal.SIGCONT)

    assert second.process.wait(400) == 0, second.read() + slurm.describe()
    assert "sweep     4 of 4 jobs finished" in second.read()
    assert "Traceback" not in first.read() + second.read()
    assert count_compared(folder) == 4
