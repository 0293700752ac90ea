"""A sampler that learns from a part of the trials, so that suggestions of a long search take no more time."""

import bisect
import copy
from collections import deque
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from dcase_sweep.sweep.optuna.rank import rank, sum_violations
from dcase_sweep.sweep.optuna.tally import Changes

#: Samplers that compare all trials for each suggestion. Others need all of them, or only the newest generation.
BOUNDED = (TPESampler, GPSampler)
#: The fraction of the trials that are the best ones; the others are the most recent.
_BEST = 0.25


def bound(sampler: BaseSampler, most: int | None) -> BaseSampler:
    """Return a sampler that learns from at most ``most`` trials, if it grows slower with them.

    Up to this number it draws the same values as the sampler itself.
    """
    return sampler if most is None or not isinstance(sampler, BOUNDED) else BoundedSampler(sampler, most)


class BoundedSampler(BaseSampler):
    """A sampler that learns from the best and the most recent trials.

    Args:
        sampler: the sampler.
        most: the largest number of finished and pruned trials that it learns from.
    """

    def __init__(self, sampler: BaseSampler, most: int) -> None:
        self.sampler = sampler
        self._selection = Selection(most)

    def _view(self, study: Study) -> Any:
        return _View(study, self._selection)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that are sampled together."""
        return self.sampler.infer_relative_search_space(self._view(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample the parameters that are sampled together."""
        return self.sampler.sample_relative(self._view(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Sample one parameter by itself."""
        return self.sampler.sample_independent(self._view(study), trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Prepare a trial."""
        self.sampler.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Store what the sampler needs of a trial."""
        self.sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Seed the random number generator again."""
        self.sampler.reseed_rng()


class _View:
    """A study with a part of its trials."""

    def __init__(self, study: Study, selection: "Selection") -> None:
        self._study = study
        self._selection = selection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = self._study._get_trials(deepcopy=False, use_cache=use_cache)
        selected = self._selection.select(trials, self._study.directions)
        if states is not None:
            selected = [trial for trial in selected if trial.state in states]
        return copy.deepcopy(selected) if deepcopy else selected


class Selection:
    """The best and the most recent trials of a study, updated with new ones only.

    Trials are ordered as by TPE: finished ones by their value, then pruned ones by their steps, then those that violate
    a constraint. With several objectives the best are those that no other one dominates, the most recent first.

    Args:
        most: the largest number of trials that have been evaluated.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._changes = Changes()
        self._best_count = max(1, round(most * _BEST))
        self._recent: deque[FrozenTrial] = deque(maxlen=max(1, most - self._best_count))
        self._best: list[tuple[tuple[float, ...], int, FrozenTrial]] = []
        self._front: list[FrozenTrial] = []
        self._evaluated = 0
        self._unfinished: dict[int, FrozenTrial] = {}
        self._selected: list[FrozenTrial] | None = None

    def select(self, trials: list[FrozenTrial], directions: Sequence[StudyDirection]) -> list[FrozenTrial]:
        """Return the trials to learn from, by their numbers; all of them if they are few enough.

        Args:
            trials: all trials of the study by their numbers.
            directions: the directions of its objectives.
        """
        for trial in self._changes.find(trials):
            self._unfinished.pop(trial.number, None)
            if not trial.state.is_finished():
                self._unfinished[trial.number] = trial
            elif trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
                self._add(trial, [-1.0 if each == StudyDirection.MAXIMIZE else 1.0 for each in directions])
        if self._evaluated <= self.most:
            return trials
        if self._selected is None:
            best = self._front if len(directions) > 1 else [trial for _, _, trial in self._best]
            by_number = {trial.number: trial for trial in (*best, *self._recent)}
            self._selected = [by_number[number] for number in sorted(by_number)]
        if not self._unfinished or min(self._unfinished) > self._selected[-1].number:  # without sorting all
            return [*self._selected, *(self._unfinished[number] for number in sorted(self._unfinished))]
        return sorted((*self._selected, *self._unfinished.values()), key=lambda trial: trial.number)

    def _add(self, trial: FrozenTrial, signs: Sequence[float]) -> None:
        self._evaluated += 1
        self._selected = None
        self._recent.append(trial)
        if len(signs) > 1:
            self._add_to_front(trial, signs)
            return
        bisect.insort(self._best, (rank(trial, signs[0]), trial.number, trial), key=lambda entry: entry[:2])
        del self._best[self._best_count :]

    def _add_to_front(self, trial: FrozenTrial, signs: Sequence[float]) -> None:
        if trial.state != TrialState.COMPLETE or sum_violations(trial) > 0:
            return
        losses = np.multiply(signs, trial.values)
        others = np.array([np.multiply(signs, other.values) for other in self._front]).reshape(-1, len(signs))
        if np.any(np.all(others <= losses, axis=1)):
            return
        is_kept = np.any(others < losses, axis=1)
        kept = [other for other, is_one in zip(self._front, is_kept, strict=True) if is_one]
        self._front = [*kept, trial][-self._best_count :]
