"""The configurations that a study has tried, so that none is trained twice and a finite space can be exhausted."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.points import Point, Points, configuration_key
from dcase_sweep.sweep.optuna.tally import Tally

#: Kinds of trials with a known result, in order of preference.
_KNOWN = ("finished", "pruned", "rejected")
#: Kinds of trials that need not be repeated in this search. Failed trials are repeated by the next command.
_TRIED = (*_KNOWN, "repeated", "running", "waiting", "failed")


class Repeated(Exception):
    """Raised for a trial whose configuration has a known result or is being trained by another worker.

    Args:
        earlier: the trial with the same configuration.
    """

    def __init__(self, earlier: FrozenTrial) -> None:
        super().__init__(f"the same configuration as trial {earlier.number}")
        self.earlier = earlier


class History:
    """The configurations and points of the trials of a study.

    Args:
        points: the points of the space; None if it is continuous.
    """

    def __init__(self, points: Points | None) -> None:
        self.points = points
        self._points: dict[int, Point | None] = {}
        self._tally = Tally()
        #: The trials with a configuration, by its key, and the numbers of these trials.
        self._numbers: dict[str, list[int]] = {}
        self._keyed: set[int] = set()
        #: How many trials have tried each point, and the points of those that have not finished.
        self._tried: Counter[Point] = Counter()
        self._unfinished: dict[int, Point] = {}

    def admit(self, study: optuna.Study, trial: Trial, overrides: list[str]) -> None:
        """Register the overrides of a trial unless it need not be trained.

        Raises:
            Repeated: if an earlier or running trial has the same configuration.
        """
        key = configuration_key(overrides)
        with records.claim(study._storage):  # two workers may have received the same point at the same time
            trials = study.get_trials(deepcopy=False)
            self._follow(trials)
            same = [trials[number] for number in self._numbers.get(key, ()) if number != trial.number]
            known = [other for kind in _KNOWN for other in same if records.kind(other) == kind]
            running = [other for other in same if records.kind(other) == "running"]
            if known or running:
                raise Repeated((known or running)[0])
            trial.set_user_attr(records.OVERRIDES, overrides)

    def _follow(self, trials: Sequence[FrozenTrial]) -> None:
        """Take new and changed trials into account."""
        for trial in self._tally.update(trials):
            overrides = trial.user_attrs.get(records.OVERRIDES)
            if overrides is not None and trial.number not in self._keyed:
                self._keyed.add(trial.number)
                self._numbers.setdefault(configuration_key(overrides), []).append(trial.number)
            if self.points is not None:
                self._count_point(trial)

    def _count_point(self, trial: FrozenTrial) -> None:
        earlier = self._unfinished.pop(trial.number, None)
        if earlier is not None:
            self._tried[earlier] -= 1
            if not self._tried[earlier]:
                del self._tried[earlier]
        point = self._point(trial) if records.kind(trial) in _TRIED else None
        if point is not None:
            self._tried[point] += 1
            if not trial.state.is_finished():
                self._unfinished[trial.number] = point

    def count(self, trials: Sequence[FrozenTrial]) -> Counter[str]:
        """Return the number of trials of each kind."""
        self._follow(trials)
        return self._tally.counts

    def _point(self, trial: FrozenTrial) -> Point | None:
        assert self.points is not None
        if trial.number not in self._points:
            found = self.points.identify(records.list_parameters(trial))
            if not trial.state.is_finished():
                return found  # more may be sampled later
            self._points[trial.number] = found
        return self._points[trial.number]

    def tried(self, trials: Sequence[FrozenTrial], kinds: Sequence[str] = _TRIED) -> set[Point]:
        """Return the points of the trials of these kinds."""
        found = {self._point(trial) for trial in trials if records.kind(trial) in kinds}
        return {point for point in found if point is not None}

    def is_exhausted(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether all points were tried or are running. False if all of them were rejected."""
        if self.points is None:
            return False
        found = self.count(trials)
        if not any(found[kind] for kind in ("finished", "pruned", "failed", "running", "waiting")):
            return False
        return len(self._tried) >= self.points.size

    def find_untried(
        self, trials: Sequence[FrozenTrial], rng: random.Random, values: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """Return the values of an untried point; None if there is none or the space is continuous.

        Args:
            trials: all trials of the study by their numbers.
            rng: random number generator.
            values: values that the point must have.
        """
        if self.points is None:
            return None
        self._follow(trials)
        return self.points.find_untried(self._tried, len(self._tried), rng, values)

    def failed(self, trials: Sequence[FrozenTrial]) -> list[dict[str, Any]]:
        """Return the values of the failed points without a result, without duplicates."""
        if self.points is None:
            return []
        known = self.tried(trials, [kind for kind in _TRIED if kind != "failed"])
        found: dict[Point, dict[str, Any]] = {}
        for trial in trials:
            point = self._point(trial) if records.kind(trial) == "failed" else None
            if point is not None and point not in known:
                found[point] = records.list_parameters(trial)
        return list(found.values())

    def describe(self, trials: Sequence[FrozenTrial], *, is_grid: bool) -> str | None:
        """Describe the coverage of an exhausted finite space: ``grid complete: 2 of 2``; None if points are left."""
        if self.points is None or not self.is_exhausted(trials):
            return None
        size = self.points.size
        known = len(self.tried(trials, [*_KNOWN, "repeated"]))
        if known < size:
            return f"{'grid' if is_grid else 'space'} not complete: {known:,} of {size:,}"
        if is_grid:
            return f"grid complete: {known:,} of {size:,}"
        return f"space exhausted: each of its {size:,} configurations was tried"


def take_known(study: optuna.Study, trial: Trial, earlier: FrozenTrial) -> None:
    """Close a trial with the result of an earlier one of the same configuration, which the sampler counts again."""
    if records.kind(earlier) == "running":
        records.set_aside(study, trial)
        return
    trial.set_user_attr(records.REPEAT_OF, earlier.number)
    for name, violation in earlier.constraints.items():
        trial.set_constraint(name, violation)
    if records.REJECTED in earlier.user_attrs:
        trial.set_user_attr(records.REJECTED, earlier.user_attrs[records.REJECTED])
    if earlier.state == optuna.trial.TrialState.COMPLETE:
        study.tell(trial, earlier.values)
        return
    if earlier.intermediate_values:
        last = max(earlier.intermediate_values)
        trial.report(earlier.intermediate_values[last], last)
    study.tell(trial, state=earlier.state)
