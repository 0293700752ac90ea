"""Finding and closing runs in the store."""

import logging
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from dcase_sweep.config import Tracking
from dcase_sweep.tracking.database import run_artifacts
from dcase_sweep.tracking.run import Run
from dcase_sweep.tracking.starting import CONTINUED, SIGNATURE
from dcase_sweep.tracking.stores import Store, is_there, open_store
from dcase_sweep.utils.errors import UserError

log = logging.getLogger(__name__)

#: Tag of the note that is shown with a run's metrics.
NOTE = "mlflow.note.content"


#: The first letters of a run's id.
_START_OF_ID = re.compile(r"[0-9a-f]{4,32}")
#: Largest number of runs with one signature that are checked.
_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """The results of a finished run."""

    id: str
    name: str
    metrics: dict[str, float]
    seconds: float
    #: The note to show with its metrics.
    note: str | None
    #: The folder of its files; None if it is on a server.
    artifacts: Path | None = None


def find_finished(tracking: Tracking, signature: str) -> FinishedRun | None:
    """Find the newest finished run with this signature.

    Runs that continue a checkpoint of another run are excluded, because their first epochs may be of other code or
    data.
    """
    store = open_store(tracking)
    wanted = f"tags.`{SIGNATURE}` = '{signature}' and attributes.status = 'FINISHED'"
    found = [
        run
        for run in store.call(lambda: store.client.search_runs([store.experiment_id], wanted, max_results=_LOOKED_AT))
        if CONTINUED not in run.data.tags
    ]
    if not found:
        return None
    info, data = found[0].info, found[0].data
    note = data.tags.get(NOTE, "").replace("**", "").replace("\n\n", "; ") or None
    seconds = (info.end_time - info.start_time) / 1e3
    folder = None if store.database is None else run_artifacts(store.database, info.run_id, info.artifact_uri)
    return FinishedRun(info.run_id, info.run_name, dict(data.metrics), seconds, note, folder)


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """A run in the store."""

    id: str
    name: str
    #: ``FINISHED``, ``FAILED``, ``KILLED`` or ``RUNNING``.
    status: str
    parameters: dict[str, str]
    store: Store
    artifact_uri: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)

    def fetch(self, name: str, folder: Path) -> Path | None:
        """Return the path of an artifact, copied to ``folder`` if it is on a server; None if the run has none."""
        from mlflow.exceptions import MlflowException

        if self.store.database is not None and self.artifact_uri is not None:
            local = run_artifacts(self.store.database, self.id, self.artifact_uri)
            if local is not None and (local / name).exists():
                return local / name
        try:
            return Path(self.store.client.download_artifacts(self.id, name, str(folder)))
        except (MlflowException, OSError):
            return None

    def read_metrics(self) -> dict[str, float]:
        """Read all metrics of the evaluation from the run's file; none if it has no such file."""
        from dcase_sweep.evaluation.result import METRICS_FILE, read_metrics

        with tempfile.TemporaryDirectory() as folder:
            path = self.fetch(METRICS_FILE, Path(folder))
            return {} if path is None else read_metrics(path)

    def reopen(self) -> Run:
        """Return the run for logging; its status does not change."""
        return Run(self.store, self.id, self.name, artifact_uri=self.artifact_uri, known=self.parameters)


def find_run(tracking: Tracking, run_id: str) -> LoggedRun | None:
    """Find a run by its id; None if the run or the store does not exist.

    A deleted run is not returned; a line says how to restore it.
    """
    from mlflow.exceptions import MlflowException

    if not is_there(tracking):
        return None
    store = open_store(tracking, experiment=False)
    try:
        found = store.client.get_run(run_id)
    except MlflowException:
        return None
    info = found.info
    if info.lifecycle_stage != "active":
        log.warning(
            f"run       {run_id} was deleted: MLFLOW_TRACKING_URI={store.uri} mlflow runs restore --run-id {run_id} "
            "restores it"
        )
        return None
    data = found.data
    return LoggedRun(
        info.run_id, info.run_name, info.status, dict(data.params), store, info.artifact_uri, dict(data.metrics)
    )


def find_ids(tracking: Tracking, start: str) -> list[str]:
    """Return the ids of runs that begin with some letters, at most two; none for fewer than four letters."""
    from mlflow.exceptions import MlflowException

    if _START_OF_ID.fullmatch(start) is None or not is_there(tracking):
        return []
    store = open_store(tracking, experiment=False)
    try:
        experiments = [each.experiment_id for each in store.client.search_experiments()]
        found = store.client.search_runs(experiments, f"attributes.run_id LIKE '{start}%'", max_results=2)
    except MlflowException:
        return []
    return [run.info.run_id for run in found]


def end_run(tracking: Tracking, run_id: str, status: str) -> bool:
    """Close a run of another process; return False if the store does not have it, or it was deleted."""
    from mlflow.exceptions import MlflowException

    store = open_store(tracking)
    try:
        store.call(lambda: store.client.set_terminated(run_id, status))
    except MlflowException as error:
        log.debug(f"run {run_id}: {error}")
        return False
    except UserError as error:  # the server is away: what is still running must not end for that
        log.warning(f"tracking  run {run_id} is not marked as {status.lower()}: {error}")
    return True
