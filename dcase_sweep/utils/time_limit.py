"""The time limit of this process, and whether an epoch still fits before it."""

import math
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from dcase_sweep.utils.durations import format_duration

#: ``[DAYS-][[HOURS:]MINUTES:]SECONDS``, as Slurm writes times.
_DURATION = re.compile(
    r"(?:(?P<days>\d{1,4})-)?(?:(?:(?P<hours>\d{1,4}):)?(?P<minutes>\d{1,4}):)?(?P<seconds>\d+(\.\d+)?)"
)
#: The longest limit, in seconds: a year.
_LONGEST = 366 * 86_400.0
#: Seconds within which Slurm must answer.
_PATIENCE = 10


class OutOfTime(Exception):
    """Raised where the remaining time does not hold what comes next; its message has both."""


def parse_duration(value: object) -> float:
    """Parse a time limit in seconds.

    Args:
        value: a number of seconds, or a text: ``3600``, ``1:00:00``, ``2-12:00:00``.

    Raises:
        ValueError: for anything else, with what is expected.
    """
    expected = "expected seconds, or [DAYS-]HOURS:MINUTES:SECONDS, such as 23:30:00"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(expected)
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        if found is None:
            raise ValueError(expected)
        days, hours, minutes = (float(found[name] or 0) for name in ("days", "hours", "minutes"))
        value = 86_400 * days + 3600 * hours + 60 * minutes + float(found["seconds"])
    if not math.isfinite(value) or not 0 < value <= _LONGEST:
        raise ValueError(f"{expected}, more than 0 and at most a year")
    return float(value)


def find_deadline(limit: float | None = None) -> float | None:
    """Return the time at which this process must have ended, in seconds since 1970; None if there is no limit.

    It is the earliest of three: the end of the Slurm job, the given limit, and the limit of the worker that this
    process is. The end of the job is in ``SLURM_JOB_END_TIME``; earlier versions of Slurm are asked for it.

    Args:
        limit: seconds from the start of this process.
    """
    began = _get_start()
    known = [_process.deadline] if _process.deadline is not None else []
    slurm, job = os.environ.get("SLURM_JOB_END_TIME"), os.environ.get("SLURM_JOB_ID", "")
    if slurm is None and job.isdecimal():
        known += _ask_slurm(job)
    elif slurm is not None and slurm.isdecimal() and int(slurm) > began:  # else it is that of a job that has ended
        known.append(float(slurm))
    if limit is not None:
        known.append(began + limit)
    return min(known, default=None)


@cache
def _ask_slurm(job: str) -> tuple[float, ...]:
    """Ask once for the end of a job; nothing is known of a job without a limit, or if nobody answers."""
    command = ["squeue", "--noheader", f"--jobs={job}", "--format=%L"]
    try:
        left = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE).stdout
        return (time.time() + parse_duration(left),)
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()


def _get_start() -> float:
    """The time at which this process was started."""
    import psutil

    return float(psutil.Process().create_time())


class TimeLimit:
    """The end of the available time.

    Args:
        deadline: seconds since 1970; None = there is no limit.
    """

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline

    @property
    def seconds_left(self) -> float:
        """The remaining time; infinite without a limit."""
        return math.inf if self.deadline is None else self.deadline - time.time()

    def holds(self, seconds: float) -> bool:
        """Whether the remaining time is this long."""
        return self.seconds_left >= seconds

    def check(self, seconds: float, what: str = "an epoch") -> None:
        """Check that the remaining time holds what takes so many seconds.

        Raises:
            OutOfTime: if it does not.
        """
        if not self.holds(seconds):
            raise OutOfTime(describe_shortage(self.seconds_left, seconds, what))


def describe_shortage(left: float, needed: float, what: str = "an epoch") -> str:
    """Describe why nothing is begun: ``time limit: 0:00:12 left, an epoch takes 0:00:40``."""
    if left <= 0:
        return "time limit: no time is left"
    return f"time limit: {format_duration(left)} left, {what} takes {format_duration(needed)}"


class _Process:
    """What this process knows of its time."""

    #: Set by the worker of a search, whose jobs have its limit.
    deadline: float | None = None
    #: The longest time that a run in this process took to the end of its first epoch.
    to_first_epoch: float = 0.0


_process = _Process()


@contextmanager
def limit_process(deadline: float | None) -> Iterator[None]:
    """Set a limit for everything that runs in this process in the block."""
    before, _process.deadline = _process.deadline, deadline
    try:
        yield
    finally:
        _process.deadline = before


def remember_start(seconds: float) -> None:
    """Note how long a run took to the end of its first epoch."""
    _process.to_first_epoch = max(_process.to_first_epoch, seconds)


def seconds_to_first_epoch() -> float:
    """The longest time that a run in this process took to the end of its first epoch; 0 if there was none."""
    return _process.to_first_epoch
