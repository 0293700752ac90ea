"""A storage that waits for its database while it cannot be reached."""

from abc import update_abstractmethods
from collections.abc import Callable
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import TrialState

from dcase_sweep.sweep.optuna.listed_storages import StudyDatabase
from dcase_sweep.sweep.optuna.outages import wait_for_database


def _delegate(kind: type[BaseStorage]) -> type[BaseStorage]:
    """Add to a class every operation of a storage, to be called until the database answers."""

    def make(name: str) -> Callable[..., Any]:
        def method(self: "RetryingStorage", *args: Any, **kwargs: Any) -> Any:
            return wait_for_database(lambda: getattr(self.cached, name)(*args, **kwargs), self.where)

        return method

    for name in dir(BaseStorage):
        if not name.startswith("_") and name not in vars(kind):
            setattr(kind, name, make(name))
    return update_abstractmethods(kind)


@_delegate
class RetryingStorage(BaseStorage):
    """Optuna's storage in a database server, with every operation repeated while the server cannot be reached.

    A connection that the server ends, a restart or a network that is down for minutes costs time, but no trial. If the
    answer to an operation was lost, the operation is done twice: at worst a trial without an owner remains, which is
    closed like that of a killed process.

    Args:
        storage: the storage to use.
        where: the URL of the database, for messages.
    """

    def __init__(self, storage: RDBStorage, where: str) -> None:
        self.where = where
        self.engine = storage.engine
        #: Keeps finished trials in memory.
        self.cached = StudyDatabase(storage)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Any = None) -> bool:
        """Set the state of a trial. Returns False if another worker has taken a waiting trial first.

        Raises:
            UpdateFinishedTrialError: if it has ended otherwise.
        """
        attempts = 0

        def call() -> bool:
            nonlocal attempts
            attempts += 1
            try:
                return self.cached.set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                # The answer to the first attempt may have been lost after the database had done it.
                if attempts > 1 and self.cached.get_trial(trial_id).state == state:
                    return True
                raise

        return wait_for_database(call, self.where)
