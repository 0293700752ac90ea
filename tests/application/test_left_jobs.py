"""Jobs that a command has left running in the folder of its sweep."""

import os
import threading
import time
from pathlib import Path

import pytest

from dcase_sweep.application import left_jobs
from dcase_sweep.application.left_jobs import find_last_epoch, wait_for_jobs
from dcase_sweep.utils.leases import claim_folder


def test_a_sweep_without_running_jobs_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "0/.hydra").mkdir(parents=True)

    assert not wait_for_jobs(tmp_path)


def test_jobs_on_this_machine_are_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "0/.hydra").mkdir(parents=True)
    (tmp_path / "1/checkpoints").mkdir(parents=True)
    held, ended = threading.Event(), threading.Event()

    def hold() -> None:
        with claim_folder(tmp_path / "1"):
            held.set()
            ended.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    threading.Timer(0.2, ended.set).start()
    with caplog.at_level("INFO", "dcase_sweep"):
        assert wait_for_jobs(tmp_path)

    assert ended.is_set()
    assert caplog.messages == [f"waiting   for 1 job that an earlier command has left running in {tmp_path}"]
    thread.join()


def test_jobs_in_the_queue_of_slurm_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".submitit/12").mkdir(parents=True)
    (tmp_path / "asked").touch()
    squeue = tmp_path / "bin/squeue"
    squeue.parent.mkdir()
    squeue.write_text(f"#!/bin/sh\necho 7\n[ -e {tmp_path}/asked ] && rm {tmp_path}/asked && echo 12\nexit 0\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(left_jobs, "_QUEUE", 0.0)

    assert wait_for_jobs(tmp_path)
    assert not wait_for_jobs(tmp_path)


def test_the_last_epoch_is_known_by_its_checkpoint(tmp_path: Path) -> None:
    assert find_last_epoch(tmp_path) is None
    last = tmp_path / "checkpoints/last.ckpt"
    last.parent.mkdir()
    last.touch()
    before = find_last_epoch(tmp_path)
    os.utime(last, (time.time() + 5, time.time() + 5))

    assert before is not None
    assert find_last_epoch(tmp_path) != before
