"""Databases that cannot be reached: which errors pass, what they mean, and waiting for their end.

Optuna is not imported: the state of a search is read without it.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import mask_secrets, mask_url
from dcase_sweep.utils.text import printable

log = logging.getLogger(__name__)

#: Seconds for which a database may be away that has answered before, and one that a command opens first, whose address
#: may be wrong; and the shortest and longest pause between two attempts.
PATIENCE, OPENING = 600.0, 180.0
_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
#: Seconds without an answer after which it is said that the database is being waited for, likewise.
_QUIET, _QUIET_OPENING = 5.0, 1.0
#: Words of PostgreSQL and MySQL for a server that accepts no more connections.
_TOO_MANY = ("too many clients", "too many connections", "remaining connection slots")
#: Words of PostgreSQL, and of the drivers of all, for what does not pass: a user or a database that the server does not
#: have or let in.
_REFUSED = (
    *("authentication failed", "no password supplied", "does not exist", "no pg_hba.conf entry", "permission denied"),
    *("not permitted to log in", "is not currently accepting connections", "does not support ssl", "certificate"),
)
#: Words for a host that has no address; one that had one may have it again.
_UNKNOWN_HOST = ("name or service not known", "could not translate host name", "nodename nor servname", "no such host")
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
#: Seconds without an answer that are an outage, in which no process can send a heartbeat, and not a deadlock.
_OUTAGE = 1.0
#: When the database of this process last answered after an outage.
_returned = 0.0
Result = TypeVar("Result")


def find_return() -> float:
    """Return when the database of this process last answered after an outage, in seconds of the epoch; 0.0 = never."""
    return _returned


def find_outage(error: BaseException) -> str | None:
    """Return what a database's driver says if it cannot be reached, or has ended a connection; None for other errors.

    Optuna raises an error of its own from that of SQLAlchemy.
    """
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError

    cause = _find_cause(error)
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


def _find_cause(error: BaseException) -> BaseException | None:
    """Return SQLAlchemy's error, from which Optuna raises a StorageInternalError."""
    return error.__cause__ if type(error).__name__ == "StorageInternalError" else error


def _number(error: BaseException | None) -> int | None:
    """Return the number of an error of MySQL or MariaDB; None for other databases."""
    first = error.args[0] if error is not None and error.args else None
    return first if isinstance(first, int) else None


def describe_fault(error: BaseException) -> str | None:
    """Describe what a database does not store, with the remedy; None for anything else."""
    cause = _find_cause(error)
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


def is_refused(reason: str, *, is_known: bool = True) -> bool:
    """Whether another attempt would end in the same way.

    Args:
        reason: what the driver says.
        is_known: whether the database has answered before.
    """
    words = _REFUSED if is_known else (*_REFUSED, *_UNKNOWN_HOST)
    return any(each in reason.lower() for each in words)


def wait_for_database(
    call: Callable[[], Result], where: str, patience: float | None = None, *, is_known: bool = True
) -> Result:
    """Call a function again, with growing pauses, while its database cannot be reached.

    Args:
        call: uses the database; may be called more than once.
        where: the URL of the database, for messages.
        patience: seconds after which an error is raised; None = ten minutes, or three for one that is not known.
        is_known: whether the database has answered before. One that has not may have a wrong address.

    Raises:
        UserError: if the database is still away then, or refuses the user.
        Exception: any other error of the function; that of a refusal, too, if the database is not known.
    """
    if patience is None:
        patience = PATIENCE if is_known else OPENING
    global _returned
    began, pause, is_said, has_failed = time.monotonic(), _PAUSE, False, False
    while True:
        try:
            result = call()
            if has_failed and time.monotonic() - began > _OUTAGE:
                _returned = time.time()
            return result
        except Exception as error:
            reason, has_failed = find_outage(error), True
            if reason is None:
                fault = describe_fault(error)
                if fault is None:
                    raise
                raise UserError(f"{mask_url(where)}: {fault}") from None
            if is_refused(reason, is_known=is_known):
                if not is_known:
                    raise
                raise UserError(f"{mask_url(where)}: {describe_outage(mask_secrets(reason, where))}") from None
            reason = describe_outage(mask_secrets(reason, where))
            waited = time.monotonic() - began
            if waited + pause > patience:
                raise UserError(
                    f"the database of the study cannot be used for {waited:.0f} s: {reason}; the same command "
                    "continues when it is back"
                ) from None
        if not is_said and waited + pause > (_QUIET if is_known else _QUIET_OPENING):
            log.warning(f"storage   no answer, waiting up to {patience / 60:.0f} min: {reason}")
            is_said = True
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
