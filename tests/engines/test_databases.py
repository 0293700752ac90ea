"""Searches on a database server, PostgreSQL or MariaDB, that ends connections, restarts, and is away."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import optuna
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from dcase_sweep.sweep.optuna import outages
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.outages import wait_for_database
from dcase_sweep.sweep.optuna.study import claim, open_storage
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import encode_password, mask_url
from tests.engines import mariadb, postgresql
from tests.engines.hosts import can_isolate
from tests.engines.mariadb import MariaDB
from tests.engines.postgresql import PASSWORD, PostgreSQL
from tests.integration.test_other_applications import Project

#: Seconds until a test is given up, on any machine.
_PATIENCE = 400


Server = PostgreSQL | MariaDB


@pytest.fixture(params=["PostgreSQL", pytest.param("MariaDB", marks=pytest.mark.minutes)])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of each kind; MariaDB with all tests only."""
    with start_server(request.param) as server:
        yield server


@pytest.fixture(params=["PostgreSQL", "MariaDB"])
def any_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of each kind, for short tests."""
    with start_server(request.param) as server:
        yield server


def start_server(kind: str) -> AbstractContextManager[Server]:
    """Start a server, or skip the test if it is not installed."""
    driver, find, start = {
        "PostgreSQL": ("psycopg", postgresql.find_binaries, postgresql.start_postgresql),
        "MariaDB": ("pymysql", mariadb.find_binaries, mariadb.start_mariadb),
    }[kind]
    pytest.importorskip(driver, reason=f"the driver of {kind} is not installed: pip install 'dcase-sweep[databases]'")
    if find() is None:
        pytest.skip(f"{kind} is not installed")
    return start()


def test_operations_wait_for_the_server_and_are_done_once(any_server: Server) -> None:
    server = any_server
    storage = open_storage(server.url)
    study = optuna.create_study(study_name="s", storage=storage)
    with claim(storage):
        trial = study.ask()
        assert server.kill_backends() >= 1
    trial.suggest_float("x", 0, 1)
    server.stop()
    again = threading.Timer(2, server.start)
    began = time.monotonic()
    again.start()

    study.tell(trial, 1.0)

    waited = time.monotonic() - began
    again.join()
    assert waited >= 2
    assert [(each.number, each.value) for each in study.get_trials()] == [(0, 1.0)]


def test_a_server_that_stays_away_is_an_error_in_one_line_without_the_password(
    any_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = any_server
    monkeypatch.setattr(outages, "OPENING", 1.0)
    storage = open_storage(server.url)
    server.stop()

    with pytest.raises(UserError, match=r"the database of the study cannot be used for \d+ s: .*; the same") as found:
        wait_for_database(lambda: storage.cached.get_all_studies(), server.url, patience=1)
    with pytest.raises(UserError, match=r"cannot be used for \d+ s: .*expected a database that can be") as opened:
        open_storage(server.url)

    assert PASSWORD not in str(found.value) + str(opened.value)


def test_a_server_is_waited_for_before_it_is_opened_but_not_if_it_refuses(any_server: Server) -> None:
    server = any_server
    wrong = server.url.replace(PASSWORD, "wrong-password")
    elsewhere = f"{server.url}_of_nobody"
    began = time.monotonic()
    for where in (wrong, elsewhere):
        with pytest.raises(UserError, match=rf"{re.escape(mask_url(where))}: .*expected a database that can be"):
            open_storage(where)
    assert time.monotonic() - began < 10
    server.stop()
    again = threading.Timer(2, server.start)
    again.start()

    open_storage(server.url)

    again.join()
    assert time.monotonic() - began >= 2


def test_a_search_survives_killed_connections_a_restart_and_an_outage(server: Server, tmp_path: Path) -> None:
    project = Project(tmp_path)
    storage = f"hydra.sweeper.storage='{server.url}'"
    process = project.start(
        "-m", "seconds_per_epoch=0.2", "hydra.sweeper.n_trials=16", "hydra.sweeper.workers=2", storage
    )
    output = []
    reader = threading.Thread(target=lambda: output.append(process.communicate(timeout=_PATIENCE)[0]))
    reader.start()
    study = _wait_for_study(server)
    for finished in (2, 4, 6):
        _wait_for_trials(study, finished)
        server.kill_backends()
    _wait_for_trials(study, 8)
    server.stop()
    server.start()
    _wait_for_trials(study, 10)
    server.stop()
    time.sleep(10)
    server.start()

    reader.join()

    assert process.returncode == 0, output
    found = records.counts(study.get_trials())
    assert found["finished"] + found["pruned"] == 16
    assert found["failed"] == 0, [each.user_attrs.get(records.ERROR) for each in study.get_trials()]
    assert "Traceback" not in output[0]
    assert "hunter2" not in output[0]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    times = Counter(each.user_attrs.get(records.RETRY_OF) for each in study.get_trials())
    assert all(count == 1 for number, count in times.items() if number is not None)


def test_too_few_connections_of_a_server_are_reported(any_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server = any_server
    monkeypatch.setattr(outages, "OPENING", 1.0)
    server.stop()
    if isinstance(server, PostgreSQL):
        server.start(max_connections=2, superuser_reserved_connections=0)
        said, most = "too many clients", 2
    else:
        server.start(max_connections=10)  # the fewest that it can have
        said, most = "Too many connections", 10
    opened = open_storage(server.url).engine
    opened.dispose()
    engine = create_engine(opened.url, pool_size=most)
    connections = []
    with suppress(DBAPIError):
        for _ in range(most + 2):
            connections.append(engine.connect())

    with pytest.raises(UserError, match=rf"no connection left for this process \(.*{said}.*\); a worker takes"):
        open_storage(server.url)

    for connection in connections:
        connection.close()


@pytest.mark.skipif(not can_isolate(), reason="needs the right to create namespaces of hosts and processes")
def test_two_machines_share_a_study_and_one_that_dies_loses_no_trial(server: Server, tmp_path: Path) -> None:
    words = ["-m", "seconds_per_epoch=0.4", "hydra.sweeper.n_trials=14", "hydra.sweeper.workers=2"]
    words += ["hydra.sweeper.grace_period=10"]
    machines = [
        Project(tmp_path / name).start(*words, host=name, environment={"OPTUNA_STORAGE": server.url})
        for name in ("north", "south")
    ]
    study = _wait_for_study(server)
    _wait_for(study, lambda trials: {"north", "south"} <= set(map(_host, trials)) and any(map(_is_lost_soon, trials)))

    machines[0].kill()  # the first process of its machine: all others end with it
    output, _ = machines[1].communicate(timeout=_PATIENCE)

    assert machines[1].returncode == 0, output
    assert server.url not in output
    trials = study.get_trials()
    found = records.counts(trials)
    assert found["finished"] + found["pruned"] == 14
    assert found["running"] == found["failed"] == 0
    lost = [each for each in trials if records.kind(each) == "interrupted"]
    assert lost
    # A worker that is killed before it has written its name leaves a trial without owner, which is retried, too.
    assert set(map(_host, lost)) - {None} == {"north"}
    retried = [each.user_attrs.get(records.RETRY_OF) for each in trials if records.RETRY_OF in each.user_attrs]
    assert sorted(retried) == [each.number for each in lost]
    drawn = [tuple(each.params.values()) for each in trials if records.RETRY_OF not in each.user_attrs]
    assert len(set(drawn)) == len(drawn), "two machines drew the same values"


def _host(trial: optuna.trial.FrozenTrial) -> str | None:
    """The machine of a trial; None for one without an owner, which is written after the trial has begun."""
    owner = trial.user_attrs.get(records.OWNER)
    return None if owner is None else str(owner).rpartition("@")[2]


def _is_lost_soon(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial of north has epochs left that it will not finish."""
    return records.kind(trial) == "running" and _host(trial) == "north" and len(trial.intermediate_values) in (1, 2)


def _wait_for_study(server: Server) -> optuna.Study:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with suppress(KeyError):
            return optuna.load_study(study_name="train", storage=open_storage(server.url))
        time.sleep(0.2)
    raise AssertionError("the search did not begin")


def _wait_for_trials(study: optuna.Study, ended: int) -> None:
    _wait_for(study, lambda trials: sum(map(_has_ended, trials)) >= ended)


def _has_ended(trial: optuna.trial.FrozenTrial) -> bool:
    return records.kind(trial) in ("finished", "pruned")


def _wait_for(study: optuna.Study, condition: Callable[[Sequence[optuna.trial.FrozenTrial]], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        trials = study.get_trials(deepcopy=False)
        if condition(trials):
            return
        time.sleep(0.05)
    raise AssertionError(f"the search did not come that far: {records.counts(trials)}")


@pytest.mark.minutes
@pytest.mark.parametrize("fault", ["deadlock", "lock wait"])
def test_conflicts_of_mariadb_are_resolved_by_another_attempt(fault: str) -> None:
    with start_server("MariaDB") as server:
        assert isinstance(server, MariaDB)
        storage = open_storage(server.url)
        study = optuna.create_study(study_name="s", storage=storage)
        study.set_user_attr("a", 0)
        study.set_user_attr("b", 0)
        server.ask("SET GLOBAL innodb_lock_wait_timeout = 1")
        storage.engine.dispose()
        with storage.engine.connect() as other:
            other.execute(text("UPDATE study_user_attributes SET value_json = '1' WHERE `key` = 'a'"))
            setter = threading.Thread(target=study.set_user_attr, args=("a", 2))
            setter.start()
            if fault == "lock wait":
                time.sleep(2.5)  # two attempts fail
                assert setter.is_alive()
            else:
                time.sleep(0.2)
                with suppress(DBAPIError):
                    other.execute(text("UPDATE study_user_attributes SET value_json = '1' WHERE `key` = 'b'"))
            other.commit()
        setter.join(60)

        assert not setter.is_alive()
        assert optuna.load_study(study_name="s", storage=storage).user_attrs["a"] == 2


@pytest.mark.minutes
def test_values_that_a_database_cannot_store_are_reported() -> None:
    with start_server("MariaDB") as server:
        assert isinstance(server, MariaDB)
        server.ask("ALTER DATABASE optuna CHARACTER SET latin1")
        study = optuna.create_study(study_name="s", storage=open_storage(server.url))
        began = time.monotonic()

        with pytest.raises(UserError, match=r"lacks letters of a name or a value .*utf8mb4") as found:
            study.set_user_attr("이름", "값")

        with pytest.raises(UserError, match=r"a name or a value is too long for the database .*65,535 bytes"):
            study.set_user_attr("long", "a" * 70_000)
        assert time.monotonic() - began < 20
        assert PASSWORD not in str(found.value)


def test_trials_of_a_server_are_those_that_optuna_reads(any_server: Server) -> None:
    from tests.sweep.optuna.test_database import assert_same, fill

    fill(any_server.url)
    ours = open_storage(any_server.url)
    theirs = optuna.storages.RDBStorage(encode_password(any_server.url))

    for name in ("one", "two"):
        study = optuna.load_study(study_name=name, storage=ours)
        expected = theirs.get_all_trials(theirs.get_study_id_from_name(name))
        assert_same(study.get_trials(deepcopy=False), expected)
