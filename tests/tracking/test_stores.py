"""The local store: atomic creation, moving, copying, deleted runs."""

import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from dcase_sweep import tracking
from dcase_sweep.config import Tracking
from dcase_sweep.tracking.database import prepare_database
from dcase_sweep.utils.errors import UserError
from tests.conftest import copy_database


@pytest.fixture
def settings(mlruns: Path) -> Tracking:
    return Tracking(folder=str(mlruns))


def make_folder(path: Path) -> Path:
    path.mkdir()
    return path


def forget_stores() -> None:
    """Clear the state, like a new process."""
    tracking.stores._stores.clear()


def test_a_kill_during_creation_of_the_schema_leaves_no_incomplete_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "mlruns"
    forget_stores()
    process = multiprocessing.get_context("fork").Process(
        target=tracking.open_store, args=(Tracking(folder=str(folder)),)
    )
    process.start()
    while not any(path.stat().st_size > 50_000 for path in folder.glob(".mlflow.db.*.new")):
        assert process.is_alive()
        time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (folder / "mlflow.db").exists()

    run = tracking.start_run(Tracking(folder=str(folder)), name="job", tags={})
    run.end("FINISHED")

    assert not list(folder.glob("*.new*"))
    assert not list(folder.glob(".*.new*"))


@pytest.mark.parametrize("kept", [3, 12])
def test_a_database_that_was_left_incomplete_is_replaced(
    database: Path, tmp_path: Path, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store of an earlier version with some tables and no run."""

    def create(path: Path) -> None:
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(path)) as copy:
            source.backup(copy)

    monkeypatch.setattr("dcase_sweep.tracking.database._create", create)  # which takes MLflow three seconds
    path = tmp_path / "mlruns" / "mlflow.db"
    path.parent.mkdir()
    whole = sqlite3.connect(database)
    half = sqlite3.connect(path)
    tables = [sql for (sql,) in whole.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name != 'x'")]
    for statement in tables[:kept]:
        half.execute(statement)
    half.commit()
    half.close()

    run = tracking.start_run(Tracking(folder=str(path.parent)), name="job", tags={})
    run.end("FINISHED")

    assert (path.parent / "mlflow.db.incomplete").is_file()


def test_a_database_with_runs_is_never_renamed(settings: Tracking, mlruns: Path) -> None:
    tracking.start_run(settings, name="job", tags={}).end("FINISHED")
    with sqlite3.connect(mlruns / "mlflow.db") as opened:
        opened.execute("UPDATE alembic_version SET version_num = 'of the future'")

    prepare_database(mlruns / "mlflow.db")

    assert not (mlruns / "mlflow.db.incomplete").exists()


@pytest.mark.parametrize("content", ["folder", "other"])
def test_a_file_that_is_not_a_store_is_rejected_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mlflow.db"
    if content == "folder":
        path.mkdir()
    else:
        with sqlite3.connect(path) as opened:
            opened.execute("CREATE TABLE recipes (name)")

    with pytest.raises(
        UserError, match=r"mlflow\.db: (a folder|a database of another program \(its tables are recipes\))"
    ):
        tracking.open_store(Tracking(folder=str(tmp_path)))


@pytest.mark.parametrize("address", ["folder", "uri"])
def test_a_relative_address_leads_to_the_store_of_the_working_folder(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """One process that changes its folder, as a notebook may, logs to two stores."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings = Tracking(folder="mlruns") if address == "folder" else Tracking(uri="sqlite:///mlruns/mlflow.db")
    for name in ("first", "second"):
        copy_database(database, make_folder(tmp_path / name) / "mlruns")
        monkeypatch.chdir(tmp_path / name)
        run = tracking.start_run(settings, name=name, tags={})
        run.log_text(name, "note.txt")
        run.end("FINISHED")

    for name in ("first", "second"):
        monkeypatch.chdir(tmp_path / name)
        store = tracking.open_store(settings)
        assert [each.name for each in tracking.list_runs(store, 10)] == [name]
        assert [path.read_text() for path in (tmp_path / name / "mlruns").rglob("note.txt")] == [name]
        assert store.uri == "sqlite:///mlruns/mlflow.db"


def test_stores_are_created_in_one_working_folder_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("first", "second"):
        monkeypatch.chdir(make_folder(tmp_path / name))
        tracking.open_store(Tracking(folder="mlruns"))
        assert (tmp_path / name / "mlruns" / "mlflow.db").is_file()
        shutil.rmtree(tmp_path / name)


@pytest.mark.parametrize("way", ["moved", "copied"])
def test_a_moved_or_copied_project_does_not_use_the_old_folder(
    settings: Tracking, mlruns: Path, tmp_path: Path, way: str
) -> None:
    first = tracking.start_run(settings, name="job", tags={})
    first.log_text("before", "note.txt")
    first.end("KILLED")
    here = tmp_path / "elsewhere" / "mlruns"
    (shutil.move if way == "moved" else shutil.copytree)(mlruns, tmp_path / "elsewhere" / "mlruns")
    before = sorted((path, path.stat().st_mtime_ns) for path in mlruns.rglob("*") if "mlflow.db" not in path.name)
    forget_stores()
    moved = Tracking(folder=str(here))

    found = tracking.find_run(moved, first.id)
    again = tracking.start_run(moved, name="job", tags={}, resume_id=first.id)
    again.log_text("after", "more.txt")
    new = tracking.start_run(moved, name="job", tags={})
    new.log_text("new", "note.txt")
    new.log_file(here / "mlflow.db", "figures")

    assert found is not None
    fetched = found.fetch("note.txt", tmp_path)
    assert fetched is not None
    assert fetched.read_text() == "before"
    assert fetched.is_relative_to(here)
    assert again.id == first.id
    assert (here / "artifacts" / first.id / "artifacts" / "more.txt").read_text() == "after"
    assert (here / "artifacts" / new.id / "artifacts" / "note.txt").read_text() == "new"
    assert (here / "artifacts" / new.id / "artifacts" / "figures" / "mlflow.db").is_file()
    after = sorted((path, path.stat().st_mtime_ns) for path in mlruns.rglob("*") if "mlflow.db" not in path.name)
    assert after == before
    # MLflow's own page finds them too.
    assert new.store.client.get_run(first.id).info.artifact_uri == f"{here.as_uri()}/artifacts/{first.id}/artifacts"
    assert [file.path for file in new.store.client.list_artifacts(first.id)] == ["more.txt", "note.txt"]


def test_artifacts_at_another_location_on_purpose_stay_there(settings: Tracking, tmp_path: Path) -> None:
    elsewhere = tmp_path / "disk" / "artifacts"
    elsewhere.mkdir(parents=True)
    client = tracking.open_store(settings).client
    client.create_experiment("mine", artifact_location=elsewhere.as_uri())
    forget_stores()
    settings.experiment = "mine"

    run = tracking.start_run(settings, name="job", tags={})
    run.log_text("hello", "note.txt")

    assert (elsewhere / run.id / "artifacts" / "note.txt").read_text() == "hello"


def test_a_deleted_experiment_is_rejected_with_the_remedy(settings: Tracking) -> None:
    store = tracking.open_store(settings)
    store.client.delete_experiment(store.experiment_id)
    forget_stores()

    with pytest.raises(UserError) as raised:
        tracking.start_run(settings, name="job", tags={})

    assert "\n" not in str(raised.value)
    command = f"mlflow experiments restore --experiment-id {store.experiment_id}"
    assert f"tracking.experiment={settings.experiment}: deleted in" in str(raised.value)
    assert command in str(raised.value)


def test_lost_or_deleted_runs_cause_no_error(settings: Tracking, caplog: pytest.LogCaptureFixture) -> None:
    deleted = tracking.start_run(settings, name="job", tags={})
    deleted.store.client.delete_run(deleted.id)
    lost = "0" * 32

    with caplog.at_level("INFO"):
        assert not tracking.end_run(settings, lost, "KILLED")
        assert not tracking.end_run(settings, deleted.id, "KILLED")
        deleted.tag_other(lost, {"a": "b"})
        assert tracking.find_run(settings, lost) is None
        assert tracking.find_run(settings, deleted.id) is None
        assert tracking.start_run(settings, name="job", tags={}, resume_id=deleted.id).id != deleted.id

    assert f"run       {deleted.id} was deleted (mlflow runs restore --run-id {deleted.id} restores it)" in caplog.text


def test_a_parent_that_does_not_exist_is_rejected(settings: Tracking) -> None:
    parent = tracking.start_run(settings, name="sweep", tags={})
    settings.parent = parent.id
    tracking.check_parent(settings)
    parent.store.client.delete_run(parent.id)
    tracking.check_parent(settings)  # it may be brought back
    settings.parent = "nope"

    with pytest.raises(UserError, match=r"^tracking\.parent=nope: no such run in .*; expected the id of a run"):
        tracking.check_parent(settings)


def test_an_unwritable_folder_is_rejected_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(UserError, match=r"file/mlruns/mlflow\.db: Not a directory; set tracking\.folder"):
        tracking.open_store(Tracking(folder=str(tmp_path / "file" / "mlruns")))


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="needs the right to mount")
def test_a_full_disk_during_creation_of_the_schema_names_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount")
    try:
        with pytest.raises(UserError, match=rf"^{folder}: no space left on the disk for the database of runs"):
            tracking.open_store(Tracking(folder=str(folder)))
        assert [path.name for path in folder.iterdir() if path.name != ".mlflow.db.lock"] == []
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
