"""A password in the address of a server works and is never written, whatever happens to the run."""

import os
import re
import shlex
import signal
import socket
import threading
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests.conftest import CommandLine, copy_database
from tests.integration.test_interruption import wait_for_checkpoint
from tests.warm import WarmServer

ROOT = Path(__file__).resolve().parents[2]

#: With what ends a password for those who read an address carelessly.
PASSWORD = "hunter2@home/x"
WRITTEN = "hunter2@home%2Fx"


class Guard(BaseHTTPRequestHandler):
    """Hands on to a server what comes with the password."""

    backend: ClassVar[int]

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Basic {b64encode(f'ann:{PASSWORD}'.encode()).decode()}":
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        connection = HTTPConnection("127.0.0.1", self.backend, timeout=60)
        kept = {name: self.headers[name] for name in ("Content-Type", "Accept") if name in self.headers}
        connection.request(self.command, self.path, body, kept)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _hand_on

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, database: Path, warm: WarmServer) -> Iterator[tuple[int, Path]]:
    """The port of an MLflow server behind a password, and the folder that it writes to."""
    folder = copy_database(database, tmp_path_factory.mktemp("server") / "runs")
    Guard.backend = port = free_port()
    with ThreadingHTTPServer(("127.0.0.1", 0), Guard) as guard:
        process = warm.start(
            [str(port), str(folder)],
            folder=folder.parent,
            environment={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            script=str(ROOT / "tests/mlflow_application.py"),
        )
        thread = threading.Thread(target=guard.serve_forever)
        thread.start()
        try:
            _wait_for(port)
            yield guard.server_port, folder
        finally:
            guard.shutdown()
            thread.join()
            process.kill()
            process.communicate(timeout=60)


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server did not begin")


def test_a_password_works_and_is_written_nowhere(
    server: tuple[int, Path], command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    port, folder = server
    uri = f"tracking.uri='http://ann:{WRITTEN}@127.0.0.1:{port}'"

    process = command_line.start(*tiny(uri, "training.epochs=32"))
    wait_for_checkpoint(command_line.folder, set())
    os.kill(process.pid, signal.SIGTERM)
    interrupted, _ = process.communicate(timeout=120)
    found = re.search(r"to continue: python -m dcase_sweep (.*)", interrupted)
    assert found, interrupted
    shown = shlex.split(found[1])
    refused = command_line(*shown, code=1)
    typed = [uri if word.startswith("tracking.uri") else word for word in shown]
    finished = command_line(*typed)
    grid = command_line("-m", *tiny(uri, "training.epochs=1", "seed=1,2"))
    config = command_line("--cfg", "job", *tiny(uri))
    wrong = command_line(*tiny(uri.replace("hunter2", "hunter2x")), code=1)
    runs = command_line("runs", uri.replace("'", ""))

    assert "the password was replaced by" in refused
    assert "the server refuses this user or password (401)" in wrong
    assert f"open      open http://127.0.0.1:{port}" in finished
    assert runs.count("finished") == 4
    outputs = "".join([interrupted, refused, finished, grid, config, wrong, runs])
    assert f"http://ann:***@127.0.0.1:{port}" in outputs
    written = {path: path.read_bytes() for top in (command_line.folder, folder) for path in files_under(top)}
    assert any(path.name == "last.ckpt" for path in written)
    assert any(path.name == "hydra.yaml" for path in written)
    assert any(path.name == "multirun.yaml" for path in written)
    assert any(path.name == "config.yaml" and folder in path.parents for path in written)  # an artifact
    holding = [path for path, content in written.items() if b"hunter2" in content]
    assert holding == []
    assert "hunter2" not in outputs


def files_under(top: Path) -> list[Path]:
    return [path for path in top.rglob("*") if path.is_file()]
