"""An object store holds the artifacts of runs: S3 by moto, behind an MLflow server."""

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import DRAWN, CommandLine
from tests.engines.mlflow_server import start_mlflow
from tests.integration.test_passwords import free_port

BUCKET = "runs"


@dataclass(frozen=True)
class ObjectStore:
    """An MLflow server with a bucket for its artifacts."""

    uri: str
    endpoint: str

    def names(self) -> set[str]:
        """The names of all objects, without the folders of the experiment and the run."""
        import boto3

        client = boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1", **KEYS)
        found = client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {each["Key"].partition("/artifacts/")[2] for each in found}


KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[ObjectStore]:
    pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]' boto3")
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed: pip install boto3")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    moto = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "moto did not start"
                time.sleep(0.1)
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **KEYS).create_bucket(Bucket=BUCKET)
        environment = {"MLFLOW_S3_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
        environment |= {name.upper(): value for name, value in KEYS.items()}
        folder = tmp_path_factory.mktemp("server")
        with start_mlflow(database, folder, artifacts=f"s3://{BUCKET}", environment=environment) as server:
            yield ObjectStore(f"http://127.0.0.1:{server}", endpoint)
    finally:
        moto.kill()
        moto.wait()


@pytest.mark.minutes
def test_a_run_writes_to_an_object_store_and_is_used_from_there(
    store: ObjectStore, command_line: CommandLine, tiny: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"tracking.uri={store.uri}"

    output = command_line(*tiny(uri, DRAWN, "training.epochs=2"))

    assert {"checkpoints/best.ckpt", "model/MLmodel", "model/data/best.ckpt", "training.png", "metrics.json"} <= (
        store.names()
    )
    (run_id,) = set(re.findall(r"runs/([0-9a-f]{32})", output))
    (folder,) = command_line.folder.glob("outputs/*/*")
    folder.rename(folder.with_name("away"))  # nothing is read from there
    recording = next((command_line.folder / "tau").rglob("*.wav"))
    assert recording.name in command_line("predict", run_id, str(recording), uri)
    from dcase_sweep import load_run

    monkeypatch.chdir(command_line.folder)
    assert load_run(run_id, tracking_uri=store.uri).classes
    assert "cnn" in command_line("compare", uri)
