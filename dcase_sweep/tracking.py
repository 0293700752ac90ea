"""Runs in MLflow; the only module that imports it."""

import logging
import os
import posixpath
import re
import sqlite3
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dcase_sweep import __version__
from dcase_sweep.config import Tracking
from dcase_sweep.errors import UserError
from dcase_sweep.provenance import commit_tags, user_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

DATABASE = "mlflow.db"
#: Tags: what a run must come to, and what must stand beside it.
SIGNATURE, NOTE = "dcase_sweep.signature", "mlflow.note.content"
#: One call costs a tenth of a second on SQLite, so metrics wait for company this long, in seconds.
_PATIENCE = 5.0
#: What MLflow takes in one call: 1,000 values, of which 100 may be parameters and 100 tags.
_BATCH, _METRICS = 100, 800
_LONGEST_PARAMETER = 500
_TRIES = 6
#: How long a server may take to answer at all, in seconds.
_SIGN_OF_LIFE = 5.0
#: What MLflow's exceptions say where the fault is the store's, not the program's.
_TROUBLE = ("(sqlite3.", "API request to")
#: What they say where another process was at it at the same moment.
_CONTENTION = ("database is locked", "UNIQUE constraint failed")
Result = TypeVar("Result")


def _retry(call: Callable[[], Result]) -> Result:
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


def legal_name(name: str) -> str:
    """A metric's or a parameter's name as MLflow takes it: labels may hold what it refuses."""
    legal = re.sub(r"[^\w.\- :/]", "_", name)
    return legal if posixpath.normpath(legal) == legal else legal.replace("/", "_")


class Run:
    """One MLflow run; metrics are written in batches, everything else at once.

    Args:
        known: names of the parameters that it has already.
    """

    def __init__(self, store: Store, run_id: str, name: str, known: Iterable[str] = ()) -> None:
        self.store = store
        self.id = run_id
        self.name = name
        self._known = set(known)
        self._metrics: list[Any] = []
        self._flushed = time.monotonic()

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Note metrics of one step, an epoch for instance."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._metrics += [Metric(legal_name(name), value, now, step) for name, value in metrics.items()]
        if time.monotonic() - self._flushed > _PATIENCE:
            self.flush()

    def flush(self, tags: Sequence[Any] = ()) -> None:
        """Write the metrics that wait, and the tags given."""
        while self._metrics or tags:
            part, self._metrics = self._metrics[:_METRICS], self._metrics[_METRICS:]
            batch = {"metrics": part, "tags": tags}
            _retry(lambda batch=batch: self.store.client.log_batch(self.id, **batch))  # type: ignore[misc]
            tags = ()
        self._flushed = time.monotonic()

    def log_parameters(self, parameters: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> None:
        """Write parameters, and tags with them; a parameter that is there stays: MLflow refuses another value."""
        from mlflow.entities import Param, RunTag

        values = {legal_name(name): str(value)[:_LONGEST_PARAMETER] for name, value in parameters.items()}
        entities = [Param(name, value) for name, value in values.items() if name not in self._known]
        self._known |= values.keys()
        noted = [RunTag(name, str(value)) for name, value in (tags or {}).items()]
        while entities or noted:
            batch = {"params": entities[:_BATCH], "tags": noted}
            _retry(lambda batch=batch: self.store.client.log_batch(self.id, **batch))  # type: ignore[misc]
            entities, noted = entities[_BATCH:], []

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Write tags, and with them the metrics that wait: a call more costs as much again."""
        from mlflow.entities import RunTag

        entities = [RunTag(name, str(value)) for name, value in tags.items()]
        self.flush(entities)

    def log_data(self, name: str, fingerprint: str, source: str) -> None:
        """Name the data set that the run learned from and was judged by."""
        from mlflow.entities import Dataset, DatasetInput

        dataset = Dataset(name=name, digest=fingerprint, source_type="local", source=source)
        _retry(lambda: self.store.client.log_inputs(self.id, [DatasetInput(dataset)]))

    def log_text(self, text: str, name: str) -> None:
        """Keep a text as an artifact."""
        _retry(lambda: self.store.client.log_text(self.id, text, name))

    def log_figure(self, figure: "Figure", name: str) -> None:
        """Keep a figure as an artifact."""
        _retry(lambda: self.store.client.log_figure(self.id, figure, name, save_kwargs={"dpi": 120}))

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of a file as an artifact."""
        _retry(lambda: self.store.client.log_artifact(self.id, str(path), folder))

    def end(self, status: str) -> None:
        """Write what waits and close the run as ``FINISHED``, ``FAILED`` or ``KILLED``."""
        self.flush()
        _retry(lambda: self.store.client.set_terminated(self.id, status))

    def give_up(self, status: str) -> None:
        """Close the run after something went wrong, which must not be hidden by what goes wrong here."""
        try:
            self.end(status)
        except Exception as error:
            log.warning(f"run {self.id} cannot be marked as {status.lower()}: {str(error).splitlines()[0]}")


@cache
def _commit_tags(code: Path) -> dict[str, str]:
    """Asked of git once a process: the code that it has loaded stays what it is."""
    return commit_tags(code)


def start_run(
    tracking: Tracking, *, name: str, tags: Mapping[str, str], resume_id: str | None = None, code: Path | None = None
) -> Run:
    """A new run, or the interrupted one of ``resume_id`` where the store has it, set running again.

    Args:
        code: the working folder, whose commit is noted beside that of this package.
    """
    from mlflow.exceptions import MlflowException

    store = open_store(tracking)
    if resume_id is not None:
        try:
            found = store.client.get_run(resume_id)
            _retry(lambda: store.client.update_run(resume_id, status="RUNNING"))
            return Run(store, resume_id, found.info.run_name, found.data.params)
        except MlflowException:
            log.info(f"run {resume_id} is not in {store.uri}: a new one is made")
    everything = {
        "dcase_sweep.version": __version__,
        "mlflow.source.name": "dcase_sweep",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": user_name(),
        **tags,
        **tracking.tags,
    }
    if code is not None:
        everything |= _commit_tags(code)
    if tracking.parent:
        everything["mlflow.parentRunId"] = tracking.parent
    made = _retry(lambda: store.client.create_run(store.experiment_id, tags=everything, run_name=name))
    return Run(store, made.info.run_id, name)


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """What a run that is over came to."""

    id: str
    name: str
    metrics: dict[str, float]
    seconds: float
    #: What must stand beside its metrics.
    note: str | None


def find_finished(tracking: Tracking, signature: str) -> FinishedRun | None:
    """The newest finished run of this signature."""
    store = open_store(tracking)
    wanted = f"tags.`{SIGNATURE}` = '{signature}' and attributes.status = 'FINISHED'"
    found = _retry(lambda: store.client.search_runs([store.experiment_id], wanted, max_results=1))
    if not found:
        return None
    info, data = found[0].info, found[0].data
    note = data.tags.get(NOTE, "").replace("**", "").replace("\n\n", "; ") or None
    return FinishedRun(info.run_id, info.run_name, dict(data.metrics), (info.end_time - info.start_time) / 1e3, note)


def end_run(tracking: Tracking, run_id: str, status: str) -> None:
    """Close a run whose process cannot do it any more."""
    client = open_store(tracking).client
    _retry(lambda: client.set_terminated(run_id, status))


def tag_run(tracking: Tracking, run_id: str, tags: Mapping[str, str]) -> None:
    """Write tags of a run that is over; a run that is gone has none."""
    from mlflow.exceptions import MlflowException

    client = open_store(tracking).client
    for name, value in tags.items():
        try:
            _retry(lambda name=name, value=value: client.set_tag(run_id, name, value))  # type: ignore[misc]
        except MlflowException as error:
            log.debug(f"run {run_id}: {error}")


def opened_stores() -> list[Store]:
    """The stores that this process has logged to."""
    return list(_stores.values())
