"""Runs on a server that is away, hangs, or refuses something."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST

from dcase_sweep.tracking.delivery import send_unsent
from dcase_sweep.tracking.spool import UNSENT, find_unsent
from dcase_sweep.tracking.spooled_run import SpooledRun
from dcase_sweep.tracking.stores import Store
from dcase_sweep.utils import leases
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text

RUN, OTHER = "0" * 32, "1" * 32


class Server:
    """What MLflow's client does, with a server that can be away for records, for files, or hang."""

    def __init__(self) -> None:
        self.records_away = self.files_away = False
        self.hangs = threading.Event()
        self.hangs.set()
        self.metrics: list[tuple[str, float, int]] = []
        self.tags: dict[str, dict[str, str]] = {}
        self.parameters: dict[str, str] = {}
        self.files: dict[str, str] = {}
        self.status: list[str] = []
        self.data: list[str] = []
        self.calls = 0

    def _answer(self, *, away: bool) -> None:
        self.calls += 1
        self.hangs.wait(20)
        if away:
            raise MlflowException("API request to http://server:5000/api/2.0 failed with exception Connection refused")

    def log_batch(self, run: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        self._answer(away=self.records_away)
        if any(each.key == "bad" for each in metrics):
            raise MlflowException("not a name of a metric", error_code=INVALID_PARAMETER_VALUE)
        if run not in (RUN, OTHER):
            raise MlflowException(f"Run with id={run} not found", error_code=RESOURCE_DOES_NOT_EXIST)
        self.metrics += [(each.key, each.value, each.step) for each in metrics]
        self.parameters |= {each.key: each.value for each in params}
        self.tags.setdefault(run, {}).update({each.key: each.value for each in tags})

    def log_inputs(self, run: str, inputs: Any) -> None:
        self._answer(away=self.records_away)
        self.data += [each.dataset.name for each in inputs]

    def log_artifact(self, run: str, path: str, folder: str | None = None) -> None:
        self._answer(away=self.files_away)
        self.files["/".join(filter(None, (folder, Path(path).name)))] = Path(path).read_text()

    def set_terminated(self, run: str, status: str, end_time: int | None = None) -> None:
        self._answer(away=self.records_away)
        self.status.append(status)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.hangs.set()


@pytest.fixture
def make_run(server: Server, tmp_path: Path) -> Callable[..., SpooledRun]:
    def make(timeout: float = 0.3) -> SpooledRun:
        store = Store(server, "http://server:5000", "1")  # type: ignore[arg-type]
        return SpooledRun(store, RUN, "job", folder=tmp_path / "run", timeout=timeout)

    return make


def log_everything(run: SpooledRun, folder: Path) -> None:
    """What a run of two epochs logs."""
    run.log_parameters({"model": "cnn4"}, {"a": "b"})
    run.log_data("tau", "abc", "/data")
    for epoch in range(2):
        run.log_metrics({"train/loss": 1.0 / (epoch + 1)}, epoch)
        run.flush()
    run.log_text("hello", "texts/note.txt")
    (folder / "best.ckpt").write_text("weights")
    run.log_file(folder / "best.ckpt", "checkpoints")
    write_text(folder / "best.ckpt", "others, written later")
    run.tag_other(OTHER, {"best": "true"})


def check_everything(server: Server) -> None:
    assert server.metrics == [("train/loss", 1.0, 0), ("train/loss", 0.5, 1)]
    assert server.parameters == {"model": "cnn4"}
    assert server.tags == {RUN: {"a": "b"}, OTHER: {"best": "true"}}
    assert server.data == ["tau"]
    assert server.files["texts/note.txt"] == "hello"
    assert server.files["checkpoints/best.ckpt"] == "weights"
    assert server.status == ["FINISHED"]


def test_everything_is_sent_and_nothing_stays_on_the_disk(
    server: Server, make_run: Callable[..., SpooledRun], tmp_path: Path
) -> None:
    run = make_run(timeout=20)

    log_everything(run, tmp_path)
    assert run.logged_metrics() == {"train/loss": 0.5}
    run.end("FINISHED")

    check_everything(server)
    assert not (tmp_path / "run" / UNSENT).exists()


@pytest.mark.parametrize("what", ["records", "files", "both"])
def test_what_is_logged_during_an_outage_follows_by_itself(
    what: str, server: Server, make_run: Callable[..., SpooledRun], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.records_away, server.files_away = what != "files", what != "records"
    run = make_run(timeout=20)
    began = time.monotonic()
    with caplog.at_level("INFO"):
        log_everything(run, tmp_path)
        assert time.monotonic() - began < 15, "logging has waited for the server"
        again = threading.Timer(
            1, lambda: (setattr(server, "records_away", False), setattr(server, "files_away", False))
        )
        again.start()

        run.end("FINISHED")

    check_everything(server)
    assert not (tmp_path / "run" / UNSENT).exists()
    assert caplog.text.count("does not answer") == 1
    assert caplog.text.count("answers again, and has everything") == 1


@pytest.mark.parametrize("outage", ["away", "hangs"])
def test_a_run_ends_without_its_server_and_the_records_are_sent_later(
    outage: str, server: Server, make_run: Callable[..., SpooledRun], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.records_away = server.files_away = outage == "away"
    if outage == "hangs":
        server.hangs.clear()
    run = make_run(timeout=0.5)
    log_everything(run, tmp_path)
    began = time.monotonic()

    run.end("FINISHED")

    assert 0.4 < time.monotonic() - began < 20
    assert "records of this run not sent to http://server:5000" in caplog.text
    assert "python -m dcase_sweep send" in caplog.text
    assert "tracking.uri=http://server:5000" in caplog.text
    found = Server()  # what a later process finds
    with caplog.at_level("INFO"):
        leases.release(tmp_path / "run" / UNSENT / "entries.jsonl")
        store = Store(found, "http://server:5000", "1")  # type: ignore[arg-type]
        assert send_unsent(store, tmp_path) >= 8
    check_everything(found)
    assert find_unsent(tmp_path) == []


def test_a_server_that_is_still_away_keeps_the_records(
    server: Server, make_run: Callable[..., SpooledRun], tmp_path: Path
) -> None:
    server.records_away = server.files_away = True
    run = make_run(timeout=0)
    log_everything(run, tmp_path)
    run.end("FINISHED")
    leases.release(tmp_path / "run" / UNSENT / "entries.jsonl")

    with pytest.raises(UserError, match="the store of runs cannot be used"):
        send_unsent(run.store, tmp_path)
    with pytest.raises(
        UserError, match=r"records for http://server:5000, not for http://other; expected tracking.uri="
    ):
        send_unsent(Store(server, "http://other", "1"), tmp_path)  # type: ignore[arg-type]

    assert find_unsent(tmp_path) == [tmp_path / "run"]


def test_what_a_server_refuses_is_reported_and_the_rest_is_sent(
    server: Server, make_run: Callable[..., SpooledRun], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run(timeout=20)

    server.hangs.clear()  # so that more than one batch is sent in one call
    run.tag_other("2" * 32, {"a": "b"})
    run.log_metrics({"bad": 1.0})
    run.flush()
    log_everything(run, tmp_path)
    server.hangs.set()
    run.end("FINISHED")

    check_everything(server)
    assert f"does not take a batch of run {RUN}: not a name of a metric" in caplog.text
    assert f"http://server:5000 does not take a batch of run {'2' * 32}: Run with id=" in caplog.text
    assert "RESOURCE" not in caplog.text


def test_no_heartbeats_are_kept_for_later(
    server: Server, make_run: Callable[..., SpooledRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dcase_sweep.tracking.run._BEAT", -1.0)
    server.records_away = True
    run = make_run(timeout=20)
    run.beat()
    deadline = time.monotonic() + 20
    while not run._outbox.is_waiting and time.monotonic() < deadline:
        time.sleep(0.01)

    for _ in range(100):
        run.beat()

    server.records_away = False
    run.end("KILLED")
    assert len(server.tags[RUN]) == 1
    assert server.calls < 20
