"""Worker processes on this machine."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import cloudpickle

from dcase_sweep.sweep.child_process import LOST, Pipe, describe_exit, end_with
from dcase_sweep.sweep.launchers import JobLost
from dcase_sweep.utils.collection import importing, own_process
from dcase_sweep.utils.environment import changed_environment
from dcase_sweep.utils.gpus import assign_gpu
from dcase_sweep.utils.processes import this_process

#: Bytes of a worker's output that are searched for its last lines.
_TAIL = 16_384


@dataclass(frozen=True, slots=True)
class Death:
    """A worker that ended unexpectedly.

    Attributes:
        pid: its process id, if it is a process of this command.
        how: ``killed by SIGKILL``, or the exit code.
        label: its name in its trials, if a launcher has started it.
        is_lost: whether its trial must be tried again, because its machine or batch system has ended it.
    """

    pid: int
    how: str
    label: str = ""
    is_lost: bool = False


def get_environment(worker: int, threads: int | None, workers: int = 1) -> dict[str, str]:
    """Return the environment variables of a worker: its GPU, and its number of CPU threads.

    Args:
        worker: number of the worker.
        threads: CPU threads; None = as configured.
        workers: how many workers use the GPUs of this machine.
    """
    own = assign_gpu(worker, workers)
    if threads is not None:
        own |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return own


@contextmanager
def _errors_in(log: str) -> Iterator[None]:
    """Write the errors of processes that are started now to a file.

    Python prints a traceback in a new process whose parent is interrupted or killed while it starts it.
    """
    before, descriptor = os.dup(2), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(descriptor)


@own_process()
def _main(payload: bytes, number: int, log: str, parent: Connection) -> None:
    """Run a worker. Its output is written to a file, and it ends when its parent ends for any reason."""
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C in the terminal is handled by the parent
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    from dcase_sweep.utils.signals import Interrupted, ignore_repeats

    ignore_repeats()

    with importing():
        work: Callable[[int], Any] = cloudpickle.loads(payload)
    try:
        work(number)
    except Interrupted as interrupted:
        raise SystemExit(interrupted.exit_code) from None
    except JobLost as lost:
        print(f"lost: {lost}", file=sys.stderr)
        raise SystemExit(LOST) from None


def _ask_to_stop(process: SpawnProcess, pipe: Pipe) -> None:
    """Ask a worker to stop and to store its trial as interrupted."""
    if sys.platform == "win32":  # ``terminate`` would end it at once there
        pipe.close()
    else:
        process.terminate()


class Processes:
    """``count`` workers that run until they have nothing left to do.

    Args:
        work: the function of a worker, called with its number.
        count: number of parallel workers.
        folder: folder of the output files, one per worker.
        threads: CPU threads of each worker; None = as configured.
    """

    def __init__(self, work: Callable[[int], Any], count: int, folder: Path, threads: int | None) -> None:
        self._payload = cloudpickle.dumps(work)
        self._folder = folder
        self._threads = threads
        self._count = count
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[int, tuple[SpawnProcess, Pipe]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            self.start(number)

    def start(self, number: int) -> None:
        """Start the worker with this number."""
        theirs, ours = self._context.Pipe(duplex=False)
        log = str(self._log_of(number))
        process = self._context.Process(
            target=_main, args=(self._payload, number, log, theirs), name=f"worker-{number}"
        )
        own = get_environment(number, self._threads, self._count)
        with changed_environment(own), _errors_in(log):
            process.start()
        theirs.close()
        self._workers[number] = process, ours

    @property
    def running(self) -> int:
        """The number of running workers."""
        return len(self._workers)

    @property
    def pids(self) -> dict[int, int]:
        """The process ID of each worker."""
        return {number: process.pid for number, (process, _) in self._workers.items() if process.pid is not None}

    def tail(self, number: int, lines: int = 5) -> list[str]:
        """Return the last lines of the output of a worker."""
        try:
            with self._log_of(number).open("rb") as handle:
                handle.seek(max(0, handle.seek(0, os.SEEK_END) - _TAIL))
                text = handle.read().decode(errors="replace")
        except OSError:
            return []
        return [line for line in text.splitlines() if line.strip()][-lines:]

    def _log_of(self, number: int) -> Path:
        return self._folder / f"worker-{number}.log"

    def collect(self) -> list[tuple[int, Death | None]]:
        """Return the workers that have ended since the last call; None for those that ended normally."""
        ended: list[tuple[int, Death | None]] = []
        for number, (process, pipe) in list(self._workers.items()):
            if process.exitcode is None:
                continue
            del self._workers[number]
            pipe.close()
            assert process.pid is not None
            how = "" if process.exitcode == 0 else describe_exit(process.exitcode)
            label = f"{process.pid} {this_process()}"  # of a launcher's process
            ended.append((number, Death(process.pid, how, label, process.exitcode == LOST) if how else None))
        return ended

    def stop(self, patience: float = 20.0) -> None:
        """Ask all workers to stop, wait for the given time, then kill them."""
        for process, pipe in self._workers.values():
            if process.pid is not None and process.exitcode is None:
                _ask_to_stop(process, pipe)
        for process, pipe in self._workers.values():
            process.join(patience)
            if process.exitcode is None:
                process.kill()
                process.join()
            pipe.close()
        self._workers.clear()
