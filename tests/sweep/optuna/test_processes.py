"""Worker processes: detection of their end, and their end after that of the parent."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import SimpleNamespace

import pytest

from dcase_sweep.sweep.launchers import JobLost
from dcase_sweep.sweep.optuna import processes
from dcase_sweep.sweep.optuna.processes import Death, Processes, get_environment
from dcase_sweep.utils.gpus import SHARE


def end(number: int) -> None:
    own = [os.environ.get(name) for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")]
    print(f"worker {number} with {own[0]} on {own[1]}", flush=True)
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def test_ends_and_deaths_are_reported_and_output_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    workers = Processes(end, 2, tmp_path, threads=3)

    ended: dict[int, Death | None] = {}
    while workers.running:
        ended |= dict(workers.collect())
        time.sleep(0.05)

    assert ended[0] is None
    death = ended[1]
    assert death is not None
    assert death.how == "killed by SIGKILL (out of memory?)"
    assert (tmp_path / "worker-0.log").read_text().strip() == "worker 0 with 3 on 2"
    assert (tmp_path / "worker-1.log").read_text().strip() == "worker 1 with 3 on 5"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,5"


def lose(number: int) -> None:
    raise JobLost("node 10.0.0.2 has died")


def test_a_job_that_a_launcher_has_lost_is_to_be_tried_again(tmp_path: Path) -> None:
    workers = Processes(lose, 1, tmp_path, threads=None)

    while not (ended := workers.collect()):
        time.sleep(0.05)

    ((_, death),) = ended
    assert death is not None
    assert death.is_lost
    assert death.how == "its job was lost with the process or the machine that ran it"
    assert "lost: node 10.0.0.2 has died" in (tmp_path / "worker-0.log").read_text()


def test_what_a_process_prints_before_it_is_a_worker_is_in_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def start_halfway(process: SpawnProcess) -> None:
        subprocess.run([sys.executable, "-c", "raise EOFError('the parent was interrupted')"])
        raise KeyboardInterrupt

    monkeypatch.setattr(SpawnProcess, "start", start_halfway)

    with pytest.raises(KeyboardInterrupt):
        Processes(end, 1, tmp_path, threads=None)

    print("after", file=sys.stderr)
    assert capfd.readouterr().err == "after\n"
    assert "the parent was interrupted" in (tmp_path / "worker-0.log").read_text()


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import time\nfrom pathlib import Path\n"
        "from dcase_sweep.sweep.optuna.processes import Processes\n"
        "from tests.sweep.optuna.test_processes import wait_for_ever\n"
        "if __name__ == '__main__':\n"
        f"    processes = Processes(wait_for_ever, 1, Path({str(tmp_path)!r}), None)\n"
        "    print(processes.pids[0], flush=True)\n"
        "    time.sleep(60)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(program)
    root = Path(__file__).resolve().parents[3]
    environment = os.environ | {"PYTHONPATH": str(root)}
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    deadline = time.monotonic() + 30
    while "waiting" not in _text(tmp_path / "worker-0.log") and time.monotonic() < deadline:
        time.sleep(0.05)

    parent.kill()
    parent.wait()
    parent.stdout.close()

    while _is_there(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_there(worker)


def test_on_windows_workers_are_stopped_through_their_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ending a process there gives it no time to store its trial as interrupted."""
    monkeypatch.setattr(SpawnProcess, "terminate", lambda process: pytest.fail("terminated"))
    monkeypatch.setattr(SpawnProcess, "kill", lambda process: pytest.fail("killed"))
    monkeypatch.setattr(processes, "sys", SimpleNamespace(platform="win32"))
    workers = Processes(stop_in_order, 1, tmp_path, threads=None)
    deadline = time.monotonic() + 30
    while "waiting" not in _text(tmp_path / "worker-0.log") and time.monotonic() < deadline:
        time.sleep(0.05)

    workers.stop()

    assert _text(tmp_path / "worker-0.log").splitlines() == ["waiting", "interrupted"]


def stop_in_order(number: int) -> None:
    from dcase_sweep.utils.signals import Interrupted, interruptible

    try:
        with interruptible():
            wait_for_ever(number)
    except Interrupted:
        print("interrupted", flush=True)
        raise


def wait_for_ever(number: int) -> None:
    print("waiting", flush=True)
    time.sleep(60)


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_each_worker_sees_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2")

    assert [get_environment(number, None)["CUDA_VISIBLE_DEVICES"] for number in range(3)] == ["0", "2", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert get_environment(0, None) == {}


def share(number: int) -> None:
    print(f"on {os.environ['CUDA_VISIBLE_DEVICES']}, {os.environ.get(SHARE)}", flush=True)


def test_workers_know_with_how_many_they_share_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    workers = Processes(share, 3, tmp_path, threads=None)

    while workers.running:
        workers.collect()
        time.sleep(0.05)

    logs = [(tmp_path / f"worker-{number}.log").read_text().strip() for number in range(3)]
    assert logs == ["on 2, 0/2/2", "on 5, None", "on 2, 0/2/2"]
    assert SHARE not in os.environ
