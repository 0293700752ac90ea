"""Logging to one run on a server, without waiting for it."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dcase_sweep.tracking.models import MODEL, ModelPackage, write_model
from dcase_sweep.tracking.outbox import Outbox, describe_left
from dcase_sweep.tracking.run import Run, clean_tags
from dcase_sweep.tracking.spool import BATCH, DATA, END, Entry, Spool
from dcase_sweep.tracking.stores import Store
from dcase_sweep.utils.files import link_or_copy, write_text

log = logging.getLogger(__name__)


class SpooledRun(Run):
    """A run on a server. A thread sends what is logged, which is kept in the run's folder until then.

    Args:
        store: the store of the run.
        run_id: ID in MLflow.
        name: name of the run.
        folder: the run's folder.
        timeout: seconds that the end of the run waits for a server that does not answer.
        known: names of existing parameters.
        logged: names and steps of existing metrics, which are not written again.
        values: the last value of each existing metric.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        name: str,
        *,
        folder: Path,
        timeout: float,
        known: Iterable[str] = (),
        logged: Iterable[tuple[str, int]] = (),
        values: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(store, run_id, name, known=known, logged=logged)
        self._outbox = Outbox(store, Spool(folder, store.uri), timeout)
        self._values = dict(values or {})

    def logged_metrics(self) -> dict[str, float]:
        """Return the last value of each metric of the run."""
        self.flush()
        return dict(self._values)

    def beat(self) -> None:
        """Send a heartbeat once a minute, unless the server does not answer: an old one is of no use."""
        if not self._outbox.is_waiting:
            super().beat()

    def tag_other(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Write tags of another run of the store."""
        pairs = [[name, value] for name, value in clean_tags(tags).items()]
        self._outbox.put(Entry(BATCH, run_id, {"metrics": [], "params": [], "tags": pairs}))

    def log_data(self, name: str, fingerprint: str, source: str) -> None:
        """Log the data set of the run."""
        self._outbox.put(Entry(DATA, self.id, {"name": name, "digest": fingerprint, "source": source}))

    def log_text(self, text: str, name: str) -> None:
        """Log a text as an artifact."""
        folder, _, last = name.rpartition("/")
        self._outbox.put_file(self.id, last, folder, lambda path: write_text(path, text))

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Log a copy of a file as an artifact."""
        self._outbox.put_file(self.id, path.name, folder or "", lambda target: link_or_copy(path, target))

    def log_model(self, package: ModelPackage) -> None:
        """Log a trained network as an MLflow model, ``runs:/ID/model``."""
        tags: dict[str, str] = {}
        self._outbox.put_file(
            self.id, MODEL, MODEL, lambda path: tags.update(write_model(package, path, run_id=self.id))
        )
        self.set_tags(tags)

    def end(self, status: str) -> None:
        """Close the run, after it has waited for the server at most for the timeout."""
        self.flush()
        self._outbox.put(Entry(END, self.id, {"status": status, "time": int(time.time() * 1000)}))
        left = self._outbox.close()
        if left:
            log.warning(describe_left(left, self.store, self._outbox.spool, self._outbox.reason))

    def _write(self, metrics: Sequence[Any] = (), params: Sequence[Any] = (), tags: Sequence[Any] = ()) -> None:
        """Put what MLflow accepts in one call into the outbox."""
        self._values |= {each.key: each.value for each in metrics}
        content = {
            "metrics": [[each.key, float(each.value), each.timestamp, each.step] for each in metrics],
            "params": [[each.key, each.value] for each in params],
            "tags": [[each.key, each.value] for each in tags],
        }
        self._outbox.put(Entry(BATCH, self.id, content))
