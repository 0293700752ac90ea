"""Trials whose worker was lost: they are tried again from their last epoch, unless they keep ending their worker."""

import logging
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from dcase_sweep.sweep.job import MOST_DEATHS
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.attributes import DIED
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.sweep.optuna.seed_jobs import read_seed_jobs
from dcase_sweep.sweep.optuna.seeds import read_progress
from dcase_sweep.utils.text import printable

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)


def is_hopeless(trials: "Sequence[FrozenTrial]", trial: "FrozenTrial") -> bool:
    """Whether a trial that has just ended its worker did so before, again and again, without a new step in between.

    A machine that fails ends any trial, at any step. A trial that needs too much memory ends its worker each time.
    """
    attempts = records.tries(trials, trial)[:MOST_DEATHS]
    if len(attempts) < MOST_DEATHS or not all(attempt.user_attrs.get(DIED) for attempt in attempts[1:]):
        return False
    return _measure_progress(attempts[0]) <= _measure_progress(attempts[-1])


def is_suspected(trials: "Sequence[FrozenTrial]", trial: "FrozenTrial") -> bool:
    """Whether a trial has failed if it ends its worker once more, without a new step.

    It then runs alone: which one of several trials that ran together has ended their worker is not known.
    """
    attempts = records.tries(trials, trial)[1:MOST_DEATHS]
    if len(attempts) < MOST_DEATHS - 1 or not all(attempt.user_attrs.get(DIED) for attempt in attempts):
        return False
    return _measure_progress(attempts[0]) <= _measure_progress(attempts[-1])


def _measure_progress(trial: "FrozenTrial") -> tuple[int, int]:
    """Return the number of finished seeds of a trial with several, and the number of its steps."""
    reported = len(trial.intermediate_values)
    place, step = read_progress(trial.user_attrs) or (1, 0)
    steps = max(reported, (place - 1) * reported + step, int(trial.user_attrs.get(records.CONTINUED, 0)))
    return sum(each.is_finished for each in read_seed_jobs(trial).values()), steps


def close_died(study: "optuna.Study", trial: "FrozenTrial", how: str) -> str | None:
    """Close the trial of a worker that has ended without a word.

    Args:
        study: the study.
        trial: the running trial.
        how: how the worker ended.

    Returns:
        The status of its record: ``KILLED`` if it is tried again, else ``FAILED``; None if another process has closed
        it.
    """
    is_failed = is_hopeless(study.get_trials(deepcopy=False), trial)
    reason = f"{how}, {MOST_DEATHS} times in a row without a new step" if is_failed else how
    if not records.fail(study, trial, reason, interrupted=not is_failed, died=True):
        return None
    return "FAILED" if is_failed else "KILLED"


def close_jobs(search_config: SearchConfig, trials: "Sequence[FrozenTrial]", status: str) -> None:
    """Close the records of trials whose process has ended."""
    for trial in trials:
        open_jobs = [each.run_id for each in read_seed_jobs(trial).values() if each.run_id and not each.is_finished]
        for job_id in [*open_jobs, trial.user_attrs.get(records.RUN)]:
            if isinstance(job_id, str) and not search_config.application.close_job(job_id, status):
                log.info(f"trial {trial.number}: its run {printable(job_id)} is no longer in the store of runs")


class Recovery:
    """Recovers the trials of ended processes at intervals.

    Args:
        study: the study.
        search_config: the settings of the search.
        interval: seconds between two looks at the trials.
    """

    def __init__(self, study: "optuna.Study", search_config: SearchConfig, interval: float) -> None:
        self._study = study
        self._search_config = search_config
        self._interval = interval
        self._next = 0.0

    def recover(self, own: Collection[int] = ()) -> None:
        """Close the trials of ended processes, with their records, and queue their retries.

        Args:
            own: processes that the caller has started and monitors itself.
        """
        self._next = time.monotonic() + self._interval
        config = self._search_config
        closed = records.recover(self._study, config.max_retries, own, config.grace_period)
        close_jobs(config, closed, "KILLED")

    def recover_if_due(self, own: Collection[int] = ()) -> None:
        """Do so if the interval is over."""
        if time.monotonic() >= self._next:
            self.recover(own)
