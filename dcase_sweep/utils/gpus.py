"""The NVIDIA GPUs that a process may use, and how the workers of a command share them. Does not import PyTorch."""

import functools
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

#: The GPUs that CUDA shows to a process, by their numbers or names.
VISIBLE = "CUDA_VISIBLE_DEVICES"
#: The share of a worker, for its own process: the text of a `GpuShare`.
SHARE = "DCASE_SWEEP_GPU_SHARE"
_DRIVER = Path("/proc/driver/nvidia/gpus")
_TEXT = re.compile(r"(\d{1,4})/(\d{1,4})/(\d{1,4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class GpuShare:
    """The GPU of a worker that others use too.

    Attributes:
        index: its number among the visible GPUs of the command.
        gpus: how many GPUs are visible to the command.
        workers: how many workers use this GPU.
    """

    index: int
    gpus: int
    workers: int

    def __str__(self) -> str:
        return f"{self.index}/{self.gpus}/{self.workers}"

    def describe(self) -> str:
        """Describe the share in words: ``GPU 0 of 1, shared with 3 other workers``."""
        others = self.workers - 1
        return f"GPU {self.index} of {self.gpus}, shared with {others} other worker{'' if others == 1 else 's'}"


class DeviceLost(SystemExit):
    """The end of a process that cannot use its GPU any more. A worker of a search is replaced then."""


def is_gpu_lost() -> bool:
    """Whether this process has used a GPU and cannot use it any more.

    After an error such as an index out of range in a kernel, every further call of CUDA in the process fails.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False


def find_visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, in the form of ``CUDA_VISIBLE_DEVICES``, without initializing them."""
    visible = os.environ.get(VISIBLE)
    if visible is None:
        count = len(list(_DRIVER.iterdir())) if _DRIVER.is_dir() else _ask_nvidia_smi()
        return [str(index) for index in range(count)]
    names = [name.strip() for name in visible.split(",")]
    # CUDA ignores what follows an invalid name; -1 is the usual way to hide all GPUs.
    end = next((index for index, name in enumerate(names) if name in ("", "-1")), len(names))
    return names[:end]


@functools.cache
def _ask_nvidia_smi() -> int:
    """Return how many GPUs NVIDIA's own command lists: under WSL, for example, the driver has no folder."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    try:
        done = subprocess.run([command, "--list-gpus"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in done.stdout.splitlines())


def assign_gpu(worker: int, workers: int) -> dict[str, str]:
    """Return the environment variables that give a worker its GPU; the GPUs are assigned in turn.

    Args:
        worker: number of the worker, from 0.
        workers: how many workers there are on this machine.
    """
    gpus = find_visible_gpus()
    if not gpus:
        return {}
    index = worker % len(gpus)
    own = {VISIBLE: gpus[index]} if len(gpus) > 1 else {}
    sharing = len(range(index, workers, len(gpus)))
    if sharing > 1:
        own[SHARE] = str(GpuShare(index, len(gpus), sharing))
    return own


def find_share() -> GpuShare | None:
    """Return the share of this process; None if it has a GPU of its own, or none."""
    found = _TEXT.fullmatch(os.environ.get(SHARE, ""))
    share = GpuShare(*map(int, found.groups())) if found else None
    return share if share is not None and share.workers > 1 else None
