"""Stores of runs in MLflow: found, made ready, opened."""

import logging
import os
import sqlite3
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dcase_sweep.config import Tracking
from dcase_sweep.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE = "mlflow.db"
_TRIES = 6
#: How long a server may take to answer at all, in seconds.
_SIGN_OF_LIFE = 5.0
#: What MLflow's exceptions say where the fault is the store's, not the program's.
_TROUBLE = ("(sqlite3.", "API request to")
#: What they say where another process was at it at the same moment.
_CONTENTION = ("database is locked", "UNIQUE constraint failed")
Result = TypeVar("Result")


def retry(call: Callable[[], Result]) -> Result:
    """Call again, later and later, while another process holds the database or has just made what this one makes.

    Raises:
        UserError: if the store cannot be written or reached any more.
    """
    for attempt in range(_TRIES):
        try:
            return call()
        except Exception as error:
            is_contended = any(sign in str(error) for sign in _CONTENTION)
            if not is_contended and any(sign in str(error) for sign in _TROUBLE):
                raise UserError(f"the store of runs cannot be used: {str(error).splitlines()[0]}") from error
            if not is_contended or attempt == _TRIES - 1:
                raise
            time.sleep(0.2 * 2**attempt)
    raise AssertionError("unreachable")


def local_uri(folder: Path) -> str:
    """The SQLite store in a folder, as MLflow names it."""
    return f"sqlite:///{folder / DATABASE}"


def resolve_uri(tracking: Tracking) -> str:
    """The configured store; else MLFLOW_TRACKING_URI; else SQLite under the folder."""
    return tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or local_uri(Path(tracking.folder))


def is_there(tracking: Tracking) -> bool:
    """Whether there is a store to look for runs in: a database is a file, a server is asked when it is opened."""
    database = _database_of(resolve_uri(tracking))
    return database is None or database.is_file()


@dataclass(frozen=True, slots=True)
class Store:
    """An MLflow store that is ready: its schema made, its experiment there."""

    client: "MlflowClient"
    uri: str
    experiment_id: str

    @property
    def command(self) -> str:
        """The command that opens it."""
        if self.uri.startswith("sqlite:"):
            return f"mlflow ui --backend-store-uri {self.uri}"
        return f"open {self.uri}" if self.uri.startswith("http") else f"mlflow ui --backend-store-uri {self.uri}"


_stores: dict[tuple[str, str], Store] = {}


def open_store(tracking: Tracking) -> Store:
    """The configured store.

    The schema of a fresh SQLite store is made under a lock beside it: processes that make it at once trip over one
    another. Artifacts lie beside it too. A server is asked for a sign of life first, because MLflow would try for
    minutes, and needs no local folder.

    Raises:
        UserError: if the store cannot be reached or written.
    """
    uri = resolve_uri(tracking)
    key = (uri, tracking.experiment)
    if key not in _stores:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        database = _database_of(uri)
        if database is None:
            _check_server(uri)
            _stores[key] = _open(uri, tracking.experiment)
        else:
            _stores[key] = _open_database(uri, tracking.experiment, database)
    return _stores[key]


def _database_of(uri: str) -> Path | None:
    """The file of an SQLite store."""
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None


def _check_server(uri: str) -> None:
    """Any answer will do, a refusal too: what it is about, MLflow tells better."""
    if not uri.startswith(("http://", "https://")):
        return
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=_SIGN_OF_LIFE).close()
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLError):
            return
        raise UserError(
            f"tracking.uri={uri}: no MLflow server answers there ({reason}); start it, correct the address, or choose "
            "tracking=local"
        ) from None


def _open_database(uri: str, experiment: str, database: Path) -> Store:
    from filelock import FileLock

    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(database.with_name(f".{database.name}.lock")):
            _prepare(database)
            return _open(uri, experiment, (database.parent / "artifacts").resolve().as_uri())
    except OSError as error:
        raise UserError(
            f"{database}: {error.strerror or error}; set tracking.folder to a folder to write to"
        ) from error


def _open(uri: str, experiment: str, artifacts: str | None = None) -> Store:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        client = MlflowClient(tracking_uri=uri)
        _do_not_wait_for_the_disk(client)
        found = client.get_experiment_by_name(experiment)
        if found is not None:
            return Store(client, uri, found.experiment_id)
        try:
            # The kind makes MLflow's page open on its view for training, metrics as columns.
            kind = {"mlflow.experimentKind": "custom_model_development"}
            made = client.create_experiment(experiment, artifact_location=artifacts, tags=kind)
            return Store(client, uri, made)
        except MlflowException:
            found = client.get_experiment_by_name(experiment)  # another machine was faster
            if found is None:
                raise
            return Store(client, uri, found.experiment_id)
    except MlflowException as error:
        raise UserError(f"tracking.uri={uri}: {str(error).splitlines()[0]}") from error


def _do_not_wait_for_the_disk(client: "MlflowClient") -> None:
    """Let SQLite commit without waiting: behind a log no crash of a process loses anything, nor a power cut order."""
    from sqlalchemy import event

    engine = getattr(client._tracking_client.store, "engine", None)
    if engine is None or engine.dialect.name != "sqlite":
        return

    def hurry(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(engine, "connect", hurry)


def _prepare(path: Path) -> None:
    try:
        connection = sqlite3.connect(path, timeout=60)
        try:
            connection.execute("PRAGMA journal_mode=WAL")  # readers and one writer do not wait for one another
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise UserError(
            f"{path}: {error}; expected MLflow's SQLite database: move the file away to begin a new one, or choose "
            "another tracking.folder"
        ) from error


def opened_stores() -> list[Store]:
    """The stores that this process has logged to."""
    return list(_stores.values())
