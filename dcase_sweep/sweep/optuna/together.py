"""Records of a journal that are written together: a lock and two openings of the file for all instead of for each."""

import copy
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.storages.journal import JournalStorage
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import FrozenTrial

#: Operations that describe a trial. Their records wait for those after them.
_WAITING = {
    JournalOperation.SET_TRIAL_PARAM,
    JournalOperation.SET_TRIAL_USER_ATTR,
    JournalOperation.SET_TRIAL_SYSTEM_ATTR,
}


def together(storage: BaseStorage) -> AbstractContextManager[None]:
    """Context in which a journal writes the values and attributes of trials at its end, or before anything is read.

    Records are written in the order of their calls. If the process is killed within the context, they are lost. That a
    trial has ended meanwhile is raised when they are written. Other storages write at once.

    Raises:
        UpdateFinishedTrialError: at the end of the context.
    """
    return storage.together() if isinstance(storage, GatheringJournal) else nullcontext()


class GatheringJournal(JournalStorage):
    """A journal that can write the records of one thread together."""

    def __init__(self, backend: Any) -> None:
        self._waiting: list[dict[str, Any]] = []
        #: The thread whose records wait.
        self._gathers: int | None = None
        #: Whether the current call has only added a record to those that wait.
        self._waits = False
        super().__init__(backend)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Context in which the records of this thread wait; those of other threads are written at once."""
        if self._gathers is not None:
            yield
            return
        self._gathers, self._waits = threading.get_ident(), False
        try:
            yield
        finally:
            try:
                with self._thread_lock:
                    self._write_waiting()
            finally:
                self._waiting, self._gathers = [], None

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a copy of a trial, in which Optuna sets what may wait.

        Raises:
            KeyError: if there is no trial with this ID.
        """
        found = copy.copy(super().get_trial(trial_id))
        found.params, found.distributions = dict(found.params), dict(found.distributions)
        found.user_attrs, found.intermediate_values = dict(found.user_attrs), dict(found.intermediate_values)
        return found

    def _write_log(self, op_code: int, extra_fields: dict[str, Any]) -> None:
        if self._gathers != threading.get_ident():
            super()._write_log(op_code, extra_fields)
            return
        self._waiting.append({"op_code": op_code, "worker_id": self._replay_result.worker_id, **extra_fields})
        self._waits = op_code in _WAITING

    def _sync_with_backend(self) -> None:
        if self._gathers != threading.get_ident():
            super()._sync_with_backend()
        elif self._waits:
            self._waits = False
        else:
            self._write_waiting()

    def _write_waiting(self) -> None:
        """Write the records that wait, and read all new ones.

        Raises:
            UpdateFinishedTrialError: if their trial has ended.
            KeyError: if it does not exist.
            ValueError: for a value that does not fit earlier ones.
        """
        if self._waiting:
            self._backend.append_logs(self._waiting)
            self._waiting = []
        first: Exception | None = None
        while True:  # each record of a trial that has ended raises
            try:
                super()._sync_with_backend()
                break
            except (UpdateFinishedTrialError, KeyError, ValueError) as error:
                first = first or error
        if first is not None:
            raise first
