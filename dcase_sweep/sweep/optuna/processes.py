"""Workers as processes of this machine: started, watched, replaced when they die."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import cloudpickle

#: Bytes of a worker's output that are looked at for its last lines.
_TAIL = 16_384


@dataclass(frozen=True, slots=True)
class Death:
    """A worker that ended otherwise than by coming to its end."""

    pid: int
    #: ``killed by SIGKILL``, or its exit code.
    how: str


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = " (out of memory?)" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"


def gpus() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; found without touching them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    folder = Path("/proc/driver/nvidia/gpus")
    return [str(index) for index, _ in enumerate(folder.iterdir())] if folder.is_dir() else []


def get_environment(worker: int, threads: int | None) -> dict[str, str]:
    """What a worker's environment has of its own: its GPU where there are several, and its share of the cores."""
    own = {}
    found = gpus()
    if len(found) > 1:
        own["CUDA_VISIBLE_DEVICES"] = found[worker % len(found)]
    if threads is not None:
        own |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return own


@contextmanager
def _environment(own: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _main(payload: bytes, number: int, log: str, parent: Connection) -> None:
    """Run a worker: its output goes to a file of its own, and it ends with its parent, however that ends."""
    os.setsid()  # Ctrl-C on the terminal is the parent's to hear
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    from dcase_sweep.utils.signals import Interrupted

    work: Callable[[int], Any] = cloudpickle.loads(payload)
    try:
        work(number)
    except Interrupted as interrupted:
        raise SystemExit(interrupted.exit_code) from None


def _end_with(parent: Connection) -> None:
    """Wait for the parent's end of the pipe to be closed, by whatever: then stop as if asked to."""
    try:
        parent.recv_bytes()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)


class Processes:
    """``count`` workers that run until they come to their end.

    Args:
        work: what each of them does; given the worker's number.
        count: how many at a time.
        folder: where their output goes, a file a worker.
        threads: each one's share of the cores; None = as configured.
    """

    def __init__(self, work: Callable[[int], Any], count: int, folder: Path, threads: int | None) -> None:
        self._payload = cloudpickle.dumps(work)
        self._folder = folder
        self._threads = threads
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[int, tuple[SpawnProcess, Connection]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            self.start(number)

    def start(self, number: int) -> None:
        """Begin a worker of this number."""
        theirs, ours = self._context.Pipe(duplex=False)
        log = str(self._log_of(number))
        process = self._context.Process(
            target=_main, args=(self._payload, number, log, theirs), name=f"worker-{number}"
        )
        with _environment(get_environment(number, self._threads)):
            process.start()
        theirs.close()
        self._workers[number] = process, ours

    @property
    def running(self) -> int:
        """How many workers there are."""
        return len(self._workers)

    @property
    def pids(self) -> dict[int, int]:
        """The process of each worker."""
        return {number: process.pid for number, (process, _) in self._workers.items() if process.pid is not None}

    def tail(self, number: int, lines: int = 5) -> list[str]:
        """The last lines that a worker of this number has printed."""
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
        """The workers that ended since the last call; None = as they should."""
        ended: list[tuple[int, Death | None]] = []
        for number, (process, pipe) in list(self._workers.items()):
            if process.exitcode is None:
                continue
            del self._workers[number]
            pipe.close()
            assert process.pid is not None
            death = None if process.exitcode == 0 else Death(process.pid, describe_exit(process.exitcode))
            ended.append((number, death))
        return ended

    def stop(self, patience: float = 20.0) -> None:
        """Ask all to end, wait so many seconds for it, then kill."""
        for process, _ in self._workers.values():
            if process.pid is not None and process.exitcode is None:
                process.terminate()
        for process, pipe in self._workers.values():
            process.join(patience)
            if process.exitcode is None:
                process.kill()
                process.join()
            pipe.close()
        self._workers.clear()
