"""An MLflow server of a test, on a free port of this machine."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import copy_database
from tests.integration.test_passwords import free_port


@contextmanager
def start_mlflow(
    database: Path, folder: Path, *, artifacts: str | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Start a server with a copy of an empty database, and stop it afterwards; yields its port.

    Args:
        database: an empty database of runs.
        folder: for its files.
        artifacts: where it puts artifacts; None = in the folder.
        environment: further variables.
    """
    place = copy_database(database, folder / "runs")
    port = free_port()
    words = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = [
        "--backend-store-uri",
        f"sqlite:///{place / 'mlflow.db'}",
        "--artifacts-destination",
        artifacts or str(place),
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    with (folder / "server.log").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words, *store],
            cwd=folder,
            env={**kept, "MLFLOW_DISABLE_TELEMETRY": "true", **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(port, process)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the MLflow server did not start")
