"""Launched jobs of a grid: one that is lost is run again from where it was, and the others go on."""

import io
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from dcase_sweep.sweep.application import Application
from dcase_sweep.sweep.job import MOST_DEATHS, GridJob
from dcase_sweep.sweep.launchers import JobFailed, JobLost
from dcase_sweep.sweep.launches import Ended, Launches, make_return
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.leases import claim_folder
from dcase_sweep.utils.overrides import quote

log = logging.getLogger(__name__)

#: Seconds between looks at the running jobs, and at most so many of them are launched in between.
_BEAT, _AT_A_TIME = 0.2, 16
#: A launcher that accepts no job is asked again after 1, 2, 4 ... seconds, this many times.
_REFUSALS = 6

#: What to do with a job that has ended: its position and its result.
OnEnd = Callable[[int, JobReturn], None]


@dataclass(slots=True)
class LostJobs:
    """Decides what becomes of a job whose process was lost.

    It is run again, and continues in its folder. If it is lost three times in a row without a new step, it has failed.

    Args:
        application: the application of the jobs.
        jobs: the jobs.
        words: all overrides of each job.
        locate: returns the folder of the job with a number.
    """

    application: Application
    jobs: Sequence[GridJob]
    words: Sequence[list[str]]
    locate: Callable[[int], Path]
    #: The progress of each job at each time that it was lost.
    _deaths: dict[int, list[Any]] = field(init=False, default_factory=lambda: defaultdict(list))

    def find_result(self, number: int, how: str) -> JobReturn | None:
        """Return the result of a job that was lost, or None if it is to be run again.

        Args:
            number: its number.
            how: how it was lost.
        """
        folder = self.locate(number)
        finished = self.application.find_result(self.jobs[number].content, folder)
        if finished is not None:
            result = JobReturn(overrides=self.words[number], status=JobStatus.COMPLETED)
            result.return_value = finished
            return result
        deaths = self._deaths[number]
        deaths.append(self.application.find_progress(folder))
        if len(deaths) >= MOST_DEATHS and deaths[-1] == deaths[-MOST_DEATHS]:
            reason = f"{how}, {MOST_DEATHS} times in a row without a new step"
            log.info(f"job       {number} has failed: {reason}")
            return make_return(JobFailed(reason))
        log.info(f"job       {number} is run again: {how}")
        return None

    def list_words_again(self, number: int) -> list[str]:
        """Return the overrides of a job that is launched again, maybe under another number: it keeps its folder."""
        return [*self.words[number], f"hydra.sweep.subdir={quote(str(self.locate(number).absolute()))}"]

    def is_still_running(self, number: int) -> bool:
        """Whether a job that was lost has left a process on this machine that still runs in its folder."""
        if number not in self._deaths:
            return False
        with claim_folder(self.locate(number)) as is_free:
            return not is_free


def run_each(launches: Launches, limit: int, lost: LostJobs, on_end: OnEnd) -> None:
    """Launch each job by itself and watch it to its end.

    Args:
        launches: the running jobs.
        limit: how many jobs run at a time.
        lost: the jobs, and what becomes of those that are lost.
        on_end: called for each job that has ended.

    Raises:
        UserError: if the launcher accepts no job for about a minute; what runs comes to its end before.
    """
    waiting = list(range(len(lost.jobs)))
    refusals = _Refusals()
    pause = threading.Event()
    try:
        while launches.running or (waiting and not refusals.is_final):
            if not refusals.must_wait():
                free = [number for number in waiting if not lost.is_still_running(number)]
                for number in free[: min(_AT_A_TIME, limit - launches.running)]:
                    waiting.remove(number)
                    launches.start(number, lost.words[number])
            for ended in launches.collect():
                result = ended.result
                if result is None and ended.why == "refused":
                    refusals.add(ended)
                elif result is None:
                    result = lost.find_result(ended.number, ended.how)
                if result is None:
                    waiting.append(ended.number)
                    continue
                refusals.clear()
                on_end(ended.number, result)
            pause.wait(_BEAT)
    finally:
        launches.stop()
    if waiting:
        raise UserError(f"the launcher accepts no job: {refusals.reason}")


class _Refusals:
    """Delays further launches after those that a launcher has refused."""

    def __init__(self) -> None:
        self.reason = ""
        self._count = 0
        self._next = 0.0

    @property
    def is_final(self) -> bool:
        """Whether the launcher has been asked often enough."""
        return self._count > _REFUSALS

    def must_wait(self) -> bool:
        """Whether no job may be launched now."""
        return self.is_final or time.monotonic() < self._next

    def add(self, ended: Ended) -> None:
        """Take note of a refused job. Jobs that were launched together count once."""
        if self.must_wait():
            return
        if not self._count:
            log.info(f"sweep     the launcher refuses a job, and is asked again: {ended.how}")
        self.reason = ended.how
        self._next = time.monotonic() + 2.0**self._count
        self._count += 1

    def clear(self) -> None:
        """Take note of a job that was accepted."""
        self._count = 0


def run_together(
    launcher: Launcher, size: int, lost: LostJobs, on_end: OnEnd, is_interrupted: Callable[[JobReturn], bool]
) -> None:
    """Give all jobs to a launcher in one call, or in batches; those that are lost are launched again afterwards.

    Args:
        launcher: the launcher, which runs its jobs as it likes.
        size: largest number of jobs of one call.
        lost: the jobs, and what becomes of those that are lost.
        on_end: called for each job that has ended.
        is_interrupted: whether a job has ended because its time is over; no other one is begun then.
    """
    waiting = list(range(len(lost.jobs)))
    is_first = True
    while waiting:
        again = []
        for start in range(0, len(waiting), size):
            batch = waiting[start : start + size]
            jobs = [lost.words[number] if is_first else lost.list_words_again(number) for number in batch]
            results = launcher.launch(jobs, initial_job_idx=batch[0])
            for number, returned in zip(batch, results, strict=True):
                result = lost.find_result(number, str(find_error(returned))) if is_lost(returned) else returned
                if result is None:
                    again.append(number)
                else:
                    on_end(number, result)
            if any(map(is_interrupted, results)):
                return  # no time is left for the others either
        waiting = again
        is_first = False


def is_lost(result: JobReturn) -> bool:
    """Whether a job has ended with its process or its machine."""
    return isinstance(find_error(result), JobLost)


def find_error(result: JobReturn) -> BaseException | None:
    """Return the error that a job has ended with, or None."""
    try:
        with redirect_stderr(io.StringIO()):  # Hydra's error names the job; here it is compared with the others
            _ = result.return_value  # raises the error of the job
    except BaseException as error:
        return error
    return None
