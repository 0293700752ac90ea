"""The local store of runs: one SQLite file, made as a whole, with its artifacts beside it."""

import logging
import os
import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.errors import UserError, describe_os_error
from dcase_sweep.utils.secrets import mask_url

log = logging.getLogger(__name__)

#: In the folder of the database.
ARTIFACTS = "artifacts"


def locate_database(uri: str) -> Path | None:
    """The file of an SQLite store; None for any other store."""
    path = uri.removeprefix("sqlite:///").partition("?")[0] if uri.startswith("sqlite:///") else ""
    return Path(path) if path and path != ":memory:" else None


def locate_artifacts(database: Path) -> Path:
    """Where the artifacts of a database's runs lie."""
    return database.parent.resolve() / ARTIFACTS


def prepare_database(path: Path) -> None:
    """Make the database where there is none, and see that it is one; called under the store's lock.

    MLflow makes its schema by hundreds of statements. They are run on a file aside, which is renamed into place when
    all are done: an interruption between them leaves nothing that a later command would trip over. What an earlier
    version left half made is moved aside if it holds no runs.

    Raises:
        UserError: for a file that is no database, or one that is half made and holds runs.
    """
    _check_kind(path)
    if not path.exists() or path.stat().st_size == 0:
        _make(path)
    try:
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            _use_log(connection)
            half_made = _is_half_made(connection)
    except sqlite3.Error as error:
        raise _no_database(path, error) from error
    if half_made:
        aside = path.with_name(f"{path.name}.incomplete")
        _rename(path, aside)
        log.warning(f"{path}: half made by a command that was interrupted, without a run: moved to {aside.name}")
        _make(path)


def _check_kind(path: Path) -> None:
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise UserError(f"{path}: {kind}; expected MLflow's SQLite database, or nothing, at this path")


def _no_database(path: Path, error: sqlite3.Error) -> UserError:
    return UserError(
        f"{path}: {error}; expected MLflow's SQLite database: move the file away to begin a new one, or choose "
        "another tracking.folder"
    )


def inspect_database(path: Path, uri: str, experiment: str, parent: str | None) -> None:
    """Refuse in milliseconds what MLflow would refuse once it is loaded: no database, an experiment that was deleted.

    Args:
        path: of the database, which need not be there yet.
        uri: its address as people may see it.
        experiment: where runs are to be logged.
        parent: the run above them; None = there is none.

    Raises:
        UserError: also if the database has no run of the parent's id.
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
        except sqlite3.OperationalError:  # not MLflow's, or half made: what that means is told when it is opened
            return
        except sqlite3.Error as error:
            raise _no_database(path, error) from error
        if found is not None and found[1] != "active":
            raise deleted_experiment(experiment, uri, str(found[0]))
    if parent and not is_parent:
        raise no_parent(parent, uri)


def deleted_experiment(name: str, uri: str, number: str) -> UserError:
    """What to do about an experiment that was deleted."""
    return UserError(
        f"tracking.experiment={name}: deleted in {uri}; bring it back with MLFLOW_TRACKING_URI={uri} mlflow "
        f"experiments restore --experiment-id {number}, or choose another tracking.experiment"
    )


def no_parent(parent: str, uri: str) -> UserError:
    """What to do about a parent that is no run."""
    return UserError(
        f"tracking.parent={mask_url(parent)[:80]}: no such run in {uri}; expected the id of a run, as python -m "
        "dcase_sweep runs lists them, or null"
    )


def _use_log(connection: sqlite3.Connection) -> None:
    """Let readers and one writer work side by side; where the file cannot be written, it stays as it is."""
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as error:
        if "readonly" not in str(error):
            raise


def import_quietly() -> None:
    """Import MLflow and let it print errors alone; its import sets its loggers up, so they are changed after it."""
    import mlflow  # noqa: F401

    for library in ("mlflow", "alembic"):
        logging.getLogger(library).setLevel(logging.ERROR)
    # It prints the traceback of every error of a database before it raises it; what is raised is told in one line.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def _make(path: Path) -> None:
    import_quietly()
    from mlflow.exceptions import MlflowException
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy.exc import SQLAlchemyError

    for left in path.parent.glob(f".{path.name}.*.new*"):  # by a command that was killed; the lock is ours
        left.unlink(missing_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        SqlAlchemyStore(f"sqlite:///{aside}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH).engine.dispose()
        with closing(sqlite3.connect(aside)) as connection:
            _use_log(connection)
        with aside.open("rb") as handle:
            os.fsync(handle.fileno())
        _rename(aside, path)
    except (sqlite3.Error, SQLAlchemyError, MlflowException, OSError) as error:
        line = describe_os_error(error) if isinstance(error, OSError) else None
        if line is None and re.search(r"disk is full|disk I/O error", str(error)):
            line = f"{path.parent.resolve()}: no space left on the disk for the database of runs; free some, or choose "
            line += "another tracking.folder"
        if line is None:
            line = f"{path}: the database of runs cannot be made: {str(error).splitlines()[0]}"
        raise UserError(line) from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                aside.with_name(aside.name + suffix).unlink(missing_ok=True)


def _rename(source: Path, target: Path) -> None:
    """Rename a database; a log of the earlier one at the target would be taken for its own."""
    for suffix in ("-wal", "-shm", "-journal"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
        beside = source.with_name(source.name + suffix)
        if beside.exists():
            os.replace(beside, target.with_name(target.name + suffix))
    os.replace(source, target)


def _is_half_made(connection: sqlite3.Connection) -> bool:
    """Whether MLflow's schema is incomplete in a database without runs; one that holds runs is MLflow's to upgrade."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    known = {"experiments", "runs", "alembic_version"}
    if "runs" in tables and connection.execute("SELECT 1 FROM runs LIMIT 1").fetchone():
        return False
    if "experiments" in tables and connection.execute("SELECT count(*) FROM experiments").fetchone()[0] > 1:
        return False
    if not tables:
        return True
    if not tables & known:
        raise sqlite3.DatabaseError(f"a database of something else (its tables are {', '.join(sorted(tables)[:5])})")
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.tracking import sqlalchemy_store  # noqa: F401 - which declares the tables

    return not set(Base.metadata.tables) <= tables or _revision(connection) != _newest_revision()


def _revision(connection: sqlite3.Connection) -> str | None:
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if found is None else str(found[0])


def _newest_revision() -> str | None:
    import mlflow.store.db_migrations
    from alembic.script import ScriptDirectory

    return ScriptDirectory(mlflow.store.db_migrations.__path__[0]).get_current_head()


def move_artifacts(path: Path) -> None:
    """Let a database that was moved or copied look for its artifacts beside it; called under the store's lock.

    MLflow stores the absolute path of each run's artifacts. Those that this project made lie in ``artifacts`` beside
    the database, wherever that is now. Experiments whose artifacts were put elsewhere on purpose stay as they are.
    """
    here = locate_artifacts(path)
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        rows = connection.execute("SELECT experiment_id, artifact_location FROM experiments").fetchall()
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
                    continue  # the database alone was copied: its runs are still read from there
                count += connection.execute(
                    "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
                    "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                    (here.as_uri(), len(old) + 1, number, len(old) + 1, old + "/"),
                ).rowcount
            connection.commit()
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error):
                raise
            return
    was = _local_path(moved[0][1]).parent
    log.info(f"tracking  {path.parent} was moved from {was}: {pluralize(count, 'run')} and new ones use {here}")


def _belongs_here(location: str | None, path: Path) -> bool:
    """Whether an experiment's artifacts are this project's and the database has left them behind."""
    here, there = locate_artifacts(path), _local_path(location or "")
    if there.name != ARTIFACTS or not there.is_absolute() or there == here:
        return False
    with suppress(OSError):
        if there.samefile(here):  # the same folder by another path: a link, a mount
            return False
    # Artifacts may be elsewhere on purpose: then they are there, and neither a database nor a copy here claims them.
    return not there.is_dir() or here.is_dir() or (there.parent / path.name).is_file()


def _local_path(uri: str) -> Path:
    """The path of a ``file:`` address; a relative path for any other."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(uri) if uri.startswith("/") else Path("elsewhere")


def run_artifacts(path: Path, run_id: str, artifact_uri: str) -> Path | None:
    """The folder beside the database that holds a run's artifacts; None where they were put elsewhere on purpose."""
    here = locate_artifacts(path)
    folder = _local_path(artifact_uri)
    if folder.parts[-3:] != (ARTIFACTS, run_id, "artifacts"):
        return None
    location = folder.parent.parent
    if location == here or _belongs_here(str(location), path):
        return here / run_id / "artifacts"
    return None
