"""Logging to one run in MLflow."""

import logging
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dcase_sweep.tracking.database import run_artifacts
from dcase_sweep.tracking.delivery import MOST_METRICS, MOST_PAIRS
from dcase_sweep.tracking.models import MODEL, ModelPackage, write_model
from dcase_sweep.tracking.names import Names
from dcase_sweep.tracking.owners import ALIVE, ERROR
from dcase_sweep.tracking.stores import Store
from dcase_sweep.utils.files import whole_file, write_text
from dcase_sweep.utils.secrets import mask_secrets

log = logging.getLogger(__name__)

#: Of the checkpoints among the artifacts.
FOLDER = "checkpoints"
#: Metrics are collected for this many seconds and written together, because a call takes 0.1 s with SQLite.
_FLUSH_SECONDS = 5.0
#: Interval between heartbeats of a training, in seconds.
_BEAT = 60.0
#: The first part of the names of metrics of energy, to which a resumed run adds.
ENERGY = "energy/"
_LONGEST_PARAMETER, _LONGEST_TAG = 500, 5000


class Run:
    """A run in MLflow. Metrics are written in batches, everything else immediately.

    Args:
        store: the store of the run.
        run_id: ID in MLflow.
        name: name of the run.
        artifact_uri: location of the artifacts; None = MLflow's default.
        known: names of existing parameters.
        logged: names and steps of existing metrics, which are not written again.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        name: str,
        *,
        artifact_uri: str | None = None,
        known: Iterable[str] = (),
        logged: Iterable[tuple[str, int]] = (),
    ) -> None:
        self.store = store
        self.id = run_id
        self.name = name
        self._known = set(known)
        self._logged = set(logged)
        is_exact = store.uri.startswith(("sqlite:", "postgresql"))
        self._metric_names = Names(is_exact, {name for name, _ in self._logged})
        self._parameter_names = Names(is_exact, self._known)
        self._metrics: list[Any] = []
        self._flushed = self._alive = time.monotonic()
        self._artifacts: Path | None = None
        if store.database is not None and artifact_uri is not None:
            self._artifacts = run_artifacts(store.database, run_id, artifact_uri)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics of one step, such as an epoch.

        MLflow would store a second value of a step. Values that a resumed run already has are skipped, except metrics
        to which a continuation adds.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for name, value in metrics.items():
            legal = self._metric_names.legal(name)
            if (legal, step) not in self._logged or legal.startswith(ENERGY):
                self._metrics.append(Metric(legal, value, now, step))
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    def logged_metrics(self) -> dict[str, float]:
        """Return the last value of each metric of the run."""
        self.flush()
        return dict(self.store.call(lambda: self.store.client.get_run(self.id)).data.metrics)

    def flush(self, tags: Sequence[Any] = ()) -> None:
        """Write the collected metrics and the given tags."""
        while self._metrics or tags:
            part, self._metrics = self._metrics[:MOST_METRICS], self._metrics[MOST_METRICS:]
            self._write(metrics=part, tags=tags)
            tags = ()
        self._flushed = time.monotonic()

    def _write(self, metrics: Sequence[Any] = (), params: Sequence[Any] = (), tags: Sequence[Any] = ()) -> None:
        """Write what MLflow accepts in one call."""
        self.store.call(lambda: self.store.client.log_batch(self.id, metrics, params, tags))

    def beat(self) -> None:
        """Send a heartbeat once a minute, for commands on other machines."""
        if time.monotonic() - self._alive > _BEAT:
            self._alive = time.monotonic()
            self.set_tags({ALIVE: f"{time.time():.0f}"})

    def log_parameters(self, parameters: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> None:
        """Write parameters, and tags with them. Existing parameters are not changed: MLflow rejects other values."""
        from mlflow.entities import Param

        values = {
            self._parameter_names.legal(name): mask_secrets(str(value))[:_LONGEST_PARAMETER]
            for name, value in parameters.items()
        }
        entities = [Param(name, value) for name, value in values.items() if name not in self._known]
        self._known |= values.keys()
        noted = _tags(tags or {})
        while entities or noted:
            self._write(params=entities[:MOST_PAIRS], tags=noted)
            entities, noted = entities[MOST_PAIRS:], []

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Write tags, together with the collected metrics to save a call."""
        self.flush(_tags(tags))

    def tag_other(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Write tags of another run of the store; nothing happens if that does not exist."""
        from mlflow.exceptions import MlflowException

        try:
            self.store.call(lambda: self.store.client.log_batch(run_id, tags=_tags(tags)))
        except MlflowException as error:
            log.debug(f"run {run_id}: {error}")

    def log_data(self, name: str, fingerprint: str, source: str) -> None:
        """Log the data set of the run."""
        from mlflow.entities import Dataset, DatasetInput

        dataset = Dataset(name=name, digest=fingerprint, source_type="local", source=source)
        self.store.call(lambda: self.store.client.log_inputs(self.id, [DatasetInput(dataset)]))

    def log_text(self, text: str, name: str) -> None:
        """Log a text as an artifact."""
        if self._artifacts is None:
            self.store.call(lambda: self.store.client.log_text(self.id, text, name))
            return
        (self._artifacts / name).parent.mkdir(parents=True, exist_ok=True)
        write_text(self._artifacts / name, text)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Log a copy of a file as an artifact."""
        if self._artifacts is None:
            self.store.call(lambda: self.store.client.log_artifact(self.id, str(path), folder))
            return
        target = self._artifacts / (folder or "") / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as temporary:
            shutil.copyfile(path, temporary)

    def log_model(self, package: ModelPackage) -> None:
        """Log a trained network as an MLflow model, ``runs:/ID/model``."""
        if self._artifacts is None:
            with tempfile.TemporaryDirectory() as temporary:
                tags = write_model(package, Path(temporary, MODEL), run_id=self.id)
                self.store.call(lambda: self.store.client.log_artifacts(self.id, str(Path(temporary, MODEL)), MODEL))
            self.set_tags(tags)
            return
        self._artifacts.mkdir(parents=True, exist_ok=True)
        logged = self._artifacts / FOLDER / package.checkpoint.name
        with tempfile.TemporaryDirectory(dir=self._artifacts, prefix=f".{MODEL}-") as temporary:
            written = Path(temporary, MODEL)
            tags = write_model(package, written, run_id=self.id, checkpoint=logged if logged.is_file() else None)
            if (self._artifacts / MODEL).exists():  # of the run before it was taken up again
                shutil.rmtree(self._artifacts / MODEL)
            written.rename(self._artifacts / MODEL)
        self.set_tags(tags)

    def end(self, status: str) -> None:
        """Write the collected metrics and close the run as ``FINISHED``, ``FAILED`` or ``KILLED``."""
        self.flush()
        self.store.call(lambda: self.store.client.set_terminated(self.id, status))

    def give_up(self, status: str, reason: str = "") -> None:
        """Close the run after an error; an error in closing is logged only, so that it does not hide the first.

        Args:
            status: ``FAILED`` or ``KILLED``.
            reason: the error in one line, for a tag.
        """
        try:
            if reason:
                self.set_tags({ERROR: reason})
            self.end(status)
        except Exception as error:
            log.warning(f"run {self.id} cannot be marked as {status.lower()}: {str(error).splitlines()[0]}")


def _tags(tags: Mapping[str, str]) -> list[Any]:
    from mlflow.entities import RunTag

    return [RunTag(name, value) for name, value in clean_tags(tags).items()]


def clean_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Convert tags to those that MLflow accepts, with secrets masked."""
    from dcase_sweep.tracking.names import legal_name

    return {legal_name(name): mask_secrets(str(value))[:_LONGEST_TAG] for name, value in tags.items()}
