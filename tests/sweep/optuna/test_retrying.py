"""Operations on a database that cannot be reached for a while."""

import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.exc import IntegrityError, OperationalError, PendingRollbackError

from dcase_sweep.sweep.optuna import outages
from dcase_sweep.sweep.optuna.outages import wait_for_database
from dcase_sweep.sweep.optuna.retrying import RetryingStorage
from dcase_sweep.utils.errors import UserError

WHERE = "postgresql://ann:hunter2@host/db"


def lost() -> OperationalError:
    return OperationalError("SELECT 1", {}, Exception("server closed the connection, hunter2"))


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RetryingStorage:
    monkeypatch.setattr(outages, "_PAUSE", 0.001)
    return RetryingStorage(RDBStorage(f"sqlite:///{tmp_path / 'optuna.db'}"), WHERE)  # type: ignore[abstract]


def fail_first(storage: RetryingStorage, name: str, errors: list[Exception], *, is_done: bool = False) -> None:
    """Let an operation raise these errors first; ``is_done``: after the database has done it."""
    method: Callable[..., object] = getattr(storage.cached, name)

    def flaky(*args: object, **kwargs: object) -> object:
        if not errors:
            return method(*args, **kwargs)
        if is_done:
            method(*args, **kwargs)
        raise errors.pop()

    setattr(storage.cached, name, flaky)


def test_an_operation_is_repeated_until_the_database_answers(storage: RetryingStorage) -> None:
    wrapped = StorageInternalError("during the commit")
    wrapped.__cause__ = lost()
    unfinished = StorageInternalError("during the commit")
    unfinished.__cause__ = PendingRollbackError("Can't reconnect")
    fail_first(storage, "create_new_trial", [lost(), wrapped, unfinished])

    study = optuna.create_study(storage=storage)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)

    assert [trial.state for trial in study.get_trials()] == [TrialState.COMPLETE]


def test_a_result_whose_confirmation_was_lost_is_stored_once(storage: RetryingStorage) -> None:
    study = optuna.create_study(storage=storage)
    trial = study.ask()
    fail_first(storage, "set_trial_state_values", [lost()], is_done=True)

    study.tell(trial, 0.5)

    assert study.get_trials()[0].value == 0.5


def test_other_errors_are_raised_at_once(storage: RetryingStorage) -> None:
    optuna.create_study(storage=storage, study_name="s")
    fail_first(storage, "get_all_studies", [IntegrityError("INSERT", {}, Exception("twice"))])

    with pytest.raises(IntegrityError):
        storage.get_all_studies()
    with pytest.raises(optuna.exceptions.DuplicatedStudyError):
        optuna.create_study(storage=storage, study_name="s")


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("connection refused", "connection refused; expected a database that can be reached"),
        ("FATAL: sorry, too many clients already", "a worker takes 2, and 3 for a moment: raise max_connections"),
        ('(1040, "Too many connections")', "a worker takes 2, and 3 for a moment: raise max_connections"),
    ],
)
def test_a_database_that_stays_away_is_one_line(reason: str, remedy: str) -> None:
    def call() -> None:
        raise OperationalError("SELECT 1", {}, Exception(f"{WHERE}\n{reason}"))

    with pytest.raises(UserError, match="the database of the study cannot be used for ") as found:
        wait_for_database(call, WHERE, patience=0.01)

    assert remedy in str(found.value)
    assert "hunter2" not in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("reason", "is_refused", "is_refused_at_first"),
    [
        ("FATAL:  the database system is starting up", False, False),
        ("connection failed: Connection refused", False, False),
        ("connection timeout expired", False, False),
        ('(2003, "Can\'t connect to MySQL server")', False, False),
        ('FATAL:  password authentication failed for user "ann"', True, True),
        ('FATAL:  database "studies" does not exist', True, True),
        ("[Errno -2] Name or service not known", False, True),
    ],
)
def test_what_does_not_pass_is_not_waited_for(reason: str, is_refused: bool, is_refused_at_first: bool) -> None:
    assert outages.is_refused(reason) == is_refused
    assert outages.is_refused(reason, is_known=False) == is_refused_at_first


def test_a_refused_user_is_one_line_at_once(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def call() -> None:
        calls.append(1)
        raise OperationalError("SELECT 1", {}, Exception("FATAL:  password authentication failed for hunter2"))

    with pytest.raises(UserError, match=r"postgresql://ann:\*\*\*@host/db: FATAL: password authentication failed for"):
        wait_for_database(call, WHERE)
    with pytest.raises(OperationalError):
        wait_for_database(call, WHERE, is_known=False)

    assert len(calls) == 2
    assert not caplog.records


def test_a_server_that_is_starting_is_waited_for_with_one_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "_PAUSE", 0.001)
    monkeypatch.setattr(outages, "_QUIET_OPENING", 0.0)
    errors = [OperationalError("SELECT 1", {}, Exception("FATAL:  the database system is starting up"))] * 4

    def call() -> str:
        if errors:
            raise errors.pop()
        return "open"

    assert wait_for_database(call, WHERE, is_known=False) == "open"
    assert [each.getMessage() for each in caplog.records] == [
        "storage   no answer, waiting up to 3 min: FATAL: the database system is starting up; expected a database that "
        "can be reached"
    ]


def test_the_end_of_an_outage_is_known_and_a_short_conflict_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "_PAUSE", 0.001)
    monkeypatch.setattr(outages, "_returned", 0.0)

    def wait() -> None:
        errors = [lost()]
        wait_for_database(lambda: errors and _raise(errors.pop()), WHERE)

    wait()
    assert outages.find_return() == 0.0
    monkeypatch.setattr(outages, "_OUTAGE", 0.0)
    wait()
    assert outages.find_return() == pytest.approx(time.time(), abs=60)


def _raise(error: Exception) -> None:
    raise error
