"""Optuna's storages with lists of trials that are updated instead of made again.

Optuna lists all trials several times for each new one. Its storages look up, sort or filter each of them, which takes
milliseconds for thousands; here only those that have not finished are looked up.
"""

import copy
from collections.abc import Callable, Container
from contextlib import suppress
from typing import Any

from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import FrozenTrial, TrialState

from dcase_sweep.sweep.optuna.together import GatheringJournal

_UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


class StudyJournal(GatheringJournal):
    """A journal whose list of trials takes the same time for any number of them."""

    def __init__(self, backend: Any) -> None:
        self._lists: dict[int, _Trials] = {}
        super().__init__(backend)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials of a study by their numbers, with all or only some states.

        Raises:
            KeyError: if there is no study with this ID.
        """
        with self._thread_lock:
            self._sync_with_backend()
            replayed = self._replay_result
            replayed.get_study(study_id)
            found = self._lists.setdefault(study_id, _Trials())
            identities = replayed._study_id_to_trial_ids[study_id]
            found.update(len(identities), lambda number: replayed._trials[identities[number]])
            trials = found.select(states)
            return copy.deepcopy(trials) if deepcopy else trials


class StudyDatabase(_CachedStorage):
    """A database whose list of trials takes the same time for any number of them.

    Finished trials are kept in memory, as in the cache that Optuna puts in front of a database for each study.
    """

    def __init__(self, backend: RDBStorage) -> None:
        self._lists: dict[int, _Trials] = {}
        super().__init__(backend)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials of a study by their numbers, with all or only some states."""
        self._read_trials_from_remote_storage(study_id)
        with self._lock:
            known = self._studies[study_id].trials
            found = self._lists.setdefault(study_id, _Trials())
            with suppress(KeyError):
                found.update(len(known), known.__getitem__)
                trials = found.select(states)
                return copy.deepcopy(trials) if deepcopy else trials
        # A number is missing: another process creates the trial at this moment.
        return super().get_all_trials(study_id, deepcopy, states)


class _Trials:
    """The trials of a study by their numbers."""

    def __init__(self) -> None:
        self._all: list[FrozenTrial] = []
        self._unfinished: list[int] = []

    def update(self, count: int, look_up: Callable[[int], FrozenTrial]) -> None:
        """Take over new trials, and those that were not finished.

        Args:
            count: number of trials.
            look_up: returns a trial by its number.

        Raises:
            KeyError: from ``look_up``; nothing has changed then.
        """
        numbers = [*self._unfinished, *range(len(self._all), count)]
        found = [look_up(number) for number in numbers]
        for number, trial in zip(numbers, found, strict=True):
            self._all[number : number + 1] = [trial]
        self._unfinished = [trial.number for trial in found if not trial.state.is_finished()]

    def select(self, states: Container[TrialState] | None) -> list[FrozenTrial]:
        """Return a new list of the trials with these states; None = all."""
        if states is None:
            return list(self._all)
        if not any(state in states for state in TrialState if state not in _UNFINISHED):
            return [trial for number in self._unfinished if (trial := self._all[number]).state in states]
        return [trial for trial in self._all if trial.state in states]
