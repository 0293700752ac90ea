"""Runs in MLflow."""

import multiprocessing
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from dcase_sweep import tracking
from dcase_sweep.config import Tracking
from dcase_sweep.utils.errors import UserError


@pytest.fixture
def settings(mlruns: Path) -> Tracking:
    return Tracking(folder=str(mlruns))


def log_one_run(settings: Tracking, number: int) -> None:
    run = tracking.start_run(settings, name=f"run {number}", tags={})
    for step in range(20):
        run.log_metrics({"value": number + step}, step=step)
    run.log_parameters({"number": number})
    run.end("FINISHED")


def test_processes_that_start_together_on_a_new_store_all_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings = Tracking(folder=str(tmp_path / "fresh"))
    tracking.stores._stores.clear()
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=log_one_run, args=(settings, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=180)

    store = tracking.open_store(settings)
    runs = store.client.search_runs([store.experiment_id])
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sorted(run.data.params["number"] for run in runs) == ["0", "1", "2"]
    assert all(run.info.status == "FINISHED" for run in runs)
    assert all(len(store.client.get_metric_history(run.info.run_id, "value")) == 20 for run in runs)


def test_a_child_has_its_parent_and_its_tags(settings: Tracking) -> None:
    parent = tracking.start_run(settings, name="sweep", tags={})
    settings.parent = parent.id
    child = tracking.start_run(settings, name="job", tags={"colour": "red"})
    child.end("FAILED")

    found = child.store.client.get_run(child.id)
    assert found.data.tags["mlflow.parentRunId"] == parent.id
    assert found.data.tags["colour"] == "red"
    assert found.info.status == "FAILED"


def test_an_interrupted_run_is_resumed(settings: Tracking) -> None:
    first = tracking.start_run(settings, name="job", tags={})
    first.log_metrics({"loss": 1.0}, step=0)
    first.end("KILLED")

    second = tracking.start_run(settings, name="job", tags={}, resume_id=first.id)
    second.log_metrics({"loss": 0.5}, step=1)
    second.end("FINISHED")

    assert second.id == first.id
    assert [m.value for m in second.store.client.get_metric_history(first.id, "loss")] == [1.0, 0.5]


def test_a_resumed_run_keeps_its_parameters(settings: Tracking) -> None:
    first = tracking.start_run(settings, name="job", tags={})
    first.log_parameters({"data.root": "/here", "seed": 0})
    first.end("KILLED")

    second = tracking.start_run(settings, name="job", tags={}, resume_id=first.id)
    second.log_parameters({"data.root": "/there", "seed": 0, "hardware.threads": 2})
    second.end("FINISHED")

    found = second.store.client.get_run(first.id).data.params
    assert found == {"data.root": "/here", "seed": "0", "hardware.threads": "2"}


def test_labels_of_every_kind_name_metrics_and_parameters(settings: Tracking) -> None:
    run = tracking.start_run(settings, name="job", tags={})

    run.log_metrics({f"test/f1_{label}": 0.5 for label in ("children's voices", "dog (bark)", "a&b", "tür", "a//b")})
    run.log_parameters({"median_filter.dog (bark)": 7})
    run.end("FINISHED")

    found = run.store.client.get_run(run.id).data
    assert {name.partition(":")[0] for name in found.metrics} == {
        "test/f1_children_s voices",
        "test/f1_dog _bark_",
        "test/f1_a_b",
        "test/f1_tür",
        "test_f1_a__b",
    }
    assert [name.partition(":")[0] for name in found.params] == ["median_filter.dog _bark_"]


def test_a_missing_run_is_replaced_by_a_new_one(settings: Tracking) -> None:
    run = tracking.start_run(settings, name="job", tags={}, resume_id="0" * 32)

    assert run.id != "0" * 32


@pytest.mark.parametrize("answers", [False, True])
def test_a_server_that_does_not_answer_is_reported_in_seconds(
    answers: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking.servers, "SIGN_OF_LIFE", 0.5)
    monkeypatch.setattr(tracking.servers, "BUSY", 0.5)
    reason = r"a server accepts connections there and has not answered for \d s; restart it"
    if not answers:
        reason = r"no MLflow server answers there \(.*\); start it"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if answers:
            listener.listen()  # and is silent ever after
        uri = f"http://127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()

        with pytest.raises(UserError, match=rf"^tracking\.uri={uri}: {reason}"):
            tracking.open_store(Tracking(uri=uri, folder=str(tmp_path / "mlruns")))

    assert time.monotonic() - began < 30, "MLflow itself would try for minutes"
    assert not (tmp_path / "mlruns").exists()


def test_the_lock_and_the_artifacts_are_next_to_the_database(settings: Tracking, mlruns: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(mlruns / "mlflow.db", tmp_path / "elsewhere/runs.db")
    elsewhere = Tracking(uri=f"sqlite:///{tmp_path / 'elsewhere/runs.db'}", folder=str(tmp_path / "unused"))

    tracking.start_run(elsewhere, name="job", tags={}).log_text("hello", "note.txt")

    assert (tmp_path / "elsewhere/.runs.db.lock").exists()
    assert list((tmp_path / "elsewhere/artifacts").rglob("note.txt"))
    assert not (tmp_path / "unused").exists()


def test_a_file_that_is_not_a_database_is_rejected_in_one_line(settings: Tracking, tmp_path: Path) -> None:
    (tmp_path / "mlruns/mlflow.db").write_text("certainly not a database" * 100)

    with pytest.raises(UserError, match=r"mlruns/mlflow\.db: file is not a database; .* move the file away"):
        tracking.start_run(settings, name="job", tags={})


def test_an_error_of_the_store_does_not_hide_the_error_of_a_run(
    settings: Tracking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    run = tracking.start_run(settings, name="job", tags={})

    def full(*arguments: object, **more: object) -> None:
        raise MlflowException("(sqlite3.OperationalError) database or disk is full\n[SQL: ...]")

    monkeypatch.setattr(MlflowClient, "set_terminated", full)

    with pytest.raises(UserError, match=r"^the store of runs cannot be used: .* database or disk is full$"):
        run.end("FINISHED")
    run.give_up("FAILED")
    assert "cannot be marked as failed" in caplog.text


def test_a_failed_run_has_its_error_as_a_tag_until_it_is_resumed(settings: Tracking) -> None:
    run = tracking.start_run(settings, name="job", tags={})

    run.give_up("FAILED", "callbacks.mine: no space left")

    found = run.store.client.get_run(run.id)
    assert (found.info.status, found.data.tags["dcase_sweep.error"]) == ("FAILED", "callbacks.mine: no space left")
    tracking.start_run(settings, name="job", tags={}, resume_id=run.id)
    assert "dcase_sweep.error" not in run.store.client.get_run(run.id).data.tags


def test_the_configuration_overrides_the_environment(
    settings: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", elsewhere)

    assert tracking.resolve_uri(settings) == elsewhere
    assert tracking.resolve_uri(Tracking(uri="http://server:5000")) == "http://server:5000"


def test_artifacts_are_next_to_the_database(settings: Tracking, tmp_path: Path) -> None:
    run = tracking.start_run(settings, name="job", tags={})

    run.log_text("hello", "note.txt")

    found: list[Any] = list((tmp_path / "mlruns" / "artifacts").rglob("note.txt"))
    assert [path.read_text() for path in found] == ["hello"]


def test_two_processes_can_log_the_same_data_at_the_same_time() -> None:
    """MLflow checks for the data set and then creates it. The second process gets an error and must check again."""
    named: list[str] = []

    class Client:
        def log_inputs(self, run_id: str, datasets: list[Any]) -> None:
            named.append(datasets[0].dataset.name)
            if len(named) == 1:
                raise RuntimeError("(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.digest")

    client: Any = Client()
    tracking.Run(tracking.Store(client, "sqlite:///runs.db", "0"), "0", "job").log_data("demo", "abc", "/here")

    assert named == ["demo", "demo"]


def test_a_run_that_continues_another_ones_checkpoint_is_not_taken_for_a_finished_one(settings: Tracking) -> None:
    def finish(name: str, **tags: str) -> str:
        run = tracking.start_run(settings, name=name, tags={tracking.SIGNATURE: "s", **tags})
        run.end("FINISHED")
        return run.id

    whole = finish("whole")
    finish("continued", **{tracking.CONTINUED: "of other code"})

    found = tracking.find_finished(settings, "s")
    assert found is not None
    assert found.id == whole
