"""The outcome of a job, reported to the study as a finished, pruned or failed trial."""

import difflib

import optuna
from hydra.errors import HydraException
from optuna.trial import Trial, TrialState

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.sweep.optuna.together import together
from dcase_sweep.sweep.outcomes import VALUE, Outcome
from dcase_sweep.utils.errors import UserError, first_line
from dcase_sweep.utils.gpus import DeviceLost
from dcase_sweep.utils.text import printable


def tell_outcome(study: optuna.Study, trial: Trial, outcome: Outcome, search_config: SearchConfig) -> None:
    """Report to a study how a trial ended.

    Raises:
        UserError: if an objective or a constraint is not among the metrics, which ends the search.
    """
    if outcome.status == "pruned":
        study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        return
    if outcome.status == "interrupted":
        reason = outcome.error or "interrupted"
        records.fail(study, records.find_trial(study, trial), reason, interrupted=True)
        return
    if outcome.status != "finished":
        _fail(study, trial, outcome.error or outcome.status, search_config)
        return
    wanted = {**dict.fromkeys(search_config.objective.metrics, "objective")}
    wanted |= dict.fromkeys(search_config.constraints, "constraint")
    for name, what in wanted.items():
        if name not in outcome.metrics:
            reason = _describe_missing(name, what, outcome)
            study.set_user_attr(records.STOPPED, reason)
            records.fail(study, records.find_trial(study, trial), reason)
            raise UserError(reason)
    values = [outcome.metrics[name] for name in search_config.objective.metrics]
    undefined = [name for name in wanted if outcome.metrics[name] != outcome.metrics[name]]
    if undefined:
        _fail(study, trial, f"{undefined[0]} is not a number", search_config)
        return
    with together(study._storage):
        for name, largest in search_config.constraints.items():
            trial.set_constraint(name, outcome.metrics[name] - largest)
        trial.set_user_attr(records.METRICS, dict(outcome.metrics if outcome.kept is None else outcome.kept))
        if outcome.spread:
            trial.set_user_attr(records.SPREAD, dict(outcome.spread))
        if outcome.note:
            trial.set_user_attr(records.NOTE, outcome.note)
        if outcome.work_seconds is not None:
            trial.set_user_attr(records.WORK, outcome.work_seconds)
    study.tell(trial, values, skip_if_finished=True)


def _describe_missing(name: str, what: str, outcome: Outcome) -> str:
    if name.startswith(VALUE):
        found = ", ".join(printable(each) for each in list(outcome.metrics)[:8])
        return (
            f"the task function returned {found}, which does not fit hydra.sweeper.direction; expected one number per "
            "direction, or hydra.sweeper.objective={NAME: maximize} with a name of the returned dictionary"
        )
    near = difflib.get_close_matches(name, outcome.metrics, n=3, cutoff=0.3)
    nearest = ", ".join(printable(each) for each in near or list(outcome.metrics)[:3])
    return f"{what} {name}: no such metric of a job; the nearest are {nearest}"


def _fail(study: optuna.Study, trial: Trial, error: str, search_config: SearchConfig) -> None:
    records.fail(study, records.find_trial(study, trial), error)
    reason = too_many_failed(study, search_config.max_failed)
    if reason:
        study.set_user_attr(records.STOPPED, reason)


def describe_error(error: BaseException) -> str:
    """Describe an exception of a job in one line; errors of the user and of Hydra without the name of their class."""
    text = first_line(str(error))
    line = f"{type(error).__name__}: {text}" if not isinstance(error, (UserError, HydraException, DeviceLost)) else text
    return printable(line.strip())


def too_many_failed(study: optuna.Study, largest: float) -> str | None:
    """Return the reason to end a search with too many failed trials, from the third one on; None to continue."""
    found = records.counts(study.get_trials(deepcopy=False))
    failed, ended = found["failed"], found["failed"] + found["finished"] + found["pruned"]
    if failed < 3 or failed <= largest * ended:
        return None
    return f"{failed} of {ended} trials failed, more than hydra.sweeper.max_failed={largest:g}"
