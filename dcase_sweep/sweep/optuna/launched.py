"""Workers that a Hydra launcher starts.

Each is launched by a call of its own, so that one that dies takes no other with it. A launcher that waits for a batch
system (submitit) is called in a thread of the command; any other in a process of its own, which may be the worker.
"""

import copy
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig

from dcase_sweep.sweep.launchers import AT_ONCE, SUBMITIT, describe_error, find_state, without_processes
from dcase_sweep.sweep.optuna import owners
from dcase_sweep.sweep.optuna.attributes import ERROR, GONE, INTERRUPTED, LAUNCHED
from dcase_sweep.sweep.optuna.processes import Death, Processes
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.processes import parse_identity, this_process

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from dcase_sweep.sweep.optuna.worker import Worker

log = logging.getLogger(__name__)

#: States of a job that somebody or the batch system has ended for a reason of its own: its trial is tried again.
_LOST = ("BOOT_FAIL", "CANCELLED", "NODE_FAIL", "PREEMPTED", "TIMEOUT", "REVOKED")
_WITHOUT_RESULT = "its process has ended without a result"
#: Seconds within which a worker begins its next trial.
_BETWEEN = 10.0
#: Seconds within which a process ends whose worker counts as ended. It may be the worker: the system reports the end of
#: a process after that of its main thread, which the study shows.
_ENDING = 5.0
#: After a launch that was not accepted the next one waits, at most so many seconds.
_LONGEST_DELAY = 60.0


class Launcher:
    """Launches one worker and waits for its end. Callable as the function of a process.

    Args:
        worker: the worker.
        context: Hydra's context.
        config: the composed sweep, which names the launcher.
        fixed: overrides common to all trials.
    """

    def __init__(self, worker: "Worker", context: HydraContext, config: DictConfig, fixed: Sequence[str]) -> None:
        self.worker = worker
        self.context = context
        self.config = without_processes(config)
        self.fixed = list(fixed)
        self.command = str(this_process())

    def __call__(self, number: int) -> None:
        """Launch a worker from a process of its own.

        Raises:
            RuntimeError: if the worker has ended with an error.
        """
        self.worker.search_config.application.set_up_process(self.worker.hydra_state)
        self.launch(number, make_label(this_process().number, self.command))

    def launch(self, number: int, label: str) -> None:
        """Launch the worker with this number and wait for its end.

        Raises:
            RuntimeError: if it has ended with an error.
            Exception: any error of the launcher.
        """
        worker = copy.copy(self.worker)
        worker.label = label
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.context, task_function=worker, config=self.config
        )
        job = [*self.fixed, f"hydra.sweep.subdir=workers/{number}"]
        for result in launcher.launch([job], initial_job_idx=number):
            error = result.return_value
            if isinstance(error, str):
                raise RuntimeError(error)


def make_label(key: int, command: str) -> str:
    """Name one launched worker: a number that is unique within its command, and the identity of the command."""
    return f"{key} {command}"


def count_left(trials: "Iterable[FrozenTrial]", grace_period: float) -> int:
    """Count the launched workers that run although their command has ended, or cannot be seen from this machine.

    A worker runs if its newest trial that has not ended does. Between two trials it is given some seconds.
    """
    newest = _find_newest(trials)
    commands = {label: parse_identity(str(label).partition(" ")[2]) for label in newest}
    return sum(
        _goes_on(trial, grace_period)
        for label, trial in newest.items()
        if (command := commands[label]) is not None and command.is_running is not True
    )


def _goes_on(trial: "FrozenTrial", grace_period: float) -> bool:
    if not trial.state.is_finished():
        return not owners.is_gone(trial, None, grace_period)
    if trial.user_attrs.get(INTERRUPTED) or trial.datetime_complete is None:
        return False
    return abs(time.time() - trial.datetime_complete.timestamp()) < _BETWEEN


def find_gone(trials: "Iterable[FrozenTrial]", grace_period: float) -> set[str]:
    """Return the labels of the launched workers whose process has ended during their newest trial."""
    return {label for label, trial in _find_newest(trials).items() if _is_gone(trial, grace_period)}


def _find_newest(trials: "Iterable[FrozenTrial]") -> "dict[str, FrozenTrial]":
    """Return the newest trial of each launched worker: of several at a time, one that has not ended."""
    of_workers = [trial for trial in trials if LAUNCHED in trial.user_attrs]
    of_workers.sort(key=lambda trial: not trial.state.is_finished())
    return {trial.user_attrs[LAUNCHED]: trial for trial in of_workers}


def _is_gone(trial: "FrozenTrial", grace_period: float) -> bool:
    if trial.state.is_finished():
        return trial.user_attrs.get(ERROR) == GONE  # closed by whoever has noticed it first
    return owners.is_gone(trial, None, grace_period)


class LaunchedProcesses(Processes):
    """Processes each of which launches a worker and waits for its end.

    A launcher may notice later than the study that a worker has ended with its machine. Its process is killed then.

    Args:
        launcher: launches a worker.
        count: number of parallel workers.
        folder: folder of the output files, one per worker.
        threads: CPU threads of each worker; None = as configured.
        list_trials: returns the trials of the study.
        grace_period: seconds without a heartbeat after which a worker on another machine counts as ended.
    """

    def __init__(
        self,
        launcher: Launcher,
        count: int,
        folder: Path,
        threads: int | None,
        list_trials: "Callable[[], list[FrozenTrial]]",
        grace_period: float,
    ) -> None:
        self._find_gone = lambda: find_gone(list_trials(), grace_period)
        super().__init__(launcher, count, folder, threads)

    def collect(self) -> list[tuple[int, Death | None]]:
        """Return the workers that have ended since the last call; None for those that ended normally."""
        gone = self._find_gone()
        lost = set()
        for number, (process, _) in self._workers.items():
            if process.exitcode is None and make_label(process.pid or 0, str(this_process())) in gone:
                process.join(_ENDING)
                if process.exitcode is None:
                    process.kill()
                    process.join()
                    lost.add(number)
        return [
            (number, replace(death, how=_WITHOUT_RESULT, is_lost=True) if death and number in lost else death)
            for number, death in super().collect()
        ]


class _Launch:
    """A thread that launches a worker and waits for its end."""

    def __init__(self, launch: Callable[[int, str], None], number: int, label: str, delay: float) -> None:
        self.label = label
        self.error: Exception | None = None
        self._launch = launch
        self._number = number
        self._delay = delay
        #: Whether it ended with an error before a worker can have done anything.
        self.has_failed_at_once = False
        self.thread = threading.Thread(target=self._run, daemon=True, name=f"launch-{number}")
        self.thread.start()

    def _run(self) -> None:
        time.sleep(self._delay)
        began = time.monotonic()
        try:
            self._launch(self._number, self.label)
        except Exception as error:
            self.has_failed_at_once = time.monotonic() - began < AT_ONCE
            self.error = error


class LaunchedWorkers:
    """``count`` workers in jobs of a batch system. They go on when this process ends.

    Args:
        launcher: launches one of them.
        count: number of parallel workers.
        list_trials: returns the trials of the study.
        grace_period: seconds without a heartbeat after which a worker on another machine counts as ended.
    """

    def __init__(
        self,
        launcher: Launcher,
        count: int,
        list_trials: "Callable[[], list[FrozenTrial]]",
        grace_period: float,
    ) -> None:
        logging.getLogger(f"{SUBMITIT}.submitit_launcher").setLevel(logging.WARNING)  # three lines for each worker
        self._launcher = launcher
        self._list_trials = list_trials
        self._grace_period = grace_period
        self._workers: dict[int, _Launch] = {}
        self._started = 0
        #: Consecutive launches that failed at once: a batch system that is busy or restarts is asked later.
        self._failures = 0
        for number in range(count):
            self.start(number)

    def start(self, number: int) -> None:
        """Launch the worker with this number."""
        self._started += 1
        label = make_label(self._started, self._launcher.command)
        delay = min(_LONGEST_DELAY, 2.0 ** (self._failures - 1)) if self._failures else 0.0
        self._workers[number] = _Launch(self._launcher.launch, number, label, delay)

    @property
    def running(self) -> int:
        """The number of running workers."""
        return len(self._workers)

    @property
    def pids(self) -> dict[int, int]:
        """None: the processes are those of the launcher."""
        return {}

    def tail(self, number: int) -> list[str]:
        """None: the launcher keeps the output of its jobs."""
        return []

    def collect(self) -> list[tuple[int, Death | None]]:
        """Return the workers that have ended since the last call; None for those that ended normally.

        A process that has ended is noticed by its trial before the batch system reports it.
        """
        gone = find_gone(self._list_trials(), self._grace_period)
        ended: list[tuple[int, Death | None]] = []
        for number, launch in list(self._workers.items()):
            if not launch.thread.is_alive():
                self._failures = self._failures + 1 if launch.has_failed_at_once else 0
                ended.append((number, describe_death(launch.error, launch.label)))
            elif launch.label in gone:
                ended.append((number, Death(0, _WITHOUT_RESULT, launch.label)))
            else:
                continue
            del self._workers[number]
        return ended

    def stop(self) -> None:
        """Leave the workers to the batch system, where they go on."""
        if self._workers:
            log.info(
                f"workers   {pluralize(len(self._workers), 'job')} left to the launcher; those that go on complete the "
                "search, and the same command follows them"
            )


def describe_death(error: Exception | None, label: str) -> Death | None:
    """Describe the error of a launcher in one line; None if there is none."""
    if error is None:
        return None
    state = find_state(error)
    if state is not None:
        return Death(0, state.describe(), label, state.name.startswith(_LOST))
    return Death(0, describe_error(error), label)


Workers = Processes | LaunchedWorkers
