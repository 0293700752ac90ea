"""The process of a run: runs of ended processes are closed, and only interrupted runs are resumed."""

import dataclasses
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pytest

from dcase_sweep import tracking
from dcase_sweep.config import Tracking
from dcase_sweep.tracking import owners
from dcase_sweep.utils.processes import this_process


@pytest.fixture
def settings(mlruns: Path) -> Tracking:
    return Tracking(folder=str(mlruns))


def begin_and_die(settings: Tracking, epochs: int) -> None:
    """The parent of a grid and a child, both killed, and another run that has finished before."""
    tracking.start_run(settings, name="finished", tags={}).end("FINISHED")
    parent = tracking.start_run(settings, name="parent", tags={})
    child = tracking.start_run(dataclasses.replace(settings, parent=parent.id), name="child", tags={})
    for epoch in range(epochs):
        child.log_metrics({"train/loss": 1.0}, step=epoch)
    child.flush()
    os.kill(os.getpid(), 9)


def kill_a_grid(settings: Tracking, epochs: int = 3) -> None:
    process = multiprocessing.get_context("fork").Process(target=begin_and_die, args=(settings, epochs))
    process.start()
    process.join()
    tracking.stores._stores.clear()


def statuses(settings: Tracking) -> dict[str, str]:
    store = tracking.open_store(settings)
    return {run.info.run_name: run.info.status for run in store.client.search_runs([store.experiment_id])}


def set_owner(run: tracking.Run, number: int, *, machine: str, minutes_ago: float) -> None:
    """Assign a run to a process of another machine whose last sign of life was this long ago."""
    then = int(1000 * (time.time() - 60 * minutes_ago))
    owner = dataclasses.replace(this_process(), number=number, machine=machine, start="1")
    run.store.client.set_tag(run.id, owners.OWNER, str(owner))
    with run.store.client._tracking_client.store.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE runs SET start_time = {then} WHERE run_uuid = '{run.id}'")


def test_the_next_command_closes_a_killed_grid(settings: Tracking, caplog: pytest.LogCaptureFixture) -> None:
    kill_a_grid(settings)

    with caplog.at_level("INFO"):
        found = statuses(settings)

    assert found == {"finished": "FINISHED", "parent": "KILLED", "child": "KILLED"}
    assert "closed 2 runs whose process had ended" in caplog.text
    runs = tracking.open_store(settings).client.search_runs(["1", "2"], "attributes.status = 'KILLED'")
    assert all(run.data.tags[owners.CLOSED] for run in runs)


def test_a_run_whose_process_is_running_is_never_closed(settings: Tracking) -> None:
    run = tracking.start_run(settings, name="alive", tags={})
    tracking.stores._stores.clear()

    assert statuses(settings) == {"alive": "RUNNING"}
    assert tracking.close_dead_runs(run.store) == []


@pytest.mark.parametrize(
    ("number", "machine", "minutes_ago", "status"),
    [
        (None, "", 0, "KILLED"),  # a number that was given to another process since
        (1, "another:pid:[1]", 5, "RUNNING"),
        (1, "another:pid:[1]", 61, "KILLED"),
    ],
)
def test_a_process_is_identified_by_its_start_and_elsewhere_by_its_last_sign_of_life(
    settings: Tracking, number: int | None, machine: str, minutes_ago: float, status: str
) -> None:
    run = tracking.start_run(settings, name="run", tags={})
    set_owner(run, number or os.getpid(), machine=machine or this_process().machine, minutes_ago=minutes_ago)
    tracking.stores._stores.clear()

    assert statuses(settings) == {"run": status}


def test_a_parent_on_another_machine_is_open_while_a_child_is(settings: Tracking) -> None:
    parent = tracking.start_run(settings, name="parent", tags={})
    child = tracking.start_run(dataclasses.replace(settings, parent=parent.id), name="child", tags={})
    for run in (parent, child):
        set_owner(run, 1, machine="another:pid:[1]", minutes_ago=200)
    child.log_metrics({"train/loss": 1.0})
    child.flush()
    tracking.stores._stores.clear()

    assert statuses(settings) == {"parent": "RUNNING", "child": "RUNNING"}


def test_a_search_on_another_machine_is_open_while_a_seed_of_a_trial_is(settings: Tracking) -> None:
    search = tracking.start_run(settings, name="search", tags={})
    trial = tracking.start_run(dataclasses.replace(settings, parent=search.id), name="trial", tags={})
    seed = tracking.start_run(dataclasses.replace(settings, parent=trial.id), name="seed", tags={})
    for run in (search, trial, seed):
        set_owner(run, 1, machine="another:pid:[1]", minutes_ago=200)
    seed.log_metrics({"train/loss": 1.0})
    seed.flush()
    tracking.stores._stores.clear()

    assert statuses(settings) == {"search": "RUNNING", "trial": "RUNNING", "seed": "RUNNING"}


def test_a_run_that_trains_gives_a_sign_of_life(settings: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tracking.start_run(settings, name="run", tags={})
    set_owner(run, 1, machine="another:pid:[1]", minutes_ago=200)
    monkeypatch.setattr(tracking.run, "_BEAT", 0.0)
    run.beat()
    tracking.stores._stores.clear()

    assert statuses(settings) == {"run": "RUNNING"}


def resumed(settings: Tracking, run: tracking.Run, signature: str = "same") -> tracking.Run:
    return tracking.start_run(settings, name="again", tags={}, resume_id=run.id, signature=signature)


@pytest.fixture
def interrupted(settings: Tracking) -> tracking.Run:
    run = tracking.start_run(settings, name="run", tags={tracking.SIGNATURE: "same"})
    run.log_metrics({"train/loss": 0.5}, step=0)
    run.end("KILLED")
    return run


@pytest.mark.parametrize("status", ["KILLED", "FAILED"])
def test_an_interrupted_run_is_resumed_without_duplicate_steps(
    settings: Tracking, interrupted: tracking.Run, status: str
) -> None:
    interrupted.end(status)

    again = resumed(settings, interrupted)
    for step in range(3):
        again.log_metrics({"train/loss": 0.5}, step=step)
    again.end("FINISHED")

    assert again.id == interrupted.id
    history = again.store.client.get_metric_history(again.id, "train/loss")
    assert sorted(metric.step for metric in history) == [0, 1, 2]


def test_the_run_of_a_requeued_job_is_resumed_though_its_process_may_seem_to_run(
    settings: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed on another machine, where nobody sees that."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    lost = tracking.start_run(settings, name="run", tags={tracking.SIGNATURE: "same"})

    assert resumed(settings, lost).id != lost.id

    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert resumed(settings, lost).id == lost.id


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("finished", "has finished"),
        ("running", "is still running"),
        ("signature", "has another configuration, other data or other code"),
        ("unsigned", "has another configuration, other data or other code"),
        ("experiment", "belongs to another experiment"),
        ("deleted", "was deleted"),
        ("gone", "is not in sqlite:"),
    ],
)
def test_a_different_run_is_not_resumed(
    settings: Tracking, interrupted: tracking.Run, caplog: pytest.LogCaptureFixture, change: str, says: str
) -> None:
    client: Any = interrupted.store.client
    if change == "finished":
        interrupted.end("FINISHED")
    elif change == "running":
        client.update_run(interrupted.id, status="RUNNING")
    elif change == "signature":
        client.set_tag(interrupted.id, tracking.SIGNATURE, "other")
    elif change == "unsigned":
        client.delete_tag(interrupted.id, tracking.SIGNATURE)
    elif change == "experiment":
        settings.experiment = "another"
    elif change == "deleted":
        client.delete_run(interrupted.id)
    else:
        interrupted.id = "0" * 32
    before = None if change == "gone" else client.get_run(interrupted.id).to_dictionary()

    with caplog.at_level("INFO"):
        again = resumed(settings, interrupted)
    again.log_metrics({"train/loss": 0.1}, step=0)
    again.end("FINISHED")

    assert again.id != interrupted.id
    lines = [record.message for record in caplog.records if interrupted.id in record.message]
    assert len(lines) == 1
    assert says in lines[0]
    assert lines[0].endswith("a new run is created")
    assert before is None or client.get_run(interrupted.id).to_dictionary() == before


def test_the_list_of_runs_fits_eighty_columns(settings: Tracking) -> None:
    run = tracking.start_run(settings, name="a name of a run that is much too long for any terminal\n", tags={})
    run.end("FINISHED")

    lines = tracking.runs_table(tracking.list_runs(run.store, 20), 80).splitlines()

    assert lines[0].split() == ["started", "status", "process", "name", "id"]
    assert lines[2].endswith(run.id)
    assert f"finished  {os.getpid()}@" in lines[2]
    assert len(lines) == 3
    assert max(map(len, lines)) <= 80


def test_finding_dead_runs_takes_milliseconds(settings: Tracking, mlruns: Path) -> None:
    import sqlite3

    store = tracking.open_store(settings)
    with sqlite3.connect(mlruns / "mlflow.db") as database:
        rows = [(f"{number:032}", "FINISHED", "active", store.experiment_id, number) for number in range(2000)]
        database.executemany(
            "INSERT INTO runs (run_uuid, status, lifecycle_stage, experiment_id, start_time) VALUES (?, ?, ?, ?, ?)",
            rows,
        )
        tags = [(key, "value", number) for number, *_ in rows for key in ("a", "b", owners.OWNER)]
        database.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", tags)
    for number in range(3):
        tracking.start_run(settings, name=str(number), tags={})

    began = time.process_time()
    found = owners.open_runs(store)

    assert len(found) == 3
    assert time.process_time() - began < 0.3, "each of the runs was read"
