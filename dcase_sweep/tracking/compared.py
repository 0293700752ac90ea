"""Finished runs as the comparison of sweeps reads them, each with its files. None of these is trusted."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from dcase_sweep.evaluation.comparison.folds import FOLD, pool_folds
from dcase_sweep.evaluation.comparison.systems import ComparedRun
from dcase_sweep.tracking.clip_results import ClipStatistics, load_clip_results
from dcase_sweep.tracking.finding import LoggedRun
from dcase_sweep.tracking.fold_pooling import pool_runs
from dcase_sweep.tracking.owners import PARENT
from dcase_sweep.tracking.saved_view import link_to_run
from dcase_sweep.tracking.searching import list_experiments, search_runs
from dcase_sweep.tracking.starting import SEEDS
from dcase_sweep.tracking.stores import Store
from dcase_sweep.utils.errors import UserError

#: Levels of runs: the sweep, a trial with several seeds, the run of one seed.
_MOST_LEVELS = 3
_RUN_ID = re.compile(r"[0-9a-f]{6,32}")
#: Metrics of the epochs that learning curves show.
_CURVES = ("train/loss", "validation/loss", "validation/accuracy", "validation/objective")


def read_compared_runs(store: Store, filters: Sequence[str], *, curves: bool = False) -> list[ComparedRun]:
    """The finished runs that all filters select, the oldest first. The folds of a cross-validation are one run.

    Args:
        store: the store of the runs.
        filters: ``KEY=VALUE[,VALUE]`` of a parameter, as ``model=cnn4,cnn5``; or the first letters of the id of a run
            or of a sweep. Several ids select all of theirs.
        curves: also read the metrics of the epochs.

    Raises:
        UserError: in one line, for a filter that is neither or selects no run.
    """
    ids = [word for word in filters if "=" not in word]
    for word in ids:
        if not _RUN_ID.fullmatch(word):
            raise UserError(
                f"{word}: expected KEY=VALUE of a parameter, or at least 6 letters of a run's or sweep's id"
            )
    every = search_runs(store, list_experiments(store))
    parents = {run.info.run_id: run.data.tags.get(PARENT) for run in every}
    # The run of a trial with several seeds has their means; it is the runs of its seeds that are compared.
    found = [run for run in every if run.info.status == "FINISHED" and SEEDS not in run.data.tags]
    for word in ids:
        if not any(_is_of(run, word, parents) for run in found):
            raise UserError(f"{word}: no finished run or sweep of this id in {store.uri}")
    chosen = [run for run in found if not ids or any(_is_of(run, word, parents) for word in ids)]
    for word in filters:
        key, sign, values = word.partition("=")
        if sign:
            wanted = values.split(",")
            known = {run.data.params[key] for run in chosen if key in run.data.params}
            chosen = [run for run in chosen if run.data.params.get(key) in wanted]
            if not chosen:
                near = {name for run in found for name in run.data.params if name.endswith(f".{key}")}
                hint = f"; did you mean {min(near)}?" if near else ""
                seen = f"found {', '.join(sorted(known)[:8])}" if known else f"no run has this parameter{hint}"
                raise UserError(f"{word}: no finished run has this value; {seen}")
    # The run of a sweep has no parameters; it is its jobs that are compared.
    logged = {run.info.run_id: _log_of(store, run) for run in chosen if run.data.params}
    runs = [_make(run, logged[run.info.run_id], curves) for run in reversed(chosen) if run.data.params]
    unfinished = [
        ComparedRun(run.info.run_id, "", dict(run.data.params), {}, parent=run.data.tags.get(PARENT))
        for run in every
        if run.info.status != "FINISHED" and FOLD in run.data.params and SEEDS not in run.data.tags
    ]
    # The run of a sweep that is running, or was stopped.
    open_sweeps = {run.info.run_id for run in every if run.info.status not in ("FINISHED", "FAILED")}
    return pool_folds(runs, unfinished, open_sweeps, lambda folds: pool_runs(folds, logged))


def _is_of(run: Any, word: str, parents: Mapping[str, str | None]) -> bool:
    """Whether a run, its trial or its sweep has an id that begins with these letters."""
    identity: str | None = run.info.run_id
    for _ in range(_MOST_LEVELS):
        if identity is None:
            return False
        if identity.startswith(word):
            return True
        identity = parents.get(identity)
    return False


def _log_of(store: Store, run: Any) -> LoggedRun:
    info, data = run.info, run.data
    return LoggedRun(
        info.run_id, info.run_name or "", info.status, dict(data.params), store, info.artifact_uri, dict(data.metrics)
    )


def _make(run: Any, logged: LoggedRun, curves: bool) -> ComparedRun:
    info, data, store = run.info, run.data, logged.store
    history = {}
    for name in _CURVES if curves else ():
        if name in data.metrics:
            points = store.call(lambda name=name: store.client.get_metric_history(info.run_id, name))  # type: ignore[misc]
            history[name] = [point.value for point in sorted(points, key=lambda point: point.step)]
    return ComparedRun(
        id=info.run_id,
        name=info.run_name or info.run_id,
        parameters=dict(data.params),
        metrics=logged.read_metrics() | dict(data.metrics),
        history=history,
        load_statistics=partial(_load_statistics, logged),
        link=link_to_run(store.uri, info.experiment_id, info.run_id),
        is_synthetic="dcase_sweep.synthetic" in data.tags,
        parent=data.tags.get(PARENT),
    )


def _load_statistics(run: LoggedRun) -> ClipStatistics | None:
    results = load_clip_results(run)
    return None if results is None else results.statistics()
