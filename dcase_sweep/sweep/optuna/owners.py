"""The processes that own trials, and detection of processes that have ended."""

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from dcase_sweep.sweep.optuna.attributes import ALIVE, JOB, OWNER
from dcase_sweep.sweep.optuna.outages import find_return
from dcase_sweep.utils.batch import find_batch_job
from dcase_sweep.utils.processes import parse_identity, this_process

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from dcase_sweep.sweep.optuna.stored_study import StoredTrial

#: Seconds without a heartbeat after which a process on another machine counts as ended, and heartbeats within them.
GRACE_PERIOD, HEARTBEATS = 300.0, 5
#: Seconds during which a new trial may have no owner.
_GRACE = 60.0


def sign(trial: "optuna.Trial") -> None:
    """Record this process as the owner of the trial."""
    trial.set_user_attr(OWNER, str(this_process()))
    job = find_batch_job()
    if job is not None:
        trial.set_user_attr(JOB, str(job))


def is_owned_by(trial: "FrozenTrial", pid: int) -> bool:
    """Whether a process started by this one owns the trial."""
    owner = parse_identity(trial.user_attrs.get(OWNER, ""))
    return owner is not None and owner.is_local and owner.number == pid


def is_gone(trial: "FrozenTrial | StoredTrial", now: float | None = None, grace_period: float = GRACE_PERIOD) -> bool:
    """Whether the process that owns a running trial has ended.

    A process on this machine is checked directly. A process on another host, in another container or from before a
    reboot is not visible. It counts as ended when this process is part of the same batch job, which was requeued, or
    when its last heartbeat is older than ``grace_period`` seconds by the clocks of both machines. After an
    outage of the database, during which no process could send one, it has that time again.
    """
    now = time.time() if now is None else now
    began = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    text = str(trial.user_attrs.get(OWNER, ""))
    if not text:
        return now - began > _GRACE
    owner = parse_identity(text)
    running = _is_earlier_running(text, began) if owner is None else owner.is_running
    if running is not None:
        return not running
    job = find_batch_job()
    if job is not None and job.has_replaced(trial.user_attrs.get(JOB)):
        return True
    alive = trial.user_attrs.get(ALIVE)
    heard = max(began, alive if isinstance(alive, (int, float)) else 0.0, find_return())
    return now - heard > grace_period


def _is_earlier_running(text: str, began: float) -> bool | None:
    """Whether the owner ``host:number`` of a trial of an earlier version is running; None if this cannot be determined.

    Process IDs are reused: a process that is younger than the trial is a different one.
    """
    host, _, number = text.rpartition(":")
    if host != socket.gethostname() or not number.isdecimal():
        return None
    import psutil

    try:
        return bool(psutil.Process(int(number)).create_time() <= began + 1.0)
    except psutil.AccessDenied:
        return None
    except psutil.Error:
        return False


class Heartbeat:
    """Sends heartbeats for the current trials of this process at regular intervals, from a separate thread.

    Args:
        study: the study. Its storage may be used by several threads; to load the study once more would take as long
            as the worker's start.
        interval: seconds between heartbeats.
    """

    def __init__(self, study: "optuna.Study", interval: float = GRACE_PERIOD / HEARTBEATS) -> None:
        self._study = study
        self._interval = interval
        self._trials: tuple[int, ...] = ()
        self._changed = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="heartbeat")

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._changed.set()

    def follow(self, *trials: "optuna.Trial") -> None:
        """Send heartbeats for these trials from now on; none stops them."""
        self._trials = tuple(trial._trial_id for trial in trials)
        if trials:
            self._changed.set()

    def _run(self) -> None:
        while not self._ended:
            self._changed.wait(self._interval)
            self._changed.clear()
            for trial in self._trials:
                if self._ended:
                    return
                # A finished trial accepts no attributes. A database that does not answer may answer next time.
                with suppress(Exception):
                    self._send(trial)

    def _send(self, trial: int) -> None:
        """Send a heartbeat; once more if the database was away meanwhile, because it has the time before that."""
        while not self._ended:
            sent = time.time()
            self._study._storage.set_trial_user_attr(trial, ALIVE, sent)
            if time.time() - sent < self._interval:
                return
