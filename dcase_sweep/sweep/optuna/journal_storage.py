"""Optuna's storage in a journal, with lists of trials that are updated instead of made again."""

import copy
from collections.abc import Container
from typing import Any

from optuna.storages.journal import JournalStorage
from optuna.trial import FrozenTrial, TrialState

_UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


class StudyJournal(JournalStorage):
    """A journal whose list of trials takes the same time for any number of them.

    Optuna lists all trials several times for each new one. It looks up each of them, which takes milliseconds for
    thousands; here only those that have not finished are looked up.
    """

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
            self._replay_result.get_study(study_id)
            found = self._lists.setdefault(study_id, _Trials())
            found.update(self._replay_result, study_id)
            trials = found.select(states)
            return copy.deepcopy(trials) if deepcopy else trials


class _Trials:
    """The trials of a study by their numbers."""

    def __init__(self) -> None:
        self._all: list[FrozenTrial] = []
        self._unfinished: list[int] = []

    def update(self, replayed: Any, study_id: int) -> None:
        """Take over new trials, and those that were not finished, from what was read from the journal."""
        identities = replayed._study_id_to_trial_ids[study_id]
        for number in self._unfinished:
            self._all[number] = replayed._trials[identities[number]]
        new = range(len(self._all), len(identities))
        self._all += [replayed._trials[identities[number]] for number in new]
        self._unfinished = [n for n in (*self._unfinished, *new) if not self._all[n].state.is_finished()]

    def select(self, states: Container[TrialState] | None) -> list[FrozenTrial]:
        """Return a new list of the trials with these states; None = all."""
        if states is None:
            return list(self._all)
        if not any(state in states for state in TrialState if state not in _UNFINISHED):
            return [trial for number in self._unfinished if (trial := self._all[number]).state in states]
        return [trial for trial in self._all if trial.state in states]
