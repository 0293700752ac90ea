"""Records of a journal that are written together."""

import threading
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from dcase_sweep.sweep.optuna.journal import Journal
from dcase_sweep.sweep.optuna.storage import open_storage
from dcase_sweep.sweep.optuna.together import together


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "optuna.log"


@pytest.fixture
def study(path: Path) -> optuna.Study:
    return optuna.create_study(study_name="s", storage=open_storage(str(path)))


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of records of each write."""
    found: list[int] = []
    write = Journal.append_logs
    monkeypatch.setattr(Journal, "append_logs", lambda self, logs: (found.append(len(logs)), write(self, logs))[1])
    return found


def read(path: Path) -> optuna.trial.FrozenTrial:
    """Return the last trial as Optuna itself reads it."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    return optuna.load_study(study_name="s", storage=storage).get_trials()[-1]


def test_what_describes_a_trial_is_written_at_once(study: optuna.Study, path: Path, writes: list[int]) -> None:
    trial = study.ask()
    writes.clear()
    with together(study._storage):
        x = trial.suggest_float("x", 0, 1)
        trial.set_user_attr("a", [1])
        trial.set_user_attr("b", 2)
        assert writes == []
        assert read(path).params == {}

    assert len(writes) == 1
    for found in (read(path), study.get_trials()[0]):
        assert (found.params, found.user_attrs) == ({"x": x}, {"a": [1], "b": 2})


def test_what_is_read_contains_what_was_set_before(study: optuna.Study, writes: list[int]) -> None:
    trial = study.ask()
    writes.clear()
    with together(study._storage):
        trial.set_user_attr("a", 1)
        assert study.get_trials()[0].user_attrs == {"a": 1}
        trial.set_user_attr("b", 2)
        study.tell(trial, 0.5)

    assert study.get_trials()[0].user_attrs == {"a": 1, "b": 2}
    assert writes == [1, 1, 1]


def test_an_error_keeps_what_was_set_before(study: optuna.Study, path: Path) -> None:
    trial = study.ask()

    def set_one() -> None:
        with together(study._storage):
            trial.set_user_attr("a", 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        set_one()
    assert read(path).user_attrs == {"a": 1}
    trial.set_user_attr("b", 2)
    assert read(path).user_attrs == {"a": 1, "b": 2}


def test_a_trial_that_another_process_has_ended_raises_once(study: optuna.Study, path: Path) -> None:
    trial = study.ask()
    other = optuna.load_study(study_name="s", storage=open_storage(str(path)))

    def set_two() -> None:
        with together(study._storage):
            trial.set_user_attr("a", 1)
            trial.set_user_attr("b", 2)
            other.tell(trial.number, state=TrialState.FAIL)

    with pytest.raises(UpdateFinishedTrialError):
        set_two()
    assert study.get_trials()[0].user_attrs == {}
    assert study.ask().number == 1


def test_other_threads_write_at_once(study: optuna.Study, path: Path) -> None:
    trial = study.ask()
    with together(study._storage):
        trial.set_user_attr("a", 1)
        beat = threading.Thread(target=study._storage.set_trial_user_attr, args=(trial._trial_id, "alive", 5.0))
        beat.start()
        beat.join()
        assert read(path).user_attrs == {"alive": 5.0}

    assert read(path).user_attrs == {"alive": 5.0, "a": 1}


def test_contexts_within_each_other_write_at_the_end_of_the_outer_one(study: optuna.Study, writes: list[int]) -> None:
    trial = study.ask()
    writes.clear()
    with together(study._storage):
        with together(study._storage):
            trial.set_user_attr("a", 1)
        trial.set_user_attr("b", 2)

    assert writes == [2]


@pytest.mark.parametrize("where", ["sqlite:///{}/optuna.db", None])
def test_other_storages_write_at_once(where: str | None, tmp_path: Path) -> None:
    storage: Any = open_storage(where.format(tmp_path)) if where else optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage)
    trial = study.ask()
    with together(study._storage):
        trial.set_user_attr("a", 1)
        assert study._storage.get_trial(trial._trial_id).user_attrs == {"a": 1}
