"""Jobs of a grid that a Hydra launcher starts, each by a call of its own, so that one that is lost costs no other.

Those of a batch system (submitit) are waited for in threads of the command, those of joblib run in processes of ours.
"""

import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from hydra.core.utils import JobReturn, JobStatus

from dcase_sweep.sweep.launchers import AT_ONCE, SUBMITIT, JobFailed, JobLost, describe_error, find_state
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.text import printable

log = logging.getLogger(__name__)

#: Calls a launcher for one job with its overrides and its number.
Launch = Callable[[list[str], int], JobReturn]


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a job, or of an attempt at it.

    Attributes:
        number: number of the job.
        result: what it has returned, which may be an error; None = nothing.
        how: how it has ended without a result.
        why: ``lost`` with its process or its machine, or ``refused`` by the launcher before it began.
    """

    number: int
    result: JobReturn | None = None
    how: str = ""
    why: Literal["lost", "refused"] = "lost"


class Launches(Protocol):
    """The jobs that a launcher is running."""

    @property
    def running(self) -> int:
        """The number of running jobs."""

    def start(self, number: int, overrides: Sequence[str]) -> None:
        """Launch a job."""

    def collect(self) -> list[Ended]:
        """Return the jobs that have ended since the last call."""

    def stop(self) -> None:
        """End the jobs that are still running, or leave them to a batch system."""


class BatchLaunches:
    """Jobs of a batch system. They go on when this process ends.

    Args:
        launch: submits one of them and waits for its end.
    """

    def __init__(self, launch: Launch) -> None:
        logging.getLogger(f"{SUBMITIT}.submitit_launcher").setLevel(logging.WARNING)  # two lines for each job
        self._launch = launch
        self._ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        self.running = 0

    def start(self, number: int, overrides: Sequence[str]) -> None:
        """Submit a job, and wait for its end in a thread."""
        self.running += 1
        arguments = (number, list(overrides))
        threading.Thread(target=self._run, args=arguments, daemon=True, name=f"job-{number}").start()

    def _run(self, number: int, overrides: list[str]) -> None:
        began = time.monotonic()
        try:
            ended = Ended(number, self._launch(overrides, number))
        except Exception as error:
            ended = describe_end(number, error, seconds=time.monotonic() - began)
        self._ended.put(ended)

    def collect(self) -> list[Ended]:
        """Return the jobs that have ended since the last call."""
        found = []
        while not self._ended.empty():
            found.append(self._ended.get())
        self.running -= len(found)
        return found

    def stop(self) -> None:
        """Leave the jobs to the batch system."""
        if self.running:
            log.info(
                f"sweep     {pluralize(self.running, 'job')} left to the launcher; the same command in the same folder "
                "(hydra.sweep.dir) waits for those that go on"
            )


def describe_end(number: int, error: Exception, *, seconds: float) -> Ended:
    """Describe the error that a launcher has raised for a job.

    Args:
        number: number of the job.
        error: the error.
        seconds: time since the launch.
    """
    state = find_state(error)
    if state is not None:
        how = state.describe()
        if state.is_time_limit:  # the time is what the user has given it, so that it is not run again
            return Ended(number, make_return(JobLost(how)))
        return Ended(number, how=how)
    trace = re.search(r"with trace:\n-+\n(.*?)\n-{10,}\n", str(error), re.DOTALL)
    if trace is not None:  # of submitit: what has gone wrong in the job, before or after the function of the job
        line = trace[1].strip().splitlines()[-1]
        kind = JobLost if "UncompletedJobError" in line else JobFailed
        return Ended(number, make_return(kind(printable(line, 300))))
    line = describe_error(error)
    if seconds < AT_ONCE:
        return Ended(number, how=line, why="refused")
    return Ended(number, make_return(JobFailed(line)))


def make_return(error: BaseException) -> JobReturn:
    """Return what Hydra returns for a job that has failed with an error."""
    result = JobReturn(status=JobStatus.FAILED)
    result.return_value = error
    return result
