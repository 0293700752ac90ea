"""Which of the waiting trials a worker takes first."""

import socket
from collections.abc import Callable, Iterable, Sequence

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from dcase_sweep.sweep.optuna.attributes import JOB, OWNER, RETRY_OF
from dcase_sweep.utils.batch import BatchJob, find_batch_job
from dcase_sweep.utils.processes import parse_identity


def take_waiting(
    study: optuna.Study,
    trials: Sequence[FrozenTrial],
    unfinished: Iterable[FrozenTrial],
    is_wanted: Callable[[FrozenTrial], bool] = lambda trial: RETRY_OF in trial.user_attrs,
) -> optuna.Trial | None:
    """Take a waiting trial: first a retry of this batch job's, then of this host's, then any other one.

    Args:
        study: the study.
        trials: its trials, by their numbers.
        unfinished: those that wait or run.
        is_wanted: whether a waiting trial is taken. Optuna takes those that are no retries itself, in the order of
            their numbers.

    Returns:
        The trial; None if no wanted one waits.
    """
    waiting = [trial for trial in unfinished if trial.state == TrialState.WAITING and is_wanted(trial)]
    if not waiting:
        return None
    job, host = find_batch_job(), socket.gethostname()
    for each in sorted(waiting, key=lambda trial: (_rank(_find_lost(trials, trial), job, host), trial.number)):
        try:
            is_ours = study._storage.set_trial_state_values(each._trial_id, state=TrialState.RUNNING)
        except UpdateFinishedTrialError:
            continue
        if is_ours:
            return optuna.trial.Trial(study, each._trial_id)
    return None


def _find_lost(trials: Sequence[FrozenTrial], trial: FrozenTrial) -> FrozenTrial | None:
    number = trial.user_attrs.get(RETRY_OF)
    return trials[number] if isinstance(number, int) and 0 <= number < len(trials) else None


def _rank(lost: FrozenTrial | None, job: BatchJob | None, host: str) -> int:
    if lost is None:
        return 3
    if job is not None and job.is_same(lost.user_attrs.get(JOB)):
        return 0
    owner = parse_identity(str(lost.user_attrs.get(OWNER, "")))
    return 1 if owner is not None and owner.host == host else 2
