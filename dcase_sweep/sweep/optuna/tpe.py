"""Optuna's TPE with a memory: a suggestion takes only new and changed trials into account.

Optuna sorts all trials and converts all of their values for each group of parameters of each suggestion. What is
suggested is the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from dcase_sweep.sweep.optuna.rank import rank

#: The versions of Optuna whose TPE suggests what is suggested here.
_VERSIONS = ("5.0",)
#: What is used of Optuna's sampler beyond its documented methods.
_USED = (
    "_compare",
    "_compute_acquisition_func",
    "_constant_liar",
    "_gamma",
    "_get_params",
    "_group_decomposed_search_space",
    "_n_ei_candidates",
    "_n_startup_trials",
    "_parzen_estimator_cls",
    "_parzen_estimator_parameters",
    "_rng",
    "_sample",
    "_sample_relative",
)
_EVALUATED = (TrialState.COMPLETE, TrialState.PRUNED)
#: Numbers of columns of the ranks, and of trials by which tables grow at least.
_RANKS, _ROOM = 3, 256


def remember(sampler: BaseSampler) -> BaseSampler:
    """Return a sampler that suggests the same and keeps what it has learned from trials, for one study.

    Samplers other than Optuna's own TPE are returned as they are, and so is TPE of another version of Optuna, where it
    may suggest differently.
    """
    known = optuna.__version__.rpartition(".")[0] in _VERSIONS
    if not known or type(sampler) is not TPESampler or not all(hasattr(sampler, name) for name in _USED):
        return sampler
    try:
        return RememberingTPE.adopt(sampler)
    except (ImportError, AttributeError):
        return sampler


@dataclass(frozen=True, slots=True)
class _Split:
    """The trials of a study, divided as TPE divides them.

    Attributes:
        trials: the trials by their numbers.
        evaluated: how many of them are finished or pruned.
        below: the numbers of the good ones, in order.
        above: the numbers of the others, in order.
    """

    trials: Mapping[int, FrozenTrial]
    evaluated: int
    below: np.ndarray
    above: np.ndarray


class RememberingTPE(TPESampler):
    """Optuna's TPE, which keeps the ranks and the values of finished trials. These never change."""

    _ranks: "_Rows"
    _values: "dict[tuple[str, ...], _Values]"
    _current: _Split | None
    #: Optuna's own division for several objectives, and its numbers of good trials for one and for several objectives.
    _split_as_optuna: Any
    _gammas: tuple[Any, Any]

    @classmethod
    def adopt(cls, sampler: TPESampler) -> "RememberingTPE":
        """Return a sampler with the settings and the state of another one, which is not used any more.

        Raises:
            ImportError, AttributeError: if Optuna has other private names.
        """
        from optuna.samplers._tpe.sampler import _split_trials, default_gamma, default_gamma_multiobjective

        made = cls.__new__(cls)
        vars(made).update(vars(sampler))
        made._split_as_optuna = _split_trials
        made._gammas = (default_gamma, default_gamma_multiobjective)
        if made._group_decomposed_search_space is not None:
            made._group_decomposed_search_space = _make_groups()
        made._ranks, made._values, made._current = _Rows(_RANKS), {}, None
        return made

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample the parameters that are sampled together, each group of them from the same trials."""
        try:
            return super().sample_relative(study, trial, search_space)
        finally:
            self._current = None

    def _sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        if self._current is None:
            self._current = self._split(study, trial)
        enough = self._current.evaluated >= self._n_startup_trials
        return self._sample(study, trial, search_space) if enough else {}

    def _sample(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        split = self._current or self._split(study, trial)
        names = tuple(search_space)
        values = self._values.get(names)
        if values is None or values.space != search_space:
            values = self._values[names] = _Values(search_space)
        good = self._estimate(study, search_space, values, split, split.below, is_good=True)
        others = self._estimate(study, search_space, values, split, split.above)
        candidates = good.sample(self._rng.rng, self._n_ei_candidates)
        best = self._compare(candidates, self._compute_acquisition_func(candidates, good, others))
        return {name: search_space[name].to_external_repr(value) for name, value in best.items()}

    def _estimate(
        self,
        study: Study,
        search_space: dict[str, BaseDistribution],
        values: "_Values",
        split: _Split,
        numbers: np.ndarray,
        *,
        is_good: bool = False,
    ) -> Any:
        """Estimate the density of the values of these trials. That of the good ones is kept until others are better."""
        key = numbers.tobytes()
        if is_good and values.good is not None and values.good[0] == key:
            return values.good[1]
        found = values.read(numbers, split.trials, lambda each: self._get_params(each, study))
        weights = (np.ones(len(found)),) if is_good and len(study.directions) > 1 else ()
        observed = {name: found[:, column] for column, name in enumerate(search_space)}
        made = self._parzen_estimator_cls(observed, search_space, self._parzen_estimator_parameters, *weights)
        if is_good:
            values.good = key, made
        return made

    def _split(self, study: Study, trial: FrozenTrial) -> _Split:
        """Divide the trials of a study but this one."""
        states = (*_EVALUATED, TrialState.RUNNING) if self._constant_liar else _EVALUATED
        found = study._get_trials(deepcopy=False, states=states, use_cache=not self._constant_liar)
        trials = {each.number: each for each in found if each.number != trial.number or not self._constant_liar}
        running = [number for number, each in trials.items() if each.state == TrialState.RUNNING]
        evaluated = len(trials) - len(running)
        directions = study.directions
        if self._gamma is None:
            self._gamma = self._gammas[len(directions) > 1]
        count = self._gamma(evaluated)
        if len(directions) > 1:
            below, above = (
                np.array([each.number for each in part], dtype=int)
                for part in self._split_as_optuna(study, list(trials.values()), count)
            )
            return _Split(trials, evaluated, below, above)
        numbers = np.fromiter(trials, int, len(trials))
        order = self._order(numbers, trials, directions[0], running)
        return _Split(trials, evaluated, np.sort(order[:count]), np.sort(np.append(order[count:], running).astype(int)))

    def _order(
        self,
        numbers: np.ndarray,
        trials: Mapping[int, FrozenTrial],
        direction: StudyDirection,
        running: Sequence[int],
    ) -> np.ndarray:
        """Return the numbers of the trials that do not run, the best first; of equal ones the earlier one."""
        sign = -1.0 if direction == StudyDirection.MAXIMIZE else 1.0
        if running:
            numbers = numbers[~np.isin(numbers, running)]
        for number in self._ranks.find_missing(numbers):
            found = rank(trials[number], sign)
            self._ranks.put(number, (*found, *[0.0] * (_RANKS - len(found))))
        ranks = self._ranks.get(numbers)
        return numbers[np.lexsort(ranks.T[::-1])]


class _Rows:
    """Rows of numbers of some trials.

    Args:
        width: the length of a row.
    """

    def __init__(self, width: int) -> None:
        self._rows = np.zeros((0, width))
        self._known = np.zeros(0, dtype=bool)

    def find_missing(self, numbers: np.ndarray) -> list[int]:
        """Return those of these trials that have no row."""
        needed = int(numbers.max(initial=-1)) + 1 - len(self._known)
        if needed > 0:
            more = max(needed, len(self._known), _ROOM)
            self._rows = np.concatenate([self._rows, np.zeros((more, self._rows.shape[1]))])
            self._known = np.concatenate([self._known, np.zeros(more, dtype=bool)])
        return [int(number) for number in numbers[~self._known[numbers]]]

    def put(self, number: int, row: Sequence[float], *, is_final: bool = True) -> None:
        """Set the row of a trial; one that is not final is missing the next time."""
        self._rows[number] = row
        self._known[number] = is_final

    def get(self, numbers: np.ndarray) -> np.ndarray:
        """Return the rows of these trials, shape (trial, column)."""
        return self._rows[numbers]


class _Values:
    """The values of the parameters of one group.

    Args:
        space: the distributions of its parameters.
    """

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self.space = dict(space)
        #: The last column tells whether a trial has all of the parameters.
        self._rows = _Rows(len(self.space) + 1)
        #: The numbers of the good trials, as bytes, and the density of their values.
        self.good: tuple[bytes, Any] | None = None

    def read(self, numbers: np.ndarray, trials: Mapping[int, FrozenTrial], list_parameters: Any) -> np.ndarray:
        """Return the values of those of these trials that have all of the parameters, shape (trial, parameter).

        Args:
            numbers: the numbers of the trials.
            trials: the trials by their numbers.
            list_parameters: returns the parameters of a trial; they may change as long as it runs.
        """
        for number in self._rows.find_missing(numbers):
            trial = trials[number]
            found = list_parameters(trial)
            row = [0.0] * (len(self.space) + 1)
            if self.space.keys() <= found.keys():
                row = [*(each.to_internal_repr(found[name]) for name, each in self.space.items()), 1.0]
            self._rows.put(number, row, is_final=trial.state.is_finished())
        rows = self._rows.get(numbers)
        return rows[rows[:, -1] > 0, :-1]


def _make_groups() -> Any:
    """Return the groups of parameters that occur together, which only new trials may divide."""
    from optuna.search_space.group_decomposed import _GroupDecomposedSearchSpace

    class Groups(_GroupDecomposedSearchSpace):
        """Groups of parameters; a trial with the parameters of an earlier one leaves them as they are."""

        def __init__(self) -> None:
            super().__init__(include_pruned=True)
            self._added: set[int] = set()

        def calculate(self, study: Study, use_cache: bool = False) -> Any:
            """Return the groups, which must not be changed."""
            for trial in study._get_trials(deepcopy=False, states=_EVALUATED, use_cache=use_cache):
                if trial.number not in self._added:
                    self._added.add(trial.number)
                    self._search_space.add_distributions(trial.distributions)
            return self._search_space

    return Groups()
