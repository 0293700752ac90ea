"""Trials that are read by a few queries are those that Optuna reads."""

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import event

from dcase_sweep.sweep.optuna import database
from dcase_sweep.sweep.optuna.database import TrialDatabase
from dcase_sweep.sweep.optuna.storage import open_storage


def fill(where: str, trials: int = 7) -> None:
    """Create two studies with trials of every state, value and kind of parameter, the one among the other's."""
    storage = open_storage(where)
    one = optuna.create_study(study_name="one", storage=storage, direction="maximize")
    two = optuna.create_study(study_name="two", storage=storage, directions=["minimize", "maximize"])
    one.enqueue_trial({"x": 0.25}, user_attrs={"given": {"a": [1, None, "값"]}})
    for number in range(trials):
        trial = one.ask()
        trial.suggest_float("x", 1e-3, 1, log=True)
        trial.suggest_int("n", 8, 64, step=8)
        trial.suggest_categorical("kernel", ("[3,3]", None, 5, True))
        for step, value in enumerate((0.1, math.inf, -math.inf, math.nan)):
            trial.report(value, step)
        trial.set_user_attr("metrics", {"loss": 0.5})
        trial.set_constraint("size", -1.0)
        one.tell(trial, (0.5, math.inf, -math.inf)[number % 3])
        other = two.ask({"z": FloatDistribution(-1, 1)})
        two.tell(other, [-math.inf, 0.5])
    one.tell(one.ask({"n": IntDistribution(1, 3)}), state=TrialState.PRUNED)
    one.tell(one.ask(), state=TrialState.FAIL)
    one.ask().suggest_categorical("k", ("a", "b"))
    one.enqueue_trial({"x": 0.5})


def read_both(where: str, name: str) -> tuple[list[Any], list[Any]]:
    """Read the trials of a study by our queries and by Optuna's."""
    ours: Any = open_storage(where)
    found = optuna.load_study(study_name=name, storage=ours).get_trials(deepcopy=False)
    theirs = RDBStorage(where)
    return found, theirs.get_all_trials(theirs.get_study_id_from_name(name), deepcopy=False)


def assert_same(found: list[Any], expected: list[Any]) -> None:
    """Compare trials with everything they hold; NaN equals itself here."""
    assert [each.number for each in found] == [each.number for each in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.intermediate_values == pytest.approx(theirs.intermediate_values, nan_ok=True, abs=0, rel=0)
        assert list(ours.params) == list(theirs.params)
        left, right = ({**vars(each), "intermediate_values": None} for each in (ours, theirs))
        assert left == right


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with these studies, which is copied."""
    path = tmp_path_factory.mktemp("filled") / "optuna.db"
    fill(f"sqlite:///{path}")
    return path


@pytest.fixture
def where(filled: Path, tmp_path: Path) -> str:
    """A database with these studies."""
    with closing(sqlite3.connect(filled)) as source, closing(sqlite3.connect(tmp_path / "optuna.db")) as copy:
        source.backup(copy)
    return f"sqlite:///{tmp_path / 'optuna.db'}"


@pytest.mark.parametrize(("chunk", "sparse"), [(2, 4), (2, 0), (500, 4), (500, 0)])
@pytest.mark.parametrize("name", ["one", "two"])
def test_trials_are_those_that_optuna_reads(
    where: str, name: str, chunk: int, sparse: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_CHUNK", chunk)
    monkeypatch.setattr(database, "_SPARSE", sparse)

    assert_same(*read_both(where, name))


@contextmanager
def counted(storage: Any) -> Iterator[list[str]]:
    """The statements that are sent to a database."""
    said: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    event.listen(storage.engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(storage.engine, "before_cursor_execute", note)


def test_a_study_is_read_by_a_few_queries_and_then_its_changes_alone(where: str) -> None:
    storage: Any = open_storage(where)
    study = optuna.load_study(study_name="one", storage=storage)
    with counted(storage._backend) as said:
        before = len(study.get_trials(deepcopy=False))
    assert len(said) <= 7

    running = next(each for each in study.get_trials(deepcopy=False) if each.state == TrialState.RUNNING)
    storage.set_trial_user_attr(running._trial_id, "note", 1)
    study.tell(study.ask(), 0.5)

    assert len(study.get_trials(deepcopy=False)) == before  # the waiting trial was taken
    assert_same(*read_both(where, "one"))
    assert study.get_trials(deepcopy=False)[running.number].user_attrs == {"note": 1}


def test_tables_that_are_not_known_are_read_by_optuna(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {**database._COLUMNS, "trial_values": ("trial_id", "objective", "number")}
    monkeypatch.setattr(database, "_COLUMNS", columns)
    database.has_known_tables.cache_clear()
    try:
        assert not database.has_known_tables()
        found, expected = read_both(where, "two")
    finally:
        monkeypatch.undo()
        database.has_known_tables.cache_clear()

    assert_same(found, expected)
    assert database.has_known_tables(), "the tables of the installed Optuna are others: write the queries for them"


def test_a_study_that_was_deleted_is_an_error(where: str) -> None:
    storage = open_storage(where)
    identity = storage.get_study_id_from_name("one")
    optuna.delete_study(study_name="one", storage=open_storage(where))

    with pytest.raises(KeyError):
        storage.get_all_trials(identity)


def test_a_value_is_stored_unless_its_trial_is_finished_or_its_kind_another(where: str) -> None:
    storage: Any = open_storage(where)
    study = optuna.load_study(study_name="one", storage=storage)
    before = FloatDistribution(0, 1)
    trial = study.ask()
    backend: TrialDatabase = storage._backend

    backend._set_trial_param(trial._trial_id, "y", 0.5, before, before)
    with pytest.raises(ValueError, match="distribution"):
        backend._set_trial_param(trial._trial_id, "v", 0, CategoricalDistribution(("a",)), before)
    with pytest.raises(KeyError):
        backend._set_trial_param(10**6, "y", 0.5, before, before)
    study.tell(trial, state=TrialState.FAIL)
    with pytest.raises(UpdateFinishedTrialError):
        backend._set_trial_param(trial._trial_id, "w", 0.5, before, before)

    assert storage.get_trial(trial._trial_id).params == {"y": 0.5}
