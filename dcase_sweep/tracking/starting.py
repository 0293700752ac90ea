"""Starting of runs: a new one, or an interrupted one that is resumed."""

import logging
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dcase_sweep import __version__
from dcase_sweep.config import Tracking
from dcase_sweep.tracking.database import no_parent
from dcase_sweep.tracking.delivery import send_unsent
from dcase_sweep.tracking.owners import ALIVE, CLOSED, ERROR, PARENT, get_seconds, is_running, owner_tags
from dcase_sweep.tracking.provenance import commit_tags, user_name
from dcase_sweep.tracking.run import Run, clean_tags
from dcase_sweep.tracking.servers import wait_for_server
from dcase_sweep.tracking.spooled_run import SpooledRun
from dcase_sweep.tracking.stores import Store, open_store

log = logging.getLogger(__name__)

#: A tag: the signature of the run.
SIGNATURE = "dcase_sweep.signature"
#: A tag: the run whose checkpoint this run continues, possibly with other code or data.
CONTINUED = "dcase_sweep.continued"
#: Tags of the runs of a trial with several seeds: its number, and on its own run, their parent, also the seeds.
TRIAL, SEEDS = "dcase_sweep.trial", "dcase_sweep.seeds"

#: The parent runs that this process has found, by the addresses of their stores. All jobs of a sweep have the same one.
_parents: set[tuple[str, str]] = set()


@cache
def _commit_tags(code: Path) -> dict[str, str]:
    """Ask git once for each process, because the loaded code does not change."""
    return commit_tags(code)


def start_run(
    tracking: Tracking,
    *,
    name: str,
    tags: Mapping[str, str],
    resume_id: str | None = None,
    signature: str | None = None,
    code: Path | None = None,
    folder: Path | None = None,
    continued: Path | None = None,
) -> Run:
    """Start a new run, or resume the one with ``resume_id`` if possible; otherwise a message gives the reason.

    The run to resume must exist, not be deleted, and belong to the configured experiment.

    Args:
        tracking: settings of the store.
        name: name of a new run.
        tags: tags of a new run.
        resume_id: ID of the run to resume.
        signature: the signature that an interrupted run must have to be resumed. None = resume any run of this
            experiment, such as the parent run of a search with more trials.
        code: the working folder, whose commit is logged with that of this package.
        folder: the run's folder. What a server has not taken yet is kept there, and nothing waits for the server. None
            = everything is sent at once.
        continued: the folder of the run to resume. What that has kept is sent first.

    Raises:
        UserError: if the store cannot be used.
    """
    store = open_store(tracking)
    owner = owner_tags()
    if store.database is None:  # what an earlier run in the folder has left, before the records of this one
        for each in (folder, continued):
            if each is not None:
                send_unsent(store, each)
    if resume_id is not None:
        found = _wait_for_server(store, lambda: _find(store, resume_id), tracking.start_timeout)
        reason = _find_obstacle(store, found, signature)
        if reason is None:
            return _resume(store, found, owner, tracking, folder)
        log.info(f"run       {resume_id[:32]} {reason}: a new run is created")
    everything = {
        "dcase_sweep.version": __version__,
        "mlflow.source.name": "dcase_sweep",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": user_name(),
        **owner,
        **tags,
        **tracking.tags,
    }
    if code is not None:
        everything |= _commit_tags(code)
    if tracking.parent:
        everything[PARENT] = tracking.parent
    made = _wait_for_server(
        store,
        lambda: store.client.create_run(store.experiment_id, tags=clean_tags(everything), run_name=name),
        tracking.start_timeout,
    )
    if store.database is None and folder is not None:
        return SpooledRun(store, made.info.run_id, name, folder=folder, timeout=tracking.timeout)
    return Run(store, made.info.run_id, name, artifact_uri=made.info.artifact_uri)


def _wait_for_server(store: Store, call: Callable[[], Any], patience: float) -> Any:
    """Call a function that uses the store, and wait for a server; nothing waits for a file."""
    if store.database is not None:
        return store.call(call)
    return wait_for_server(lambda: store.call(call), patience)


def _find(store: Store, run_id: str) -> Any:
    """Find MLflow's run by its id; None if there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return store.call(lambda: store.client.get_run(run_id))
    except MlflowException:
        return None


def has_run(store: Store, run_id: str) -> bool:
    """Whether a store has a run with this ID."""
    return _find(store, run_id) is not None


def check_parent(tracking: Tracking) -> None:
    """Check that the parent run exists; MLflow accepts any text as a parent, and then does not show the run.

    A parent that was deleted during its sweep is accepted, because it may be restored.

    Raises:
        UserError: if the store has no run with this id, or cannot be used.
    """
    if not tracking.parent:
        return
    store, parent = open_store(tracking), tracking.parent
    if (store.uri, parent) in _parents:
        return
    if _find(store, parent) is None:
        raise no_parent(parent, store.uri)
    _parents.add((store.uri, parent))


def _find_obstacle(store: Store, found: Any, signature: str | None) -> str | None:
    """Describe why a run cannot be resumed; None if it can."""
    if found is None:
        return f"is not in {store.uri}"
    info, tags = found.info, found.data.tags
    if info.lifecycle_stage != "active":
        return f"was deleted (mlflow runs restore --run-id {info.run_id} restores it)"
    if info.experiment_id != store.experiment_id:
        return "belongs to another experiment"
    if signature is None:
        return None
    if tags.get(SIGNATURE) != signature:
        return "has another configuration, other data or other code"
    if info.status == "FINISHED":
        return "has finished"
    last_life = max(info.start_time / 1e3, get_seconds(tags.get(ALIVE)))
    if info.status == "RUNNING" and is_running(tags, last_life):
        return "is still running"
    return None


def _resume(store: Store, found: Any, owner: Mapping[str, str], tracking: Tracking, folder: Path | None) -> Run:
    """Mark a run as running in this process; metrics that it already has are not logged again."""
    info, data, client, patience = found.info, found.data, store.client, tracking.start_timeout
    _wait_for_server(store, lambda: client.update_run(info.run_id, status="RUNNING"), patience)
    for tag in (ERROR, CLOSED):  # of its earlier end
        if tag in data.tags:
            _wait_for_server(store, lambda tag=tag: client.delete_tag(info.run_id, tag), patience)  # type: ignore[misc]
    logged = {
        (name, metric.step)
        for name in data.metrics
        for metric in _wait_for_server(
            store,
            lambda name=name: client.get_metric_history(info.run_id, name),  # type: ignore[misc]
            patience,
        )
    }
    run: Run
    if store.database is None and folder is not None:
        run = SpooledRun(
            store,
            info.run_id,
            info.run_name,
            folder=folder,
            timeout=tracking.timeout,
            known=data.params,
            logged=logged,
            values=data.metrics,
        )
    else:
        run = Run(store, info.run_id, info.run_name, artifact_uri=info.artifact_uri, known=data.params, logged=logged)
    run.set_tags(owner)
    return run
