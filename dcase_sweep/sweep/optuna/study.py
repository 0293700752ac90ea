"""The trials of a study: their states, how they are asked for and closed, and their retries."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from dcase_sweep.sweep.optuna import owners
from dcase_sweep.sweep.optuna.attributes import ALIVE as ALIVE
from dcase_sweep.sweep.optuna.attributes import COMMAND as COMMAND
from dcase_sweep.sweep.optuna.attributes import CONTINUED as CONTINUED
from dcase_sweep.sweep.optuna.attributes import DIED as DIED
from dcase_sweep.sweep.optuna.attributes import ERROR as ERROR
from dcase_sweep.sweep.optuna.attributes import EXHAUSTED as EXHAUSTED
from dcase_sweep.sweep.optuna.attributes import FOLDER as FOLDER
from dcase_sweep.sweep.optuna.attributes import GONE as GONE
from dcase_sweep.sweep.optuna.attributes import INTERRUPTED as INTERRUPTED
from dcase_sweep.sweep.optuna.attributes import LAUNCHED as LAUNCHED
from dcase_sweep.sweep.optuna.attributes import MARKED as MARKED
from dcase_sweep.sweep.optuna.attributes import METRICS as METRICS
from dcase_sweep.sweep.optuna.attributes import NOTE as NOTE
from dcase_sweep.sweep.optuna.attributes import OVERRIDES as OVERRIDES
from dcase_sweep.sweep.optuna.attributes import OWNER as OWNER
from dcase_sweep.sweep.optuna.attributes import RECORD as RECORD
from dcase_sweep.sweep.optuna.attributes import REJECTED as REJECTED
from dcase_sweep.sweep.optuna.attributes import REPEAT_OF as REPEAT_OF
from dcase_sweep.sweep.optuna.attributes import RETRY_OF as RETRY_OF
from dcase_sweep.sweep.optuna.attributes import RUN as RUN
from dcase_sweep.sweep.optuna.attributes import SECONDS as SECONDS
from dcase_sweep.sweep.optuna.attributes import SEED_JOBS as SEED_JOBS
from dcase_sweep.sweep.optuna.attributes import SEED_STEP as SEED_STEP
from dcase_sweep.sweep.optuna.attributes import SEEDS as SEEDS
from dcase_sweep.sweep.optuna.attributes import SIGNATURE as SIGNATURE
from dcase_sweep.sweep.optuna.attributes import SPREAD as SPREAD
from dcase_sweep.sweep.optuna.attributes import STOPPED as STOPPED
from dcase_sweep.sweep.optuna.attributes import SURPLUS as SURPLUS
from dcase_sweep.sweep.optuna.attributes import THREADS as THREADS
from dcase_sweep.sweep.optuna.attributes import WORK as WORK
from dcase_sweep.sweep.optuna.attributes import kind_of
from dcase_sweep.sweep.optuna.signature import Objective as Objective
from dcase_sweep.sweep.optuna.signature import Signature as Signature
from dcase_sweep.sweep.optuna.signature import differences as differences
from dcase_sweep.sweep.optuna.storage import claim as claim
from dcase_sweep.sweep.optuna.storage import open_storage as open_storage
from dcase_sweep.sweep.optuna.waiting import take_waiting

if TYPE_CHECKING:
    from dcase_sweep.sweep.optuna.tally import Tally

#: The kinds of trials that count towards the wanted number.
COUNTED = ("finished", "pruned", "running")


def kind(trial: FrozenTrial) -> str:
    """Return the state of a trial.

    One of waiting, running, finished, pruned, rejected, repeated, failed, interrupted and surplus.
    """
    return kind_of(trial.state.name, trial.user_attrs)


def is_feasible(trial: FrozenTrial) -> bool:
    """Whether a trial violates no constraint."""
    return all(violation <= 0 for violation in trial.constraints.values())


def find_best(trials: Iterable[FrozenTrial], direction: str) -> FrozenTrial | None:
    """Return the first of the best finished trials of one objective that violate no constraint.

    Storages return trials with equal values in any order.
    """
    feasible = (trial for trial in trials if kind(trial) == "finished" and is_feasible(trial))
    finished = sorted(feasible, key=lambda trial: trial.number)
    choose = max if direction == "maximize" else min
    return choose(finished, key=lambda trial: float(trial.values[0]), default=None)


def notes(trials: Sequence[FrozenTrial]) -> list[str]:
    """Return the notes on the results of these trials."""
    return list(dict.fromkeys(trial.user_attrs[NOTE] for trial in trials if NOTE in trial.user_attrs))


def counts(trials: Sequence[FrozenTrial]) -> Counter[str]:
    """Count the trials of each kind."""
    return Counter(kind(trial) for trial in trials)


def find_trial(study: optuna.Study, trial: optuna.Trial) -> FrozenTrial:
    """Read a trial from the storage."""
    return study._storage.get_trial(trial._trial_id)


def is_counted(trial: FrozenTrial) -> bool:
    """Whether a trial counts towards the wanted number: it is finished, pruned or running."""
    return kind(trial) in COUNTED


def missing(trials: Sequence[FrozenTrial], n_trials: int, before: int | None = None) -> int:
    """Return the number of trials that are still to be started.

    Args:
        trials: the trials of the study.
        n_trials: the wanted number.
        before: number of a trial; only the earlier ones are counted.
    """
    return max(0, n_trials - sum(is_counted(trial) for trial in trials if before is None or trial.number < before))


def is_over(study: optuna.Study) -> bool:
    """Whether a search has ended for any reason, so that no more trials are started."""
    attributes = study.user_attrs
    return bool(attributes.get(STOPPED) or attributes.get(EXHAUSTED))


def ask(study: optuna.Study, n_trials: int, tally: "Tally | None" = None) -> optuna.Trial | None:
    """Return the next trial, or None if enough trials are finished or running. Interrupted trials come first.

    Workers are independent: two may ask for the last trial at the same time. Then the one with the later number is
    dropped.

    Args:
        study: the study.
        n_trials: the wanted number of trials.
        tally: counts the trials from one call to the next; None = all are counted again.
    """
    count = missing if tally is None else tally.missing
    trials = study.get_trials(deepcopy=False)
    if is_over(study) or not count(trials, n_trials):
        return None
    trial = take_waiting(study, trials, trials if tally is None else tally.unfinished.values()) or study.ask()
    owners.sign(trial)
    if not count(study.get_trials(deepcopy=False), n_trials, trial.number):
        set_aside(study, trial)
        return None
    return trial


def set_aside(study: optuna.Study, trial: optuna.Trial) -> None:
    """Close a trial that need not be run now."""
    trial.set_user_attr(SURPLUS, True)
    study.tell(trial, state=TrialState.FAIL)


def fail(study: optuna.Study, trial: FrozenTrial, error: str, *, interrupted: bool = False, died: bool = False) -> bool:
    """Close a trial whose process has ended; return False if another process has closed it first.

    Args:
        study: the study.
        trial: the trial.
        error: why it has ended.
        interrupted: whether it is to be tried again.
        died: whether it may have ended its process itself.
    """
    storage, identity = study._storage, trial._trial_id
    try:
        storage.set_trial_user_attr(identity, ERROR, error)
        if died:
            storage.set_trial_user_attr(identity, DIED, True)
        if interrupted:
            storage.set_trial_user_attr(identity, INTERRUPTED, True)
        storage.set_trial_state_values(identity, state=TrialState.FAIL)
    except optuna.exceptions.UpdateFinishedTrialError:
        return False
    return True


def recover(
    study: optuna.Study,
    max_retries: int | None = None,
    own: Collection[int] = (),
    grace_period: float = owners.GRACE_PERIOD,
) -> list[FrozenTrial]:
    """Close the trials whose process has ended and queue retries of interrupted ones. Returns the closed trials.

    Running trials of other commands are not changed.

    Args:
        study: the study.
        max_retries: how often a trial is retried; None = no limit.
        own: processes that the caller has started and monitors itself.
        grace_period: seconds without a heartbeat after which a worker on another machine counts as ended.
    """
    trials = study.get_trials(deepcopy=False)
    if not any(_is_orphan(trial, own, grace_period) for trial in trials) and not _lost(trials, max_retries):
        return []
    with claim(study._storage):  # two commands must not retry the same trial
        closed = [
            trial
            for trial in study.get_trials(deepcopy=False)
            if _is_orphan(trial, own, grace_period) and fail(study, trial, GONE, interrupted=True)
        ]
        for trial in _lost(study.get_trials(deepcopy=False), max_retries):
            study.enqueue_trial(list_parameters(trial), user_attrs={RETRY_OF: trial.number})
    return closed


def _is_orphan(trial: FrozenTrial, own: Collection[int], grace_period: float) -> bool:
    if trial.state != TrialState.RUNNING or any(owners.is_owned_by(trial, pid) for pid in own):
        return False
    return owners.is_gone(trial, grace_period=grace_period)


def _lost(trials: Sequence[FrozenTrial], max_retries: int | None) -> list[FrozenTrial]:
    """Return the interrupted trials that must be retried and have not been."""
    retried = {trial.user_attrs.get(RETRY_OF) for trial in trials if kind(trial) != "surplus"}
    return [
        trial
        for trial in trials
        if kind(trial) == "interrupted"
        and trial.number not in retried
        and list_parameters(trial)  # otherwise it was killed before anything was sampled
        and (max_retries is None or len(tries(trials, trial)) <= max_retries)
    ]


def tries(trials: Sequence[FrozenTrial], trial: FrozenTrial) -> list[FrozenTrial]:
    """Return a trial and its earlier attempts, the newest first."""
    found = [trial]
    while (earlier := found[-1].user_attrs.get(RETRY_OF)) is not None and earlier < found[-1].number:
        found.append(trials[earlier])
    return found


def list_parameters(trial: FrozenTrial) -> dict[str, Any]:
    """Return the parameters that were sampled for a trial or copied from its earlier attempt."""
    return trial.system_attrs.get("fixed_params", {}) | trial.params
