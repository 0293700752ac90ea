"""Start and end of NVIDIA's Multi-Process Service, with a script in the place of its control daemon."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from dcase_sweep.sweep import mps
from dcase_sweep.sweep.mps import CONTROL, running_mps
from dcase_sweep.utils.gpus import VISIBLE

_PIPES = "CUDA_MPS_PIPE_DIRECTORY"
#: Writes down how it is called. With -d it starts unless the file `fail` has a reason; else it reads a command.
_DAEMON = """#!/bin/sh
if [ "$1" = -d ]; then
    if [ -e {here}/fail ]; then cat {here}/fail; exit 3; fi
    echo "start for $CUDA_VISIBLE_DEVICES" >> {here}/calls
    touch "$CUDA_MPS_PIPE_DIRECTORY/control"
else
    read command
    echo "$command" >> {here}/calls
fi
"""


@dataclass(frozen=True)
class Daemon:
    folder: Path

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """A machine with MPS and two GPUs, of which the user shows 2 and 5."""
    script = tmp_path / CONTROL
    script.write_text(_DAEMON.format(here=tmp_path))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv(VISIBLE, "2,5")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv(_PIPES, str(tmp_path / "none"))
    return Daemon(tmp_path)


def test_a_daemon_runs_within_the_context(daemon: Daemon) -> None:
    with running_mps(2) as how:
        assert how == "MPS started: kernels of different workers run at the same time"
        pipes = Path(os.environ[_PIPES])
        assert (pipes / "control").exists()
        assert pipes.is_relative_to(daemon.folder)
        assert os.environ[VISIBLE] == "0,1", "a daemon that is shown GPUs 2 and 5 numbers them from 0"

    assert daemon.calls == ["start for 2,5", "quit"]
    assert not pipes.parent.exists()
    assert (os.environ[VISIBLE], os.environ[_PIPES]) == ("2,5", str(daemon.folder / "none"))


def test_a_daemon_ends_after_an_error(daemon: Daemon) -> None:
    with pytest.raises(KeyboardInterrupt), running_mps(2):
        raise KeyboardInterrupt

    assert daemon.calls == ["start for 2,5", "quit"]


def test_a_daemon_ends_when_its_command_is_killed(daemon: Daemon) -> None:
    kill = "import os; from dcase_sweep.sweep.mps import running_mps\nwith running_mps(2): os.kill(os.getpid(), 9)"

    killed = subprocess.run([sys.executable, "-c", kill])

    assert killed.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while list(daemon.folder.glob("dcase-mps-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert daemon.calls == ["start for 2,5", "quit"]


def test_names_of_gpus_that_are_no_numbers_stay(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "GPU-8932f937,GPU-9a1b2c3d")

    with running_mps(2):
        assert os.environ[VISIBLE] == "GPU-8932f937,GPU-9a1b2c3d"


def test_a_daemon_that_runs_is_used_and_left_running(daemon: Daemon) -> None:
    (daemon.folder / "none").mkdir()
    (daemon.folder / "none" / "control").touch()

    with running_mps(2) as how:
        assert how == "MPS runs already: kernels of different workers run at the same time"

    assert daemon.calls == ["get_server_list"]


def test_without_mps_its_absence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with running_mps(2) as how:
        assert how == "nvidia-cuda-mps-control is not on the PATH, so kernels of different workers take turns"


def test_more_processes_than_mps_serves(daemon: Daemon) -> None:
    with running_mps(49) as how:
        assert how == "MPS serves at most 48 processes of a GPU, so kernels of different workers take turns"

    assert daemon.calls == []


def test_a_daemon_that_does_not_start(daemon: Daemon) -> None:
    (daemon.folder / "fail").write_text("An instance of this daemon\nis already running\n")

    with running_mps(2) as how:
        reason = "exit code 3: An instance of this daemon is already running"
        assert how == f"MPS did not start ({reason}), so kernels of different workers take turns"
        assert os.environ[VISIBLE] == "2,5"

    assert list(daemon.folder.glob("dcase-mps-*")) == []


def test_a_daemon_that_serves_nobody_is_not_used(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mps, "_PROBE", "print(805)")

    with running_mps(2) as how:
        assert how.startswith("MPS did not start (a process that uses it gets error 805 of CUDA), so kernels")
        assert os.environ[_PIPES] == str(daemon.folder / "none")

    assert daemon.calls == ["start for 2,5", "quit"]
