"""A storage that waits for its database while it cannot be reached."""

import logging
import time
from abc import update_abstractmethods
from collections.abc import Callable
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import TrialState

from dcase_sweep.sweep.optuna.listed_storages import StudyDatabase
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import mask_secrets, mask_url
from dcase_sweep.utils.text import printable

log = logging.getLogger(__name__)

#: Seconds for which a database may be away, and the shortest and longest pause between two attempts.
PATIENCE = 600.0
_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
#: Seconds without an answer after which it is said that the database is being waited for.
_QUIET = 5.0
#: Words of PostgreSQL and MySQL for a server that accepts no more connections.
_TOO_MANY = ("too many clients", "too many connections", "remaining connection slots")
#: Numbers of errors of MySQL and MariaDB after which an operation may succeed: there is no connection, or it was lost
#: or killed; a deadlock (1213), a row that stays locked (1205); a server that takes no changes while another one
#: replaces it (1290, 1836). Their drivers report many other faults as operational errors, too.
_PASSING = frozenset(
    [
        *(2002, 2003, 2005, 2006, 2013, 2055, 1040, 1053, 1129, 1152, 1158, 1159, 1160, 1161),
        *(1203, 1205, 1213, 1290, 1317, 1836, 1927, 4031),
    ]
)
#: Their errors for a text with letters that the table's character set lacks, and for one that is too long.
_LETTERS, _LENGTH = (1267, 1366), 1406
#: Connections of a process: its own, that of the heartbeat, and that of a lock.
POOL = {"pool_size": 2, "max_overflow": 1}
Result = TypeVar("Result")


def find_outage(error: BaseException) -> str | None:
    """Return what a database's driver says if it cannot be reached, or has ended a connection; None for other errors.

    Optuna raises an error of its own from that of SQLAlchemy.
    """
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError

    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if isinstance(cause, PendingRollbackError):
        return "the connection was lost"  # within a transaction that Optuna went on with
    if not isinstance(cause, DBAPIError):
        return None
    if not cause.connection_invalidated and not isinstance(cause, (InterfaceError, OperationalError)):
        return None
    number = _number(cause.orig)
    if number and number not in _PASSING and not cause.connection_invalidated:
        return None
    return printable(" ".join(str(cause.orig).split()), 300)


def _number(error: BaseException | None) -> int | None:
    """Return the number of an error of MySQL or MariaDB; None for other databases."""
    first = error.args[0] if error is not None and error.args else None
    return first if isinstance(first, int) else None


def describe_fault(error: BaseException) -> str | None:
    """Describe what a database does not store, with the remedy; None for anything else."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    original = getattr(cause, "orig", None)
    number, said = _number(original), printable(str(original), 200)
    if number in _LETTERS:
        return (
            f"the character set of the database lacks letters of a name or a value ({said}); expected one for all "
            "letters: ALTER DATABASE NAME CHARACTER SET utf8mb4, before the tables are created"
        )
    if number == _LENGTH:
        return (
            f"a name or a value is too long for the database ({said}); expected at most 512 characters in a name and "
            "65,535 bytes in a value, or PostgreSQL, which has no such limit"
        )
    return None


def describe_outage(reason: str) -> str:
    """Describe why a database cannot be used, with a remedy where there is one."""
    if any(words in reason.lower() for words in _TOO_MANY):
        most = POOL["pool_size"] + POOL["max_overflow"]
        return (
            f"it has no connection left for this process ({reason}); a worker takes 2, and {most} for a moment: raise "
            "max_connections of the server, or start fewer workers"
        )
    return f"{reason}; expected a database that can be reached"


def wait_for_database(call: Callable[[], Result], where: str, patience: float = PATIENCE) -> Result:
    """Call a function again, with growing pauses, while its database cannot be reached.

    Args:
        call: uses the database; may be called more than once.
        where: the URL of the database, for messages.
        patience: seconds after which an error is raised.

    Raises:
        UserError: if the database is still away then.
        Exception: any other error of the function.
    """
    began, pause, is_said = time.monotonic(), _PAUSE, False
    while True:
        try:
            return call()
        except Exception as error:
            reason = find_outage(error)
            if reason is None:
                fault = describe_fault(error)
                if fault is None:
                    raise
                raise UserError(f"{mask_url(where)}: {fault}") from None
            reason = describe_outage(mask_secrets(reason, where))
            waited = time.monotonic() - began
            if waited + pause > patience:
                raise UserError(
                    f"the database of the study cannot be used for {waited:.0f} s: {reason}; the same command "
                    "continues when it is back"
                ) from None
        if waited > _QUIET and not is_said:
            log.warning(f"storage   no answer, waiting up to {patience / 60:.0f} min: {reason}")
            is_said = True
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


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
