"""The results of the folds of a cross-validation, evaluated together from the files of their runs."""

import logging
import math
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from dcase_sweep.evaluation.comparison.rules import is_of_events, read_event_rules
from dcase_sweep.evaluation.comparison.systems import ComparedRun
from dcase_sweep.evaluation.events.detections_file import DETECTIONS
from dcase_sweep.evaluation.events.pooling import evaluate_event_files
from dcase_sweep.evaluation.result import EvaluationResult
from dcase_sweep.evaluation.scenes.pooling import evaluate_scene_files
from dcase_sweep.evaluation.scenes.result import REFERENCE, SCORES
from dcase_sweep.tracking.clip_results import ClipStatistics, load_clip_results
from dcase_sweep.tracking.finding import LoggedRun
from dcase_sweep.tracking.run import ENERGY
from dcase_sweep.utils.errors import UserError

log = logging.getLogger(__name__)


def pool_runs(folds: Sequence[ComparedRun], logged: Mapping[str, LoggedRun]) -> ComparedRun | None:
    """Return one run for the test clips of all folds; None, with a warning, if the files of a run are missing.

    It has the complexity of the first fold and the energy of all.

    Args:
        folds: the runs of a sweep that differ only in their fold.
        logged: runs in the store by their ids.
    """
    runs = [logged[run.id] for run in folds]
    try:
        result = _evaluate(runs)
    except (UserError, ValueError) as error:
        log.warning(f"pooled    none: {error}")
        return None
    if result is None:
        log.warning(f"pooled    none for {folds[0].name}: a run has no files of its test clips, as of an early version")
        return None
    first = folds[0]
    metrics = {name: value for name, value in first.metrics.items() if name.startswith("complexity/")}
    for name in first.metrics:
        if name.startswith(ENERGY):
            metrics[name] = math.fsum(run.metrics.get(name, math.nan) for run in folds)
    curves = {
        name: [statistics.fmean(values) for values in zip(*(run.history[name] for run in folds), strict=False)]
        for name in first.history
        if all(name in run.history for run in folds)
    }
    return replace(
        first,
        id=" ".join(run.id for run in folds),
        metrics=metrics | dict(result.metrics),
        history=curves,
        load_statistics=partial(_load_statistics, runs),
    )


def _evaluate(runs: Sequence[LoggedRun]) -> EvaluationResult | None:
    """Evaluate the test clips of the runs together; None if a run does not have the files.

    Raises:
        UserError, ValueError: for files or parameters that hold something else.
    """
    is_events = is_of_events(runs[0].parameters)
    with tempfile.TemporaryDirectory() as temporary:
        folders = []
        for run in runs:
            folder = Path(temporary, run.id)
            folder.mkdir()
            for name in (DETECTIONS,) if is_events else (REFERENCE, SCORES):
                path = run.fetch(name, folder)
                if path is None:
                    return None
                if path.parent != folder:
                    try:
                        (folder / name).symlink_to(path.absolute())
                    except OSError:  # on Windows only administrators may make links
                        shutil.copyfile(path, folder / name)
            folders.append(folder)
        if is_events:
            return evaluate_event_files(folders, read_event_rules(runs[0].parameters))
        return evaluate_scene_files(folders)


def _load_statistics(runs: Sequence[LoggedRun]) -> ClipStatistics | None:
    """Return the statistics of the test clips of all runs; None if a run does not have them."""
    results = [load_clip_results(run) for run in runs]
    if any(each is None for each in results):
        return None
    joined: Any = results[0]
    for each in results[1:]:
        joined = joined.join(each)  # the runs have the same rules, so their results are of one class
    found: ClipStatistics = joined.statistics()
    return found
