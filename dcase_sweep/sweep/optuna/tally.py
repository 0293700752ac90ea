"""What is known of the trials of a study, updated with new and changed trials only.

A finished trial never changes. Counting all trials again for each one would make a search slower as it grows.
"""

from collections import Counter
from collections.abc import Sequence

from optuna.trial import FrozenTrial

from dcase_sweep.sweep.optuna.study import COUNTED, is_counted, is_feasible, kind


class Changes:
    """Finds the trials that are new or have changed since the last call."""

    def __init__(self) -> None:
        self._open: list[int] = []
        self._seen = 0

    def find(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return the new trials and those that were not finished, by their numbers.

        Args:
            trials: all trials of the study by their numbers, as its storage returns them. A list that was read before
                the last one has no changes.
        """
        if len(trials) < self._seen:
            return []
        changed = [*(trials[number] for number in self._open), *trials[self._seen :]]
        self._open = [trial.number for trial in changed if not trial.state.is_finished()]
        self._seen = len(trials)
        return changed


class Tally:
    """Counts the trials of each kind and finds the best one.

    Args:
        direction: ``maximize`` or ``minimize`` for a study with one objective; None = no best trial.
    """

    def __init__(self, direction: str | None = None) -> None:
        #: The number of trials of each kind, as `study.counts` returns it.
        self.counts: Counter[str] = Counter()
        #: The first of the best finished trials, as `study.find_best` returns it.
        self.best: FrozenTrial | None = None
        #: The trials that have not finished, by their numbers.
        self.unfinished: dict[int, FrozenTrial] = {}
        self._sign = {None: 0, "maximize": 1, "minimize": -1}[direction]
        self._changes = Changes()

    def update(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Take new and changed trials into account, and return them.

        Args:
            trials: all trials of the study by their numbers.
        """
        changed = self._changes.find(trials)
        for trial in changed:
            earlier = self.unfinished.pop(trial.number, None)
            if earlier is not None:
                self.counts[kind(earlier)] -= 1
            self.counts[kind(trial)] += 1
            if not trial.state.is_finished():
                self.unfinished[trial.number] = trial
            elif self._sign and kind(trial) == "finished" and is_feasible(trial) and self._is_better(trial):
                self.best = trial
        return changed

    def missing(self, trials: Sequence[FrozenTrial], n_trials: int, before: int | None = None) -> int:
        """Return the number of trials that are still to be started, as `study.missing` does.

        Args:
            trials: all trials of the study by their numbers.
            n_trials: the wanted number.
            before: number of a trial; only the earlier ones are counted.
        """
        self.update(trials)
        counted = sum(self.counts[each] for each in COUNTED)
        if before is not None:
            counted -= sum(map(is_counted, trials[before:]))
        return max(0, n_trials - counted)

    def _is_better(self, trial: FrozenTrial) -> bool:
        if self.best is None:
            return True
        gain = self._sign * (float(trial.values[0]) - float(self.best.values[0]))
        return gain > 0 or (gain == 0 and trial.number < self.best.number)
