"""Runs in MLflow; the only module that imports it."""

import logging
import posixpath
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dcase_sweep import __version__
from dcase_sweep.config import Tracking
from dcase_sweep.provenance import commit_tags, user_name
from dcase_sweep.tracking.stores import Store, is_there, local_uri, open_store, opened_stores, resolve_uri, retry

__all__ = [
    "NOTE",
    "SIGNATURE",
    "FinishedRun",
    "LoggedRun",
    "Run",
    "Store",
    "end_run",
    "find_finished",
    "find_run",
    "legal_name",
    "local_uri",
    "open_store",
    "opened_stores",
    "resolve_uri",
    "start_run",
    "tag_run",
]

log = logging.getLogger(__name__)

#: Tags: what a run must come to, and what must stand beside it.
SIGNATURE, NOTE = "dcase_sweep.signature", "mlflow.note.content"
#: One call costs a tenth of a second on SQLite, so metrics wait for company this long, in seconds.
_PATIENCE = 5.0
#: What MLflow takes in one call: 1,000 values, of which 100 may be parameters and 100 tags.
_BATCH, _METRICS = 100, 800
_LONGEST_PARAMETER = 500


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

    def logged_metrics(self) -> dict[str, float]:
        """The metrics that the run has so far, each by its last value."""
        self.flush()
        return dict(retry(lambda: self.store.client.get_run(self.id)).data.metrics)

    def flush(self, tags: Sequence[Any] = ()) -> None:
        """Write the metrics that wait, and the tags given."""
        while self._metrics or tags:
            part, self._metrics = self._metrics[:_METRICS], self._metrics[_METRICS:]
            batch = {"metrics": part, "tags": tags}
            retry(lambda batch=batch: self.store.client.log_batch(self.id, **batch))  # type: ignore[misc]
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
            retry(lambda batch=batch: self.store.client.log_batch(self.id, **batch))  # type: ignore[misc]
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
        retry(lambda: self.store.client.log_inputs(self.id, [DatasetInput(dataset)]))

    def log_text(self, text: str, name: str) -> None:
        """Keep a text as an artifact."""
        retry(lambda: self.store.client.log_text(self.id, text, name))

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of a file as an artifact."""
        retry(lambda: self.store.client.log_artifact(self.id, str(path), folder))

    def end(self, status: str) -> None:
        """Write what waits and close the run as ``FINISHED``, ``FAILED`` or ``KILLED``."""
        self.flush()
        retry(lambda: self.store.client.set_terminated(self.id, status))

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
            retry(lambda: store.client.update_run(resume_id, status="RUNNING"))
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
    made = retry(lambda: store.client.create_run(store.experiment_id, tags=everything, run_name=name))
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
    found = retry(lambda: store.client.search_runs([store.experiment_id], wanted, max_results=1))
    if not found:
        return None
    info, data = found[0].info, found[0].data
    note = data.tags.get(NOTE, "").replace("**", "").replace("\n\n", "; ") or None
    return FinishedRun(info.run_id, info.run_name, dict(data.metrics), (info.end_time - info.start_time) / 1e3, note)


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """A run as the store holds it."""

    id: str
    name: str
    #: ``FINISHED``, ``FAILED``, ``KILLED`` or ``RUNNING``.
    status: str
    parameters: dict[str, str]
    store: Store

    def fetch(self, name: str, folder: Path) -> Path | None:
        """A copy of an artifact under the folder; None where the run has none of this name."""
        from mlflow.exceptions import MlflowException

        try:
            return Path(self.store.client.download_artifacts(self.id, name, str(folder)))
        except (MlflowException, OSError):
            return None

    def reopen(self) -> Run:
        """The same run, to log more to it; its status stays."""
        return Run(self.store, self.id, self.name, self.parameters)


def find_run(tracking: Tracking, run_id: str) -> LoggedRun | None:
    """The run of an id; None where the store has none, or is not there itself."""
    from mlflow.exceptions import MlflowException

    if not is_there(tracking):
        return None
    store = open_store(tracking)
    try:
        found = store.client.get_run(run_id)
    except MlflowException:
        return None
    info = found.info
    return LoggedRun(info.run_id, info.run_name, info.status, dict(found.data.params), store)


def end_run(tracking: Tracking, run_id: str, status: str) -> None:
    """Close a run whose process cannot do it any more."""
    client = open_store(tracking).client
    retry(lambda: client.set_terminated(run_id, status))


def tag_run(tracking: Tracking, run_id: str, tags: Mapping[str, str]) -> None:
    """Write tags of a run that is over; a run that is gone has none."""
    from mlflow.exceptions import MlflowException

    client = open_store(tracking).client
    for name, value in tags.items():
        try:
            retry(lambda name=name, value=value: client.set_tag(run_id, name, value))  # type: ignore[misc]
        except MlflowException as error:
            log.debug(f"run {run_id}: {error}")
