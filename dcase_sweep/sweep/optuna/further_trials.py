"""Further trials of the architecture of a first one, which a worker trains together with it."""

import random
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from dcase_sweep.sweep.optuna import owners
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.architecture import list_shared
from dcase_sweep.sweep.optuna.history import History
from dcase_sweep.sweep.optuna.recovery import is_suspected
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.sweep.optuna.tally import Tally
from dcase_sweep.sweep.optuna.trial_runner import BuiltTrial
from dcase_sweep.sweep.optuna.waiting import take_waiting


class FurtherTrials:
    """Asks for trials that share the architecture of a first one.

    The parameters that decide it have the first one's values, and the sampler suggests the others. Such a trial is
    never left waiting, so no other worker can take it.

    Args:
        study: the study.
        search_config: the settings of the search.
        history: the configurations that were tried.
        tally: counts the trials of the study.
        rng: random number generator for untried points.
    """

    def __init__(
        self, study: optuna.Study, search_config: SearchConfig, history: History, tally: Tally, rng: random.Random
    ) -> None:
        self._study = study
        self._config = search_config
        self._history = history
        self._tally = tally
        self._rng = rng

    def find_shared(self, first: BuiltTrial) -> dict[str, Any] | None:
        """Return the parameters that further trials share with a first one; None if there can be none."""
        config, trial = self._config, first.trial
        if config.together == 1 or config.application.find_obstacle(first.job) is not None:
            return None
        trials = self._study.get_trials(deepcopy=False)
        if is_suspected(trials, trials[trial.number]):
            return None
        shared = list_shared(config.application, trial.params, trial.distributions)
        return shared if len(shared) < len(trial.params) else None

    def ask(self, shared: Mapping[str, Any], *, chooses: bool) -> Trial | None:
        """Return another trial: one that waits, or a new one. None if there are enough, or nothing is left to try.

        A trial that waits is left to another worker, or to later, if it has another architecture. No new trial takes
        its place.

        Args:
            shared: the parameters that it shares with the first one.
            chooses: whether to choose an untried point of a finite space, because the sampler repeats known ones.
        """
        config, study = self._config, self._study
        trials = study.get_trials(deepcopy=False)
        left = self._tally.missing(trials, config.n_trials)
        if records.is_over(study) or not left:
            return None
        unfinished = self._tally.unfinished.values()
        trial = take_waiting(
            study, trials, unfinished, lambda each: _has(each, shared) and not is_suspected(trials, each)
        )
        if trial is None:
            if left <= sum(each.state == TrialState.WAITING for each in unfinished):
                return None
            fixed = dict(shared)
            if self._history.points is not None:
                untried = self._history.find_untried(trials, self._rng, shared)
                if untried is None:
                    return None
                fixed = untried if chooses or config.is_grid else fixed
            trial = _create(study, fixed)
        owners.sign(trial)
        if not self._tally.missing(study.get_trials(deepcopy=False), config.n_trials, trial.number):
            records.set_aside(study, trial)
            return None
        return trial


def _has(trial: FrozenTrial, shared: Mapping[str, Any]) -> bool:
    """Whether a waiting trial has these parameters."""
    parameters = records.list_parameters(trial)
    return all(name in parameters and parameters[name] == value for name, value in shared.items())


def _create(study: optuna.Study, fixed: Mapping[str, Any]) -> Trial:
    """Create a trial with some fixed parameters, as ``study.enqueue_trial`` does, that runs at once."""
    template = create_trial(state=TrialState.RUNNING, system_attrs={"fixed_params": dict(fixed)})
    return Trial(study, study._storage.create_new_trial(study._study_id, template))
