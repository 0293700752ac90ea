"""Messages at the start and end of a search."""

import logging
import os
import shlex
from pathlib import Path

import optuna

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.history import History
from dcase_sweep.sweep.optuna.points import list_points
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.utils import console
from dcase_sweep.utils.secrets import mask_url

log = logging.getLogger(__name__)


def introduce(study: optuna.Study, search_config: SearchConfig, workers: int, folder: Path) -> None:
    """Print the settings of a search and the location of its storage."""
    found = records.counts(study.get_trials(deepcopy=False))
    known = ", ".join(f"{found[name]} {name}" for name in ("finished", "pruned", "failed", "rejected") if found[name])
    known = f"continued with {known}" if known else "new"
    at_a_time = workers * search_config.together
    log.info(f"search    {study.study_name} ({known}), {search_config.n_trials} trials wanted, {at_a_time} at a time")
    if found["finished"] + found["pruned"] >= search_config.n_trials:
        log.info("search    complete: nothing is left to run; more trials need a larger hydra.sweeper.n_trials")
    if found["waiting"]:
        log.info(f"search    {console.pluralize(found['waiting'], 'trial')} to retry first")
    if "seed" in search_config.space.describe():
        log.info("search    the seed varies: trials that differ only in their seed are all trained")
    if search_config.seeds:
        listed = ", ".join(map(str, search_config.seeds))
        size = min(search_config.fused, len(search_config.seeds))
        together = f", up to {size} together" if size > 1 else ""
        log.info(f"search    each trial is trained with the seeds {listed}{together}; their mean is its result")
    if search_config.together > 1:
        log.info(f"search    each worker trains up to {search_config.together} trials of one architecture together")
    shown = mask_url(
        search_config.storage if "://" in search_config.storage else os.path.relpath(search_config.storage)
    )
    log.info(f"storage   {shown} (optuna-dashboard {shlex.quote(shown)})")
    log.info(f"folder    {folder}")


def describe_end(study: optuna.Study, search_config: SearchConfig) -> tuple[str | None, str | None]:
    """Return a line on how a search ended, if there is one, and a description of the problem, if there is one."""
    trials = study.get_trials(deepcopy=False)
    found = records.counts(trials)
    done = found["finished"] + found["pruned"]
    if study.user_attrs.get(records.STOPPED):
        return None, f"search stopped: {study.user_attrs[records.STOPPED]}"
    short = f"{done} of {console.pluralize(search_config.n_trials, 'wanted trial')}"
    line = History(list_points(search_config.space)).describe(trials, is_grid=search_config.is_grid)
    if line is not None and "not complete" in line:
        return None, f"{line}, {found['failed']} failed; the same command tries the failed ones again"
    if line is not None and search_config.is_grid:
        return line, None
    if done >= search_config.n_trials:
        return None, None
    if line is not None:
        return f"{line}; {short}", None
    if study.user_attrs.get(records.EXHAUSTED):
        return f"space exhausted: {study.user_attrs[records.EXHAUSTED]}; {short}", None
    return None, f"the search ended short: {short}; the same command continues"
