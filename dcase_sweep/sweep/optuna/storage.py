"""Storages of studies: opening, checking and locking of journal files and databases."""

import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock
from optuna.storages import BaseStorage

from dcase_sweep.sweep.optuna.database import TrialDatabase
from dcase_sweep.sweep.optuna.journal import KEY, Journal, check_regular
from dcase_sweep.sweep.optuna.listed_storages import StudyDatabase, StudyJournal
from dcase_sweep.sweep.optuna.outages import POOL, describe_outage, wait_for_database
from dcase_sweep.sweep.optuna.retrying import RetryingStorage
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import encode_password, mask_secrets, mask_url
from dcase_sweep.utils.text import printable

#: Seconds to wait for an answer of a database, or for a lock of another process.
_CONNECT, _WAIT = 10, 300
_TRIES = 6
#: Error messages of databases if another process has just created the same object.
_CONTENTION = ("already exists", "UNIQUE constraint failed", "duplicate key", "database is locked")
Result = TypeVar("Result")


def open_storage(where: str, *, is_known: bool = False) -> BaseStorage:
    """Open the storage of a URL. A plain path is a journal file.

    Args:
        where: the URL or path.
        is_known: whether it has been opened before. A database server that does not answer is waited for; for a shorter
            time if its address may be wrong.

    Raises:
        UserError: if it cannot be opened, or is another kind of file.
    """
    if "://" not in where:
        return _open_journal(Path(where))
    file = _sqlite_file(where)
    if file is None:
        return _open_database(where, is_known=is_known)
    _make_folder(file)
    _check_sqlite(file)
    with _file_lock(file):  # processes that create the tables at the same time conflict
        return _open_database(where)


def _open_journal(path: Path) -> BaseStorage:
    _make_folder(path)
    try:
        journal = Journal(path)
        try:
            return StudyJournal(journal)
        except (KeyError, ValueError, TypeError, AttributeError, AssertionError) as error:
            raise journal.describe_error(error) from None
    except OSError as error:
        raise _unusable(path, error) from None


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(13, "no permission to write", str(path.parent))
    except FileExistsError:
        raise _unusable(path, NotADirectoryError(20, "Not a directory")) from None
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or error
    named = getattr(error, "filename", None)  # a lock next to the file may belong to another user
    if isinstance(named, str) and named.startswith(f"{path}."):
        reason = f"{Path(named).name}: {reason}"
    return UserError(f"{KEY}={str(path)[:200]}: {reason}; expected a file in a folder that can be written to")


def _sqlite_file(where: str) -> Path | None:
    """Return the file of a SQLite URL; None for other databases.

    Raises:
        UserError: for a database in memory, which other processes cannot access.
    """
    if not where.startswith("sqlite"):
        return None
    name = where.partition("://")[2].removeprefix("/").partition("?")[0]
    if name in ("", ":memory:") or name.startswith("file:"):
        raise UserError(f"{KEY}={where}: a database that workers cannot share; expected sqlite:///FILE")
    return Path(name)


def _check_sqlite(path: Path) -> None:
    """Check that a file is a database of Optuna, so that no tables are created in other databases."""
    import sqlite3

    check_regular(path, "an SQLite database")
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        connection = sqlite3.connect(path, timeout=_CONNECT)
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise UserError(f"{KEY}=sqlite:///{path}: {error}; expected a database of Optuna's, or a new file") from None
    if tables and "studies" not in tables:
        raise UserError(
            f"{KEY}=sqlite:///{path}: a database of something else (with a table {min(tables)}); expected one of "
            "Optuna's, or a new file"
        )


def _open_database(where: str, *, is_known: bool = False) -> BaseStorage:
    from sqlalchemy.exc import DBAPIError, NoSuchModuleError

    kind = where.partition(":")[0].partition("+")[0]
    if kind == "sqlite":
        engine: dict[str, Any] = {"connect_args": {"timeout": 60}}
    else:
        engine = {"pool_pre_ping": True, **POOL}
        if kind in ("postgresql", "mysql", "mariadb"):
            engine["connect_args"] = {"connect_timeout": _CONNECT}
    shown = mask_url(where)

    def connect() -> TrialDatabase:
        return TrialDatabase(encode_password(where), engine_kwargs=engine)

    try:
        storage = _retry(connect if kind == "sqlite" else lambda: wait_for_database(connect, where, is_known=is_known))
        # With the cache of finished trials that each study would otherwise fill for itself.
        return StudyDatabase(storage) if kind == "sqlite" else RetryingStorage(storage, where)  # type: ignore[abstract]
    except ImportError as error:
        driver = getattr(error.__cause__, "name", None) or error.name
        raise UserError(
            f"{KEY}={kind}://...: its driver is not installed: expected the package {driver}; or name another driver "
            f"of SQLAlchemy's, as {kind}+DRIVER://..."
        ) from None
    except NoSuchModuleError:
        raise UserError(
            f"{KEY}={shown}: no such kind of database; expected a file, sqlite:///FILE, postgresql://... or mysql://..."
        ) from None
    except DBAPIError as error:
        reason = mask_secrets(describe_outage(printable(" ".join(str(error.orig).split()), 300)), where)
        raise UserError(f"{KEY}={shown}: {reason}") from None
    except UserError:
        raise
    except Exception as error:
        reason = mask_secrets(str(error).splitlines()[0], where) if str(error) else type(error).__name__
        raise UserError(f"{KEY}={shown}: {reason}") from None


def _retry(call: Callable[[], Result]) -> Result:
    """Retry a call if another process has just created the same tables."""
    for attempt in range(_TRIES):
        try:
            return call()
        except Exception as error:
            if attempt == _TRIES - 1 or not any(sign in str(error) for sign in _CONTENTION):
                raise
            time.sleep(0.1 * 2**attempt)
    raise AssertionError("unreachable")


@contextmanager
def claim(storage: BaseStorage) -> Iterator[None]:
    """Ensure that only one command at a time starts or continues a study, or recovers trials of ended processes.

    Uses a file lock next to a journal or a SQLite database, and named locks of PostgreSQL and MySQL. Each is released
    when its process ends. Other databases have no lock that SQLAlchemy supports; there only the unique name of a study
    prevents conflicts.

    Raises:
        UserError: if another command holds the lock for minutes.
    """
    if isinstance(storage, RetryingStorage):
        named_locks = storage.engine.dialect.name in ("postgresql", "mysql", "mariadb")
        with _database_lock(storage) if named_locks else nullcontext():
            yield
        return
    # Optuna wraps databases in a cache, and journals in a replay object.
    backend = getattr(storage, "_backend", storage)
    engine = getattr(backend, "engine", None)
    if isinstance(backend, Journal):
        with _file_lock(backend.path):
            yield
    elif engine is not None:
        with _file_lock(Path(engine.url.database)):
            yield
    else:
        yield


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    from filelock import Timeout

    lock = FileLock(path.with_name(path.name + ".claim"), timeout=_WAIT)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(f"{lock.lock_file}: held by another command for {_WAIT} s; end that one first") from None
    except OSError as error:
        raise _unusable(path, error) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _database_lock(storage: RetryingStorage) -> Iterator[None]:
    """Hold a named lock of a database server, on a connection of its own that the lock belongs to.

    The server releases it when the connection ends. If that happens within the block, another command may enter it too.
    """
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    if storage.engine.dialect.name == "postgresql":
        given: int | str = zlib.crc32(b"dcase_sweep")
        take, release = "SELECT pg_try_advisory_lock(:key)", "SELECT pg_advisory_unlock(:key)"
    else:
        given, take, release = "dcase_sweep", "SELECT GET_LOCK(:key, 0)", "SELECT RELEASE_LOCK(:key)"

    def acquire() -> Any:
        connection = storage.engine.connect()
        try:
            deadline = time.monotonic() + _WAIT
            while not connection.execute(text(take), {"key": given}).scalar():
                connection.rollback()
                if time.monotonic() > deadline:
                    raise UserError(f"{KEY}: its lock is held by another command for {_WAIT} s; end that one first")
                time.sleep(0.1)
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection

    connection = wait_for_database(acquire, storage.where)
    try:
        yield
    finally:
        with suppress(DBAPIError), connection:  # a lost connection has released it
            connection.execute(text(release), {"key": given})
            connection.commit()
