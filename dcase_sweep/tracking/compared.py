"""Finished runs as the comparison of sweeps reads them, each with its files. None of these is trusted."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dcase_sweep.evaluation.comparison.rules import read_event_rules
from dcase_sweep.evaluation.comparison.systems import ComparedRun
from dcase_sweep.evaluation.events.clip_counts import read_clip_counts, resample_collar_f1, resample_psds
from dcase_sweep.evaluation.resampling import Statistic
from dcase_sweep.evaluation.scenes.resampling import class_average
from dcase_sweep.tracking.finding import LoggedRun
from dcase_sweep.tracking.saved_view import link_to_run
from dcase_sweep.tracking.stores import Store
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.tables import parse_number, read_table

#: Number of runs requested at a time.
_PAGE = 1000
_RUN_ID = re.compile(r"[0-9a-f]{6,32}")
#: Metrics of the epochs that learning curves show.
_CURVES = ("train/loss", "validation/loss", "validation/accuracy", "validation/objective")


def read_compared_runs(store: Store, filters: Sequence[str], *, curves: bool = False) -> list[ComparedRun]:
    """The finished runs that all filters select, the oldest first.

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
    found = [run for run in _find_all(store) if run.info.status == "FINISHED"]
    for word in ids:
        if not any(_is_of(run, word) for run in found):
            raise UserError(f"{word}: no finished run or sweep of this id in {store.uri}")
    chosen = [run for run in found if not ids or any(_is_of(run, word) for word in ids)]
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
    return [_make(store, run, curves) for run in reversed(chosen) if run.data.params]


def _is_of(run: Any, word: str) -> bool:
    return run.info.run_id.startswith(word) or run.data.tags.get("mlflow.parentRunId", "").startswith(word)


def _find_all(store: Store) -> list[Any]:
    experiments = [each.experiment_id for each in store.call(store.client.search_experiments)]
    found: list[Any] = []
    token: str | None = None
    while experiments:
        page = store.call(
            lambda token=token: store.client.search_runs(  # type: ignore[misc]
                experiments, max_results=_PAGE, order_by=["attributes.start_time DESC"], page_token=token
            )
        )
        found += page
        token = page.token
        if not token:
            break
    return found


def _make(store: Store, run: Any, curves: bool) -> ComparedRun:
    info, data = run.info, run.data
    logged = LoggedRun(
        info.run_id, info.run_name or "", info.status, dict(data.params), store, info.artifact_uri, dict(data.metrics)
    )
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
    )


def _load_statistics(run: LoggedRun) -> tuple[tuple[str, ...], Mapping[str, Statistic]] | None:
    """Return the statistics of the run's test clips for resampling; None for a run of an earlier version.

    Raises:
        UserError: for a file that holds something else.
    """
    from dcase_sweep.evaluation.events.result import CLIP_COUNTS
    from dcase_sweep.evaluation.scenes.result import CLIP_RESULTS

    with tempfile.TemporaryDirectory() as folder:
        path = run.fetch(CLIP_RESULTS, Path(folder)) if "test/accuracy" in run.metrics else None
        if path is not None:
            return _of_scenes(path)
        path = run.fetch(CLIP_COUNTS, Path(folder)) if "test/psds1" in run.metrics else None
        if path is None:
            return None
        counts = read_clip_counts(path)
    try:
        rules = read_event_rules(run.parameters)
    except ValueError as error:
        raise UserError(f"run {run.id}: evaluation: {error}; expected the rules of an evaluation of events") from None
    statistics: dict[str, Statistic] = {"test/f1": resample_collar_f1(counts)}
    for index, scenario in enumerate(rules.scenarios[: len(counts.true_positives)]):
        statistics[f"test/psds{index + 1}"] = resample_psds(counts, index, scenario, rules.cross_trigger_average)
    return tuple(map(str, counts.clips)), statistics


def _of_scenes(path: Path) -> tuple[tuple[str, ...], Mapping[str, Statistic]]:
    table = read_table(path, ("filename", "scene_label", "correct", "log_loss"))
    numbers = [[parse_number(text) for text in table.columns[column]] for column in ("correct", "log_loss")]
    if any(value is None for column in numbers for value in column):
        raise UserError(f"{path}: correct and log_loss are not all numbers; expected the results of an evaluation")
    classes, truth = np.unique(np.array(table.columns["scene_label"]), return_inverse=True)
    correct, losses = (np.array(column, dtype=np.float64) for column in numbers)
    return tuple(table.columns["filename"]), {
        "test/accuracy": class_average(correct, truth, len(classes)),
        "test/log_loss": class_average(losses, truth, len(classes)),
    }
