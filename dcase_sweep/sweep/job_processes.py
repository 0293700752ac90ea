"""Jobs of a grid in processes of this machine, each of which runs one job after the other."""

import logging
import multiprocessing
import pickle
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, NamedTuple

import cloudpickle
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from dcase_sweep.sweep.application import Application
from dcase_sweep.sweep.child_process import Pipe, describe_exit, end_with, leave_terminal, without_interrupts
from dcase_sweep.sweep.launchers import JOBLIB, JobFailed, without_processes
from dcase_sweep.sweep.launches import Ended, Launch, make_return
from dcase_sweep.utils.collection import importing, own_process

#: Seconds within which interrupted jobs write their last epochs.
_PATIENCE = 20.0


class LaunchInProcess:
    """Calls a launcher for one job in the process that it is sent to.

    Args:
        application: the application of the jobs.
        context: Hydra's context.
        task: Hydra's task function.
        config: the composed sweep, which names the launcher.
    """

    def __init__(self, application: Application, context: HydraContext, task: TaskFunction, config: DictConfig) -> None:
        self._application = application
        self._context = context
        self._task = task
        self._config = without_processes(config)
        self._hydra_state = Singleton.get_state()
        self._launcher: Any = None

    def __call__(self, overrides: list[str], number: int) -> JobReturn:
        """Run a job and return its result, which may be an error."""
        if self._launcher is None:
            logging.getLogger(JOBLIB).setLevel(logging.WARNING)  # three lines for each job
            self._application.set_up_process(self._hydra_state)
            self._launcher = Plugins.instance().instantiate_launcher(
                hydra_context=self._context, task_function=self._task, config=self._config
            )
        (result,) = self._launcher.launch([overrides], initial_job_idx=number)
        assert isinstance(result, JobReturn)
        return result


class _Process(NamedTuple):
    """A process, the pipe of its jobs and results, and the one by whose end it notices that of its parent."""

    process: SpawnProcess
    jobs: Pipe
    alive: Pipe


class ProcessLaunches:
    """Processes that take jobs. One that dies is replaced, and costs only its job.

    Args:
        launch: runs one job in such a process; it is pickled.
    """

    def __init__(self, launch: Launch) -> None:
        self._payload = cloudpickle.dumps(launch)
        self._context = multiprocessing.get_context("spawn")
        self._idle: list[_Process] = []
        self._busy: dict[Any, tuple[int, _Process]] = {}

    @property
    def running(self) -> int:
        """The number of running jobs."""
        return len(self._busy)

    def start(self, number: int, overrides: Sequence[str]) -> None:
        """Give a job to an idle process, or to a new one."""
        found = self._idle.pop() if self._idle else self._start_process()
        self._busy[found.jobs] = number, found
        with suppress(OSError):  # if it has died, `collect` says so
            found.jobs.send_bytes(pickle.dumps((list(overrides), number)))

    def _start_process(self) -> _Process:
        ours, theirs = self._context.Pipe()
        watched, alive = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_main, args=(self._payload, theirs, watched))
        with without_interrupts():
            process.start()
        theirs.close()
        watched.close()
        return _Process(process, ours, alive)

    def collect(self) -> list[Ended]:
        """Return the jobs that have ended since the last call."""
        ended = []
        for pipe in connection.wait(list(self._busy), timeout=0):
            number, found = self._busy.pop(pipe)
            try:
                ended.append(Ended(number, pickle.loads(found.jobs.recv_bytes())))
            except (EOFError, OSError):
                found.process.join()
                _close(found)
                ended.append(Ended(number, how=describe_exit(found.process.exitcode or 0)))
            else:
                self._idle.append(found)
        return ended

    def stop(self) -> None:
        """Ask all processes to stop, wait for some time, then kill them."""
        left = [*self._idle, *(found for _, found in self._busy.values())]
        for found in left:
            found.alive.close()
        for found in left:
            found.process.join(_PATIENCE)
            if found.process.exitcode is None:
                found.process.kill()
                found.process.join()
            found.jobs.close()
        self._idle.clear()
        self._busy.clear()


def _close(found: _Process) -> None:
    found.jobs.close()
    found.alive.close()


@own_process()
def _main(payload: bytes, jobs: Connection, parent: Connection) -> None:
    """Run jobs until the parent closes its end of a pipe or ends for any reason."""
    leave_terminal()
    from dcase_sweep.utils.signals import Interrupted, ignore_repeats

    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    ignore_repeats()
    with importing():
        launch: Launch = cloudpickle.loads(payload)
    try:
        while True:
            overrides, number = pickle.loads(jobs.recv_bytes())
            jobs.send_bytes(_run(launch, overrides, number))
    except (EOFError, OSError):
        return
    except Interrupted as interrupted:
        raise SystemExit(interrupted.exit_code) from None


def _run(launch: Launch, overrides: list[str], number: int) -> bytes:
    """Run a job and return its result, pickled."""
    try:
        return cloudpickle.dumps(launch(overrides, number))
    except Exception as error:
        return cloudpickle.dumps(make_return(JobFailed(f"{type(error).__name__}: {' '.join(str(error).split())}")))
