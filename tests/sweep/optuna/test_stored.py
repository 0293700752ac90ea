"""Studies that are read without Optuna are those that Optuna reads."""

import math
import sqlite3
from pathlib import Path

import optuna
import pytest
from optuna.storages.journal._storage import JournalOperation
from optuna.study import StudyDirection
from optuna.trial import TrialState

from dcase_sweep.sweep.optuna import stored_database
from dcase_sweep.sweep.optuna import stored_journal as journal
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.stored import choose_storage, find_study, read_studies
from dcase_sweep.sweep.optuna.stored_study import TRIAL_ATTRIBUTES
from dcase_sweep.sweep.optuna.study import open_storage
from dcase_sweep.utils.errors import UserError


def fill(place: str) -> None:
    """Create two studies, after one was deleted, with trials of every kind."""
    storage = open_storage(place)
    optuna.create_study(study_name="deleted", storage=storage)
    study = optuna.create_study(study_name="one", storage=storage, direction="maximize")
    optuna.delete_study(study_name="deleted", storage=storage)
    study.set_metric_names(["accuracy"])
    study.set_user_attr(records.COMMAND, {"n_trials": 9})
    study.set_user_attr("private", "x" * 1000)
    study.enqueue_trial({"x": 0.5}, user_attrs={records.RETRY_OF: 0})
    for value in (0.5, 0.75, math.inf, 0.9):
        trial = study.ask()
        records.owners.sign(trial)
        trial.suggest_float("x", 0, 1)
        trial.report(0.1, 0)
        if value == 0.9:
            trial.set_constraint("size", 1.0)
        study.tell(trial, value)
    for name in (records.REJECTED, records.REPEAT_OF):
        trial = study.ask()
        trial.set_user_attr(name, 1)
        study.tell(trial, state=TrialState.PRUNED)
    study.tell(study.ask(), state=TrialState.PRUNED)
    for attribute in (None, records.INTERRUPTED, records.SURPLUS):
        trial = study.ask()
        if attribute:
            trial.set_user_attr(attribute, True)
        study.tell(trial, state=TrialState.FAIL)
    study.ask()
    study.enqueue_trial({"x": 0.25})
    two = optuna.create_study(study_name="two", storage=storage, directions=["minimize", "maximize"])
    two.tell(two.ask(), [1.0, -math.inf])


@pytest.fixture(params=["optuna.log", "sqlite:///{}/optuna.db"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A storage with these studies."""
    place = str(request.param).format(tmp_path)
    place = place if "://" in place else str(tmp_path / place)
    fill(place)
    return place


def compare(where: str) -> None:
    """Compare the studies of a storage with those that Optuna reads."""
    found = {study.name: study for study in read_studies(where)}

    assert list(found) == ["one", "two"]
    for name, study in found.items():
        expected = optuna.load_study(study_name=name, storage=open_storage(where))
        trials = expected.get_trials(deepcopy=False)
        assert [each.kind for each in study.trials] == [records.kind(each) for each in trials]
        assert [each.number for each in study.trials] == [each.number for each in trials]
        assert [each.values or None for each in study.trials] == [each.values for each in trials]
        assert [each.is_feasible for each in study.trials] == [records.is_feasible(each) for each in trials]
        assert [each.datetime_start for each in study.trials] == [each.datetime_start for each in trials]
        ended = [each.datetime_complete and each.datetime_complete.timestamp() for each in trials]
        assert [each.ended for each in study.trials] == pytest.approx(ended)
        kept = [{key: value for key, value in each.user_attrs.items() if key in TRIAL_ATTRIBUTES} for each in trials]
        assert [each.user_attrs for each in study.trials] == kept
        assert study.directions == [each.name.lower() for each in expected.directions]
    assert found["one"].metrics == ["accuracy"]
    assert found["one"].user_attrs == {records.COMMAND: {"n_trials": 9}}


def test_trials_are_those_of_optuna(where: str) -> None:
    compare(where)


def test_one_study_is_found_by_its_name(where: str) -> None:
    study = find_study(where, "two")

    assert [trial.values for trial in study.trials] == [[1.0, -math.inf]]
    with pytest.raises(UserError, match=r"^three: no such study in .*optuna.*; expected one, two$"):
        find_study(where, "three")


def test_nothing_is_created_where_there_is_no_storage(tmp_path: Path) -> None:
    for place in (str(tmp_path / "a.log"), f"sqlite:///{tmp_path}/a.db"):
        with pytest.raises(UserError, match=r"no studies there; expected storage="):
            read_studies(place)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello\n", "line 1: not a record"),
        (b'{"op_code":0,"worker_id":"w","study_name":"s","directions":[1]}\n{"op_code":4}\n', "line 2: not a record"),
        (b'{"op_code":6,"trial_id":7,"state":1}\n', "line 1: not a record"),
    ],
)
def test_another_file_is_refused_in_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "optuna.log").write_bytes(content)

    with pytest.raises(UserError, match=message):
        read_studies(str(tmp_path / "optuna.log"))


def test_a_record_that_is_written_just_now_is_left_out(where: str) -> None:
    if "://" in where:
        pytest.skip("of a journal")
    with Path(where).open("ab") as handle:
        handle.write(b'{"op_code":0,"worker_id":"w","stu')

    assert [study.name for study in read_studies(where)] == ["one", "two"]


def test_another_database_is_refused_in_one_line(tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE studies (study_id INTEGER)")

    with pytest.raises(UserError, match=r"other\.db: no such column: study_name; expected a database of a search"):
        read_studies(f"sqlite:///{tmp_path}/other.db")


def test_the_numbers_of_a_journal_are_those_of_optuna() -> None:
    operations = {operation.name: operation.value for operation in JournalOperation}
    assert (operations["CREATE_STUDY"], operations["DELETE_STUDY"]) == (journal.CREATE_STUDY, journal.DELETE_STUDY)
    assert (
        operations["SET_STUDY_USER_ATTR"],
        operations["SET_STUDY_SYSTEM_ATTR"],
    ) == (journal.STUDY_ATTRIBUTE, journal.STUDY_SYSTEM_ATTRIBUTE)
    assert (operations["CREATE_TRIAL"], operations["SET_TRIAL_STATE_VALUES"]) == (journal.CREATE_TRIAL, journal.STATE)
    assert (
        operations["SET_TRIAL_USER_ATTR"],
        operations["SET_TRIAL_SYSTEM_ATTR"],
    ) == (journal.TRIAL_ATTRIBUTE, journal.TRIAL_SYSTEM_ATTRIBUTE)
    assert [journal.STATES[state.value] for state in TrialState] == [state.name for state in TrialState]
    assert [journal.DIRECTIONS[each.value] for each in (StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE)] == [
        "minimize",
        "maximize",
    ]


def test_the_storage_is_that_of_the_command_line_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTUNA_STORAGE", "sqlite:///a.db")

    assert choose_storage("b.log", None) == "b.log"
    assert choose_storage(None, None) == "sqlite:///a.db"
    monkeypatch.delenv("OPTUNA_STORAGE")
    assert choose_storage(None, None) == "mlruns/optuna.log"
    assert choose_storage(None, "runs") == "runs/optuna.log"


def test_a_study_of_any_number_of_trials_is_read_by_eight_queries(tmp_path: Path) -> None:
    fill(f"sqlite:///{tmp_path}/optuna.db")
    said = []
    with sqlite3.connect(tmp_path / "optuna.db") as connection:

        def query(text: str) -> list[tuple[object, ...]]:
            said.append(text)
            return connection.execute(text).fetchall()

        found = stored_database._read(query, "one")

    assert len(found[0].trials) > len(said) == 8
