"""The GPUs of several processes of one command: who uses which, and how they share one."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from dcase_sweep.sweep.mps import running_mps
from dcase_sweep.utils import leases
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.environment import changed_environment
from dcase_sweep.utils.gpus import assign_gpu, find_visible_gpus

log = logging.getLogger(__name__)

#: The folder with a file for each process that a launcher runs at a time.
_SLOTS = "DCASE_SWEEP_GPU_SLOTS"
#: The locks of this process on such files.
_taken: list[AbstractContextManager[bool]] = []


@contextmanager
def sharing_gpus(workers: int, *, mps: bool | None) -> Iterator[None]:
    """Context in which several processes use the GPUs of this machine. Says in one line how they share them.

    Args:
        workers: how many processes there are at a time.
        mps: whether MPS is started where processes share a GPU; None = they use no GPU.
    """
    gpus = find_visible_gpus()
    if mps is None or not gpus or workers <= len(gpus):
        yield
        return
    turns = nullcontext("MPS is turned off, so kernels of different workers take turns")
    with running_mps(-(-workers // len(gpus))) if mps else turns as how:
        log.info(f"gpus      {pluralize(workers, 'worker')} share {pluralize(len(gpus), 'GPU')}; {how}")
        yield


@contextmanager
def offering_gpus(workers: int, *, mps: bool | None) -> Iterator[None]:
    """Context in which processes that a launcher starts take a GPU with `take_gpu`.

    Args:
        workers: how many processes there are at a time.
        mps: whether MPS is started where processes share a GPU; None = they use no GPU.
    """
    if mps is None or workers < 2 or not find_visible_gpus():
        yield
        return
    with tempfile.TemporaryDirectory(prefix="dcase-gpus-") as folder, sharing_gpus(workers, mps=mps):
        for number in range(workers):
            (Path(folder) / str(number)).touch()
        with changed_environment({_SLOTS: folder}):
            yield


def take_gpu() -> None:
    """Choose the GPU of this process, if its command offers them. To be called before the GPU is used.

    The process keeps the first number that no other one has, until it ends.
    """
    folder = os.environ.pop(_SLOTS, None)
    if folder is None or not os.path.isdir(folder):
        return
    workers = len(os.listdir(folder))
    for number in range(workers):
        lock = leases.claim(Path(folder) / str(number))
        if lock.__enter__():
            _taken.append(lock)
            os.environ.update(assign_gpu(number, workers))
            return
        lock.__exit__(None, None, None)
    os.environ.update(assign_gpu(os.getpid(), workers))
