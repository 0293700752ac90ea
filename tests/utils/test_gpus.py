"""Which worker uses which GPU."""

import os
import sys
from pathlib import Path

import pytest

from dcase_sweep.utils import gpus
from dcase_sweep.utils.gpus import SHARE, VISIBLE, GpuShare, assign_gpu, find_share, find_visible_gpus


def test_workers_take_the_visible_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "2,5")

    assert [assign_gpu(worker, 3) for worker in range(3)] == [
        {VISIBLE: "2", SHARE: "0/2/2"},
        {VISIBLE: "5"},
        {VISIBLE: "2", SHARE: "0/2/2"},
    ]


def test_the_only_gpu_that_the_user_shows_stays_and_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "GPU-8932f937")

    assert assign_gpu(3, 4) == {SHARE: "0/1/4"}
    monkeypatch.setenv(SHARE, "0/1/4")
    assert find_share() == GpuShare(index=0, gpus=1, workers=4)
    assert GpuShare(0, 1, 4).describe() == "GPU 0 of 1, shared with 3 other workers"
    assert GpuShare(1, 2, 2).describe() == "GPU 1 of 2, shared with 1 other worker"


@pytest.mark.parametrize(("visible", "found"), [("", []), ("-1", []), ("0,-1,1", ["0"]), (" 0, 1", ["0", "1"])])
def test_names_are_read_as_cuda_reads_them(visible: str, found: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, visible)

    assert find_visible_gpus() == found


def test_without_the_variable_the_gpus_of_the_driver_are_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setattr(gpus, "_DRIVER", tmp_path)
    assert assign_gpu(0, 4) == {}

    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / name).mkdir()

    assert assign_gpu(3, 4) == {VISIBLE: "1", SHARE: "1/2/2"}


@pytest.mark.parametrize("text", ["", "0/1/1", "0/1", "a/1/2", "0/1/99999"])
def test_without_other_workers_nothing_is_shared(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARE, text)

    assert find_share() is None


@pytest.mark.skipif(sys.platform == "win32", reason="the command is a script of a shell")
@pytest.mark.parametrize(
    ("script", "found"),
    [
        (
            "echo 'GPU 0: NVIDIA GeForce RTX 4070 (UUID: GPU-8932f937)'; echo 'GPU 1: NVIDIA T4 (UUID: GPU-1)'",
            ["0", "1"],
        ),
        ("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18", []),
        ("echo 'No devices found.'", []),
    ],
)
def test_where_the_driver_has_no_folder_its_command_lists_the_gpus(
    script: str, found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setattr(gpus, "_DRIVER", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    gpus._ask_nvidia_smi.cache_clear()

    assert find_visible_gpus() == found

    gpus._ask_nvidia_smi.cache_clear()
