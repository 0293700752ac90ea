"""One study in shared storage: created, continued or refused; what each of its trials counts for."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from dcase_sweep.sweep.optuna import owners
from dcase_sweep.sweep.optuna.owners import ALIVE as ALIVE
from dcase_sweep.sweep.optuna.owners import OWNER as OWNER
from dcase_sweep.sweep.optuna.signature import Objective as Objective
from dcase_sweep.sweep.optuna.signature import Signature as Signature
from dcase_sweep.sweep.optuna.signature import differences as differences
from dcase_sweep.sweep.optuna.storage import claim as claim
from dcase_sweep.sweep.optuna.storage import open_storage as open_storage
from dcase_sweep.utils.errors import UserError

#: Attributes of trials.
REJECTED, ERROR, INTERRUPTED, SURPLUS, RETRY_OF = "rejected", "error", "interrupted", "surplus", "retry_of"
OVERRIDES, FOLDER, RUN = "overrides", "folder", "run_id"
SECONDS, WORK, THREADS, METRICS = "seconds", "work_seconds", "threads", "metrics"
#: A remark that belongs to a trial's metrics; after how many steps a trial that was tried again went on.
NOTE, CONTINUED = "note", "continued_after_epochs"
#: The number of the earlier trial of the same configuration, whose outcome a trial has taken.
REPEAT_OF = "repeat_of"
#: Attributes of studies; why a search ends, by a fault or because nothing is left to try.
SIGNATURE, RECORD, STOPPED, EXHAUSTED = "signature", "mlflow_parent", "stopped", "exhausted"

#: Why a trial was closed by another process.
_GONE = "interrupted: its process is gone"


def open_study(
    storage: BaseStorage,
    name: str,
    objective: Objective,
    signature: Signature,
    *,
    fresh: bool,
    rename: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
) -> Any:
    """The study of this name: new, or continued if it has the same signature.

    A fresh one leaves the earlier ones as they are: it is called ``NAME.2`` and so on, and is the one that is
    continued from then on. Call it within ``claim``.

    Args:
        storage: of studies.
        name: of the study.
        objective: of the study.
        signature: what must be the same in the study.
        fresh: whether to start another one.
        rename: gives the keys of a stored configuration their names of today.

    Raises:
        UserError: for a changed signature, with the differences.
    """
    names = [found.study_name for found in storage.get_all_studies()]
    generation = max((_generation(found, name) for found in names), default=0)
    if generation and not fresh:
        study = optuna.load_study(study_name=_of_generation(name, generation), storage=storage)
        _check_signature(study, objective, signature, rename)
        for reason in (STOPPED, EXHAUSTED):
            if study.user_attrs.get(reason) is not None:
                study.set_user_attr(reason, None)
        return study
    study = optuna.create_study(
        study_name=_of_generation(name, generation + 1),
        storage=storage,
        directions=[*objective.directions],  # type: ignore[list-item]
    )
    _sign(study, objective, signature)
    return study


def _check_signature(
    study: optuna.Study,
    objective: Objective,
    signature: Signature,
    rename: Callable[[Mapping[str, Any]], Mapping[str, Any]],
) -> None:
    then = study.user_attrs.get(SIGNATURE)
    if then is None:
        directions = [each.name.lower() for each in study.directions]
        if study.get_trials(deepcopy=False) or directions != list(objective.directions):
            raise UserError(
                f"study {study.study_name} was not created by a search of dcase_sweep; use another "
                "hydra.sweeper.study_name, or hydra.sweeper.fresh=true to start another one beside it"
            )
        _sign(study, objective, signature)  # the command that created it was killed too early
        return
    then = {**then, "configuration": rename(then.get("configuration", {}))}
    changed = differences(then, signature.plain())
    if changed:
        more = f"; and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise UserError(
            f"study {study.study_name} was created with different settings: {'; '.join(changed[:5])}{more}. "
            "Use another hydra.sweeper.study_name, or hydra.sweeper.fresh=true to start another one beside it"
        )


def _sign(study: optuna.Study, objective: Objective, signature: Signature) -> None:
    # The names first: a study with a signature is complete.
    study.set_metric_names(list(objective.metrics))
    study.set_user_attr(SIGNATURE, signature.plain())


def _generation(found: str, name: str) -> int:
    if found == name:
        return 1
    number = found.removeprefix(f"{name}.")
    return int(number) if found != number and number.isdecimal() else 0


def _of_generation(name: str, generation: int) -> str:
    return name if generation == 1 else f"{name}.{generation}"


def kind(trial: FrozenTrial) -> str:
    """The state of a trial.

    One of waiting, running, finished, pruned, rejected, repeated, failed, interrupted and surplus.
    """
    if trial.state == TrialState.FAIL:
        if trial.user_attrs.get(SURPLUS):
            return "surplus"
        return "interrupted" if trial.user_attrs.get(INTERRUPTED) else "failed"
    if trial.state == TrialState.PRUNED and REJECTED in trial.user_attrs:
        return "rejected"
    if trial.state in (TrialState.PRUNED, TrialState.COMPLETE) and REPEAT_OF in trial.user_attrs:
        return "repeated"
    if trial.state == TrialState.PRUNED:
        return "pruned"
    return {TrialState.COMPLETE: "finished", TrialState.RUNNING: "running", TrialState.WAITING: "waiting"}[trial.state]


def is_feasible(trial: FrozenTrial) -> bool:
    """Whether a trial breaks no constraint."""
    return all(violation <= 0 for violation in trial.constraints.values())


def find_best(trials: Iterable[FrozenTrial], direction: str) -> FrozenTrial | None:
    """The first of the best finished trials of one objective that break no constraint.

    Storages return equal ones in any order.
    """
    feasible = (trial for trial in trials if kind(trial) == "finished" and is_feasible(trial))
    finished = sorted(feasible, key=lambda trial: trial.number)
    choose = max if direction == "maximize" else min
    return choose(finished, key=lambda trial: float(trial.values[0]), default=None)


def notes(trials: Sequence[FrozenTrial]) -> list[str]:
    """The remarks that belong to the results of these trials."""
    return list(dict.fromkeys(trial.user_attrs[NOTE] for trial in trials if NOTE in trial.user_attrs))


def counts(trials: Sequence[FrozenTrial]) -> Counter[str]:
    """How many trials of each kind."""
    return Counter(kind(trial) for trial in trials)


def find_trial(study: optuna.Study, trial: optuna.Trial) -> FrozenTrial:
    """What the storage knows of a trial."""
    return study._storage.get_trial(trial._trial_id)


def is_counted(trial: FrozenTrial) -> bool:
    """Whether a trial is one of the wanted number: finished, pruned, or on its way."""
    return kind(trial) in ("finished", "pruned", "running")


def missing(trials: Sequence[FrozenTrial], n_trials: int) -> int:
    """How many trials are neither done nor on their way."""
    return max(0, n_trials - sum(map(is_counted, trials)))


def is_over(study: optuna.Study) -> bool:
    """Whether a search has said that no more trials are to be started, for whatever reason."""
    attributes = study.user_attrs
    return bool(attributes.get(STOPPED) or attributes.get(EXHAUSTED))


def ask(study: optuna.Study, n_trials: int) -> optuna.Trial | None:
    """The next trial, or None if enough are finished or on their way.

    Workers know nothing of one another: two may ask for the last one at once. Then the later number gives way.
    """
    if is_over(study) or not missing(study.get_trials(deepcopy=False), n_trials):
        return None
    trial = study.ask()
    owners.sign(trial)
    earlier = [other for other in study.get_trials(deepcopy=False) if other.number < trial.number]
    if not missing(earlier, n_trials):
        set_aside(study, trial)
        return None
    return trial


def set_aside(study: optuna.Study, trial: optuna.Trial) -> None:
    """Close a trial that need not be run now."""
    trial.set_user_attr(SURPLUS, True)
    study.tell(trial, state=TrialState.FAIL)


def fail(study: optuna.Study, trial: FrozenTrial, error: str, *, interrupted: bool = False) -> bool:
    """Close a trial that no process works on any more; False if another process has closed it first."""
    storage, identity = study._storage, trial._trial_id
    try:
        storage.set_trial_user_attr(identity, ERROR, error)
        if interrupted:
            storage.set_trial_user_attr(identity, INTERRUPTED, True)
        storage.set_trial_state_values(identity, state=TrialState.FAIL)
    except optuna.exceptions.UpdateFinishedTrialError:
        return False
    return True


def recover(study: optuna.Study, max_retries: int | None = None, own: Collection[int] = ()) -> list[FrozenTrial]:
    """Close the trials whose process is gone, and have each interrupted one tried again; returns the closed ones.

    Trials of a process that is there are another command's and stay.

    Args:
        study: the study.
        max_retries: how often a trial is tried again; None = as often as it is interrupted.
        own: processes that the caller has started and sees to itself.
    """
    trials = study.get_trials(deepcopy=False)
    if not any(_is_orphan(trial, own) for trial in trials) and not _lost(trials, max_retries):
        return []
    with claim(study._storage):  # two commands must not have one trial tried again twice
        closed = [
            trial
            for trial in study.get_trials(deepcopy=False)
            if _is_orphan(trial, own) and fail(study, trial, _GONE, interrupted=True)
        ]
        for trial in _lost(study.get_trials(deepcopy=False), max_retries):
            study.enqueue_trial(list_parameters(trial), user_attrs={RETRY_OF: trial.number})
    return closed


def _is_orphan(trial: FrozenTrial, own: Collection[int]) -> bool:
    if trial.state != TrialState.RUNNING or any(owners.is_owned_by(trial, pid) for pid in own):
        return False
    return owners.is_gone(trial)


def _lost(trials: Sequence[FrozenTrial], max_retries: int | None) -> list[FrozenTrial]:
    """The interrupted trials that are to be tried again and have not been."""
    retried = {trial.user_attrs.get(RETRY_OF) for trial in trials if kind(trial) != "surplus"}
    return [
        trial
        for trial in trials
        if kind(trial) == "interrupted"
        and trial.number not in retried
        and list_parameters(trial)  # else it was killed before anything was sampled
        and (max_retries is None or len(tries(trials, trial)) <= max_retries)
    ]


def tries(trials: Sequence[FrozenTrial], trial: FrozenTrial) -> list[FrozenTrial]:
    """A trial and the earlier ones that it tries again, the newest first."""
    found = [trial]
    while (earlier := found[-1].user_attrs.get(RETRY_OF)) is not None and earlier < found[-1].number:
        found.append(trials[earlier])
    return found


def list_parameters(trial: FrozenTrial) -> dict[str, Any]:
    """What was sampled for a trial, or was given to it when it was to be tried again."""
    return trial.system_attrs.get("fixed_params", {}) | trial.params
