"""Locating, preparing and opening MLflow stores."""

import atexit
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dcase_sweep.config import Tracking
from dcase_sweep.tracking.database import (
    absolute_uri,
    deleted_experiment,
    import_quietly,
    inspect_database,
    locate_artifacts,
    locate_database,
    move_artifacts,
    prepare_database,
)
from dcase_sweep.tracking.owners import close_dead_runs
from dcase_sweep.tracking.saved_view import link_to_run, link_to_runs, save_sweep_view, save_view
from dcase_sweep.tracking.servers import ServerAway, describe_connection_error, prepare_server, wait_for_server
from dcase_sweep.utils.collection import importing
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import mask_secrets, mask_url

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE = "mlflow.db"
_TRIES = 6
#: Parts of MLflow's messages about errors of the store, not of the program.
_TROUBLE = ("(sqlite3.", "API request to", "(psycopg", "(pymysql", "(MySQLdb", "(pyodbc")
_REQUEST = re.compile(r"API request to (\S+?)/api/")
#: Parts of their messages if another process used the store at the same time.
_CONTENTION = ("database is locked", "UNIQUE constraint failed")
_FULL = "database or disk is full"
Result = TypeVar("Result")


def retry(call: Callable[[], Result], folder: Path | None = None) -> Result:
    """Call a function, and repeat the call with growing delays while another process uses the database.

    Args:
        call: the function.
        folder: folder of the database, for a message about a full disk.

    Raises:
        UserError: if the store cannot be written or reached.
    """
    for attempt in range(_TRIES):
        try:
            return call()
        except Exception as error:
            is_contended = any(sign in str(error) for sign in _CONTENTION)
            if not is_contended and any(sign in str(error) for sign in _TROUBLE):
                asked = _REQUEST.match(str(error))
                reason = (
                    f"{mask_url(asked[1])}: {describe_connection_error(error)}"
                    if asked
                    else mask_secrets(str(error).splitlines()[0])
                )
                if _FULL in reason and folder is not None:
                    reason = f"{folder.resolve()}: {reason}"
                raise UserError(f"the store of runs cannot be used: {reason}") from error
            if not is_contended or attempt == _TRIES - 1:
                raise
            time.sleep(0.2 * 2**attempt)
    raise AssertionError("unreachable")


def local_uri(folder: Path) -> str:
    """Return MLflow's address of the SQLite store in a folder."""
    return f"sqlite:///{folder / DATABASE}"


def resolve_uri(tracking: Tracking) -> str:
    """Return the address of the store: as configured, else MLFLOW_TRACKING_URI, else SQLite in the folder."""
    return tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or local_uri(Path(tracking.folder))


def is_local(tracking: Tracking) -> bool:
    """Whether the store is a file of this machine."""
    return locate_database(resolve_uri(tracking)) is not None


def is_there(tracking: Tracking) -> bool:
    """Whether the database file exists; True for a server, which is checked when it is opened."""
    database = locate_database(resolve_uri(tracking))
    return database is None or database.is_file()


def check_address(tracking: Tracking) -> None:
    """Check the address of the store before the libraries for training are loaded.

    A server is waited for by a later run of this process, and by the runs of a sweep, whose command has reached it.

    Raises:
        UserError: as in `servers.prepare_server`, or for a name that no experiment can have.
    """
    _check_name(tracking.experiment)
    uri = resolve_uri(tracking)
    database = locate_database(uri)
    if database is None:
        is_known = bool(tracking.parent) or any(known == uri for known, _ in _stores)
        wait_for_server(lambda: prepare_server(uri), tracking.start_timeout if is_known else 0.0, ServerAway)
    elif "?" in tracking.folder and uri == local_uri(Path(tracking.folder)):
        raise UserError(f"{tracking.folder}: MLflow can use no path with a question mark; set another tracking.folder")


def check_store(tracking: Tracking) -> None:
    """Check the address, and a local store as far as possible without MLflow.

    Raises:
        UserError: as in `check_address`, or for an experiment that was deleted or a parent that does not exist.
    """
    check_address(tracking)
    uri = resolve_uri(tracking)
    database = locate_database(uri)
    if database is not None:
        inspect_database(database, mask_url(uri), tracking.experiment, tracking.parent)


@dataclass(frozen=True, slots=True)
class Store:
    """An open MLflow store with its schema and its experiment.

    Attributes:
        client: MLflow's client.
        uri: address without a password.
        experiment_id: id of the configured experiment; empty if none is needed.
        database: file of a local store; None for any other.
        has_view: whether the experiment has the saved view of its runs.
    """

    client: "MlflowClient"
    uri: str
    experiment_id: str
    database: Path | None = None
    has_view: bool = False

    @property
    def command(self) -> str:
        """The command that opens MLflow's page of the store."""
        return f"open {self.uri}" if self.uri.startswith("http") else f"mlflow ui --backend-store-uri {self.uri}"

    @property
    def link(self) -> str:
        """The address of MLflow's list of runs, once the page is open."""
        return link_to_runs(self.uri, self.experiment_id, has_view=self.has_view)

    def link_to_run(self, run_id: str) -> str:
        """The address of the page of a run."""
        return link_to_run(self.uri, self.experiment_id, run_id)

    def link_to_sweep(self, parent: str) -> str:
        """The address of the list of a sweep's jobs, whose view is saved by that; the page of its run if it cannot be.

        Args:
            parent: the id of the sweep's run.
        """
        is_saved = self.has_view and self.call(lambda: save_sweep_view(self.client, self.experiment_id, parent))
        return (
            link_to_runs(self.uri, self.experiment_id, has_view=True, parent=parent)
            if is_saved
            else self.link_to_run(parent)
        )

    def call(self, call: Callable[[], Result]) -> Result:
        """`retry` a call of the client."""
        return retry(call, None if self.database is None else self.database.parent)


_stores: dict[tuple[str, str | None], Store] = {}


def open_store(tracking: Tracking, *, experiment: bool = True) -> Store:
    """Open the configured store.

    The schema of a new SQLite store is created under a file lock, because processes that create it at the same time
    fail. Runs of a local store whose process has ended are closed. A server is checked first, because MLflow would
    retry for minutes.

    Args:
        tracking: settings of the store.
        experiment: whether its experiment is needed; it is created if it does not exist.

    Raises:
        UserError: if the store cannot be reached or written, or its experiment was deleted.
    """
    uri = resolve_uri(tracking)
    name = tracking.experiment if experiment else None
    key = (absolute_uri(uri), name)
    if key not in _stores:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        check_address(tracking)
        database = locate_database(uri)
        with importing():
            if database is None:
                _stores[key] = _open(prepare_server(uri), name)
            else:
                _stores[key] = _open_database(uri, name, database)
    return _stores[key]


def _check_name(experiment: str) -> None:
    if not experiment.strip() or len(experiment) > 256 or re.search(r"[\x00-\x1f]", experiment):
        raise UserError(f"tracking.experiment={experiment[:80]!r}: expected a name of 1 to 256 printable characters")


def _open_database(uri: str, experiment: str | None, database: Path) -> Store:
    from filelock import FileLock

    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(database.with_name(f".{database.name}.lock")):
            prepare_database(database)
            move_artifacts(database)
            store = _open(uri, experiment, database.absolute())
            close_dead_runs(store)
            return store
    except OSError as error:
        raise UserError(
            f"{database}: {error.strerror or error}; set tracking.folder to a folder to write to"
        ) from error


def _open(uri: str, experiment: str | None, database: Path | None = None) -> Store:
    """Open a store whose schema exists.

    Args:
        uri: address for MLflow.
        experiment: name of the experiment, which is created if it does not exist; None if none is needed.
        database: file of a local store.
    """
    import_quietly()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    shown = mask_url(uri)
    try:
        client = MlflowClient(tracking_uri=absolute_uri(uri))
        _set_up_sqlite(client)
        if experiment is None:
            return Store(client, shown, "", database)
        found = client.get_experiment_by_name(experiment) or _create_experiment(client, experiment, database)
    except (MlflowException, SQLAlchemyError) as error:
        reason = mask_secrets(" ".join(str(error).split())[:300], uri)
        raise UserError(f"tracking.uri={shown}: {reason}") from error
    if found.lifecycle_stage != "active":
        raise deleted_experiment(str(experiment), shown, found.experiment_id)
    has_view = retry(lambda: save_view(client, found.experiment_id, found.tags))
    return Store(client, shown, found.experiment_id, database, has_view)


def _create_experiment(client: "MlflowClient", name: str, database: Path | None) -> Any:
    from mlflow.exceptions import MlflowException

    artifacts = None if database is None else locate_artifacts(database).as_uri()
    # With this kind MLflow opens its view for training, with metrics as columns.
    kind = {"mlflow.experimentKind": "custom_model_development"}
    try:
        return client.get_experiment(client.create_experiment(name, artifact_location=artifacts, tags=kind))
    except MlflowException:
        found = client.get_experiment_by_name(name)  # created by another machine in the meantime
        if found is None:
            raise
        return found


def _set_up_sqlite(client: "MlflowClient") -> None:
    """Let SQLite commit without waiting for the disk, and keep everything in one file when the process has ended.

    With a write-ahead log, a crash of the process loses nothing, and a power failure does not corrupt the database.
    """
    from sqlalchemy import event

    engine = getattr(client._tracking_client.store, "engine", None)
    if engine is None or engine.dialect.name != "sqlite":
        return

    def configure(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(engine, "connect", configure)
    atexit.register(engine.dispose)  # the last connection that is closed moves the log into the database


def opened_stores() -> list[Store]:
    """List the stores that this process has logged to."""
    return [store for (_, experiment), store in _stores.items() if experiment is not None]
