"""The local MLflow store: one SQLite file, with its artifacts in the same folder."""

import logging
import os
import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.errors import UserError, describe_os_error
from dcase_sweep.utils.secrets import mask_url

log = logging.getLogger(__name__)

#: Name of the folder of artifacts, next to the database.
ARTIFACTS = "artifacts"
#: Tables and columns of MLflow with absolute paths of artifacts.
_ADDRESSES = (
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)


def locate_database(uri: str) -> Path | None:
    """Return the file of an SQLite store; None for any other store."""
    path = uri.removeprefix("sqlite:///").partition("?")[0] if uri.startswith("sqlite:///") else ""
    return Path(path) if path and path != ":memory:" else None


def absolute_uri(uri: str) -> str:
    """The address of the same SQLite file from any working folder; that of any other store as it is.

    MLflow keeps one engine for each address in a process: a relative one would lead to the first file that it led to.
    """
    database = locate_database(uri)
    if database is None or database.is_absolute():
        return uri
    _, question, options = uri.partition("?")
    return f"sqlite:///{database.absolute()}{question}{options}"


def locate_artifacts(database: Path) -> Path:
    """Return the folder of the artifacts of a database's runs."""
    return database.parent.resolve() / ARTIFACTS


def prepare_database(path: Path) -> None:
    """Create the database if there is none, and check it; call this under the store's lock.

    MLflow creates its schema with hundreds of statements. They are run on a temporary file, which is renamed when all
    are done, so that an interruption leaves no incomplete database. An incomplete database of an earlier version is
    renamed and replaced if it contains no runs.

    Raises:
        UserError: if the file is not a database of MLflow, or cannot be created.
    """
    _check_kind(path)
    if not path.exists() or path.stat().st_size == 0:
        _create(path)
    try:
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            _use_log(connection)
            is_incomplete = _is_incomplete(connection)
    except sqlite3.Error as error:
        raise _not_a_database(path, error) from error
    if is_incomplete:
        aside = path.with_name(f"{path.name}.incomplete")
        _rename(path, aside)
        log.warning(f"{path}: incomplete and without runs, after an interrupted command: renamed to {aside.name}")
        _create(path)


def _check_kind(path: Path) -> None:
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "not a regular file"
        raise UserError(f"{path}: {kind}; expected MLflow's SQLite database, or nothing, at this path")


def _not_a_database(path: Path, error: sqlite3.Error) -> UserError:
    return UserError(
        f"{path}: {error}; expected MLflow's SQLite database: move the file away to start a new one, or choose "
        "another tracking.folder"
    )


def inspect_database(path: Path, uri: str, experiment: str, parent: str | None) -> None:
    """Check the database without loading MLflow, which takes seconds.

    Args:
        path: path of the database, which need not exist.
        uri: its address for messages, without secrets.
        experiment: name of the experiment to log to.
        parent: id of the parent run; None if there is none.

    Raises:
        UserError: if the file is not a database, the experiment was deleted, or the parent does not exist.
    """
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise UserError(f"{path}: Not a directory; set tracking.folder to a folder to write to")
    _check_kind(path)
    is_parent = False
    if path.exists() and path.stat().st_size:
        try:
            with closing(sqlite3.connect(path, timeout=60)) as connection:
                found = connection.execute(
                    "SELECT experiment_id, lifecycle_stage FROM experiments WHERE name = ?", (experiment,)
                ).fetchone()
                is_parent = bool(connection.execute("SELECT 1 FROM runs WHERE run_uuid = ?", (parent,)).fetchone())
        except sqlite3.OperationalError:  # not MLflow's, or incomplete: reported when it is opened
            return
        except sqlite3.Error as error:
            raise _not_a_database(path, error) from error
        if found is not None and found[1] != "active":
            raise deleted_experiment(experiment, uri, str(found[0]))
    if parent and not is_parent:
        raise no_parent(parent, uri)


def deleted_experiment(name: str, uri: str, number: str) -> UserError:
    """Return the error for an experiment that was deleted."""
    return UserError(
        f"tracking.experiment={name}: deleted in {uri}; restore it with MLFLOW_TRACKING_URI={uri} mlflow "
        f"experiments restore --experiment-id {number}, or choose another tracking.experiment"
    )


def no_parent(parent: str, uri: str) -> UserError:
    """Return the error for a parent run that does not exist."""
    return UserError(
        f"tracking.parent={mask_url(parent)[:80]}: no such run in {uri}; expected the id of a run, as python -m "
        "dcase_sweep runs lists them, or null"
    )


def _use_log(connection: sqlite3.Connection) -> None:
    """Allow readers while a process writes (write-ahead log); a read-only file is not changed."""
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as error:
        if "readonly" not in str(error):
            raise


def import_quietly() -> None:
    """Import MLflow and let it log errors only. Its import configures its loggers, so this is done afterwards.

    It prints no addresses of runs, which this package prints itself, and no bar for each file that it reads. A request
    that fails is repeated once, not for minutes. Values of the environment take precedence.
    """
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    import mlflow  # noqa: F401

    for library in ("mlflow", "alembic", "urllib3.connectionpool"):  # the last warns of every attempt to connect
        logging.getLogger(library).setLevel(logging.ERROR)
    # It logs a traceback for every database error before it raises the error, which is reported in one line.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def _create(path: Path) -> None:
    import_quietly()
    from mlflow.exceptions import MlflowException
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy.exc import SQLAlchemyError

    for left in path.parent.glob(f".{path.name}.*.new*"):  # left by a killed command; this process has the lock
        left.unlink(missing_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        # MLflow keeps an engine for each address: a relative one would name a file in an earlier working folder.
        SqlAlchemyStore(f"sqlite:///{aside.absolute()}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH).engine.dispose()
        with closing(sqlite3.connect(aside)) as connection:
            _use_log(connection)
        with aside.open("rb+") as handle:  # Windows flushes only what may be written
            os.fsync(handle.fileno())
        _rename(aside, path)
    except (sqlite3.Error, SQLAlchemyError, MlflowException, OSError) as error:
        line = describe_os_error(error) if isinstance(error, OSError) else None
        if line is None and re.search(r"disk is full|disk I/O error", str(error)):
            line = f"{path.parent.resolve()}: no space left on the disk for the database of runs; free some, or choose "
            line += "another tracking.folder"
        if line is None:
            line = f"{path}: the database of runs cannot be created: {str(error).splitlines()[0]}"
        raise UserError(line) from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                aside.with_name(aside.name + suffix).unlink(missing_ok=True)


def _rename(source: Path, target: Path) -> None:
    """Rename a database with its log, and remove the log of an earlier one at the target."""
    for suffix in ("-wal", "-shm", "-journal"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
        own = source.with_name(source.name + suffix)
        if own.exists():
            os.replace(own, target.with_name(target.name + suffix))
    os.replace(source, target)


def _is_incomplete(connection: sqlite3.Connection) -> bool:
    """Whether a database without runs has an incomplete schema; MLflow upgrades databases with runs itself."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    known = {"experiments", "runs", "alembic_version"}
    if "runs" in tables and connection.execute("SELECT 1 FROM runs LIMIT 1").fetchone():
        return False
    if "experiments" in tables and connection.execute("SELECT count(*) FROM experiments").fetchone()[0] > 1:
        return False
    if not tables:
        return True
    if not tables & known:
        raise sqlite3.DatabaseError(f"a database of another program (its tables are {', '.join(sorted(tables)[:5])})")
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.tracking import sqlalchemy_store  # noqa: F401 - declares the tables

    return not set(Base.metadata.tables) <= tables or _revision(connection) != _newest_revision()


def _revision(connection: sqlite3.Connection) -> str | None:
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if found is None else str(found[0])


def _newest_revision() -> str | None:
    import mlflow.store.db_migrations
    from alembic.script import ScriptDirectory

    return ScriptDirectory(mlflow.store.db_migrations.__path__[0]).get_current_head()


def move_artifacts(path: Path) -> None:
    """Update the paths of artifacts after the database was moved or copied; call this under the store's lock.

    MLflow stores the absolute paths of the artifacts of runs and of registered models. The artifacts of this package
    are in ``artifacts`` next to the database. Experiments with another location for artifacts are not changed.
    """
    here = locate_artifacts(path)
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        rows = connection.execute("SELECT experiment_id, artifact_location FROM experiments").fetchall()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        moved = [(number, location) for number, location in rows if _belongs_here(location, path)]
        if not moved:
            return
        count = 0
        try:
            for number, location in moved:
                connection.execute(
                    "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (here.as_uri(), number)
                )
                old = location.rstrip("/")
                if not here.is_dir() and _local_path(location).is_dir():
                    continue  # only the database was copied: the artifacts of its runs are still there
                for table, column in _ADDRESSES:
                    if table not in tables:  # of an earlier version, which MLflow refuses
                        continue
                    changed = connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                        (here.as_uri(), len(old) + 1, len(old) + 1, old + "/"),
                    ).rowcount
                    count += changed if table == "runs" else 0
            connection.commit()
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error):
                raise
            return
    was = _local_path(moved[0][1]).parent
    log.info(f"tracking  {path.parent} was moved from {was}: {pluralize(count, 'run')} and new ones use {here}")


def _belongs_here(location: str | None, path: Path) -> bool:
    """Whether an experiment's artifacts were next to the database before it was moved."""
    here, there = locate_artifacts(path), _local_path(location or "")
    if there.name != ARTIFACTS or not there.is_absolute() or there == here:
        return False
    with suppress(OSError):
        if there.samefile(here):  # the same folder by another path (a link, a mount)
            return False
    # Artifacts at another location on purpose still exist there, and there is no database there and no copy here.
    return not there.is_dir() or here.is_dir() or (there.parent / path.name).is_file()


def _local_path(uri: str) -> Path:
    """Return the path of a ``file:`` address; a relative path for any other."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        from urllib.request import url2pathname  # as slow to import as all else here

        return Path(url2pathname(parts.path))
    return Path(uri) if Path(uri).is_absolute() else Path("elsewhere")


def run_artifacts(path: Path, run_id: str, artifact_uri: str) -> Path | None:
    """Return the folder of a run's artifacts next to the database; None if they have another location."""
    here = locate_artifacts(path)
    folder = _local_path(artifact_uri)
    if folder.parts[-3:] != (ARTIFACTS, run_id, "artifacts"):
        return None
    location = folder.parent.parent
    if location == here or _belongs_here(str(location), path):
        return here / run_id / "artifacts"
    return None
