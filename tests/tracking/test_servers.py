"""Invalid addresses of stores are rejected in one line, and passwords work without being printed."""

import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dcase_sweep import tracking
from dcase_sweep.config import Tracking
from dcase_sweep.tracking import servers, stores
from dcase_sweep.tracking.servers import prepare_server
from dcase_sweep.utils.errors import UserError
from tests.integration.test_passwords import free_port

PASSWORD = "hun/ter2@home"


class Guarded(BaseHTTPRequestHandler):
    """Answers those who know the password."""

    def do_GET(self) -> None:
        wanted = f"Basic {b64encode(f'ann:{PASSWORD}'.encode()).decode()}"
        self.send_response(200 if self.headers.get("Authorization") == wanted else 401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "to be put back")
        monkeypatch.delenv(name)
    with ThreadingHTTPServer(("127.0.0.1", 0), Guarded) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("written", [PASSWORD, "hun%2Fter2%40home"])
def test_the_password_of_an_address_is_used_and_removed_from_it(server: str, written: str) -> None:
    import os

    assert prepare_server(f"http://ann:{written}@{server}") == f"http://{server}"
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "ann"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == PASSWORD


def test_the_password_of_the_environment_is_used(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)

    assert prepare_server(f"http://{server}") == f"http://{server}"


def test_a_wrong_password_is_reported_without_printing_it(server: str) -> None:
    with pytest.raises(UserError, match=rf"^tracking\.uri=http://ann:\*\*\*@{server}: the server refuses .* \(401\)"):
        prepare_server(f"http://ann:wrong@{server}")


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("postgresql://ann:hunter2@host/db", "its driver is not installed: expected the Python package psycopg"),
        (
            "postgresql+psycopg2://ann:hunter2@host/db",
            "its driver is not installed: expected the Python package psycopg2",
        ),
        ("mysql://ann:hunter2@host/db", "its driver is not installed: expected the Python package MySQLdb"),
        ("mysql+pymysql://ann:hunter2@host/db", "its driver is not installed: expected the Python package pymysql"),
        ("mssql+pyodbc://ann:hunter2@host/db", "its driver is not installed: expected the Python package pyodbc"),
        (
            "mssql+pyodbc:///?odbc_connect=PWD%3Dhunter2",
            "its driver is not installed: expected the Python package pyodbc",
        ),
        ("postgresql+nonsense://ann:hunter2@host/db", "SQLAlchemy has no such driver; expected sqlite:///FILE"),
        ("postgresql://ann:hunter2@host:port/db", "not an address of a database"),
        ("oracle://ann:hunter2@host/db", "MLflow has no store of the kind 'oracle'"),
        ("nonsense://ann:hunter2@host", "MLflow has no store of the kind 'nonsense'"),
        ("s3://bucket/x?token=hunter2", "MLflow has no store of the kind 's3'"),
        ("http://ann:hunter2@", "not a web address; expected http://HOST:PORT"),
        ("http://ann:hunter2@host:port", "not a web address; expected http://HOST:PORT"),
        ("http://ann:hunter2@127.0.0.1:9", "no MLflow server answers there"),
        ("http://ann:***@127.0.0.1:9", "the password was replaced by \\*\\*\\*"),
        ("postgresql://h/db?password=***", "the password was replaced by \\*\\*\\*"),
        ("file:///tmp/runs", "a folder of files, which MLflow no longer supports; expected sqlite:///FILE"),
        ("mlruns", "a folder of files, which MLflow no longer supports; expected sqlite:///FILE"),
        ("sqlite://", "no file; expected sqlite:///FILE"),
        ("sqlite:///:memory:", "no file; expected sqlite:///FILE"),
        ("sqlite:/mlflow.db", "no file; expected sqlite:///FILE"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line(uri: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "to be put back")
    for driver in ("psycopg", "pymysql"):
        monkeypatch.setitem(sys.modules, driver, None)

    with pytest.raises(UserError, match=rf"^tracking\.uri=.*{says}") as raised:
        tracking.open_store(Tracking(uri=uri))

    assert "\n" not in str(raised.value)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(("parent", "has_answered"), [("1" * 32, False), (None, True)])
def test_a_later_run_waits_for_its_server_before_it_begins(
    parent: str | None, has_answered: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A run of a sweep, whose command has reached the server, or another run of a process that has."""
    address = f"http://127.0.0.1:{free_port()}"
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:  # now it answers
            monkeypatch.setattr(servers, "_ask", lambda *_: None)

    monkeypatch.setattr(stores, "_stores", {(address, "dcase_sweep"): None} if has_answered else {})
    monkeypatch.setattr(servers.time, "sleep", wait)

    tracking.check_store(Tracking(uri=address, parent=parent))

    assert waited == [0.5, 1.0]
    assert caplog.messages == [
        "tracking  waiting up to 600 s (tracking.start_timeout) to begin a run: "
        f"tracking.uri={address}: no MLflow server answers there (Connection refused); start it, correct "
        "the address, or choose tracking=local"
    ]


def test_the_first_run_of_a_command_does_not_wait_for_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_stores", {})
    monkeypatch.setattr(servers.time, "sleep", pytest.fail)

    with pytest.raises(UserError, match="no MLflow server answers there"):
        tracking.check_store(Tracking(uri=f"http://127.0.0.1:{free_port()}"))
