"""Runs on an MLflow server that is away, hangs, or is slow, at any moment."""

import os
import re
import shlex
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.conftest import DRAWN, CommandLine
from tests.engines.gate import Gate, gate_before
from tests.engines.mlflow_server import start_mlflow
from tests.integration.test_interruption import wait_for_checkpoint

EPOCHS = 12


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[int]:
    with start_mlflow(database, tmp_path_factory.mktemp("server")) as port:
        yield port


@pytest.fixture
def gate(port: int) -> Iterator[Gate]:
    with gate_before(port) as gate:
        yield gate


@pytest.fixture
def client(port: int) -> MlflowClient:
    return MlflowClient(f"http://127.0.0.1:{port}")


def newest(client: MlflowClient) -> Run:
    experiment = client.get_experiment_by_name("dcase_sweep")
    assert experiment is not None
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])[0]


def check_whole(client: MlflowClient, run: Run, epochs: int) -> None:
    """The run has finished, with each metric of each epoch once, and its files."""
    assert run.info.status == "FINISHED"
    for name in ("train/loss", "validation/loss", "speed/clips_per_second"):
        steps = Counter(metric.step for metric in client.get_metric_history(run.info.run_id, name))
        assert steps == dict.fromkeys(range(epochs), 1), name
    for name in ("best/epoch", "test/accuracy"):
        assert len(client.get_metric_history(run.info.run_id, name)) == 1
    assert run.data.params["model"]
    files = {
        each.path for folder in ("", "checkpoints", "model") for each in client.list_artifacts(run.info.run_id, folder)
    }
    assert {"config.yaml", "metrics.json", "training.png", "checkpoints/best.ckpt", "model/MLmodel"} <= files


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_outage_during_epochs_holds_nothing_up(
    gate: Gate, client: MlflowClient, command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    known = set(command_line.folder.rglob("last.ckpt"))
    process = command_line.start(*tiny(f"tracking.uri={gate.url}", DRAWN, f"training.epochs={EPOCHS}"))
    wait_for_checkpoint(command_line.folder, known)
    gate.close()
    wait_for(lambda: list(command_line.folder.rglob("mlflow_unsent")))
    time.sleep(1)
    gate.open()

    output, _ = process.communicate(timeout=240)

    assert process.returncode == 0, output
    assert "View run" not in output  # MLflow's own words
    check_whole(client, newest(client), EPOCHS)
    assert not list(command_line.folder.rglob("mlflow_unsent"))


@pytest.mark.parametrize("how", ["close", pytest.param("hang", marks=pytest.mark.minutes)])
def test_a_run_that_ends_without_its_server_is_sent_by_a_command(
    how: str, gate: Gate, client: MlflowClient, command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    known = set(command_line.folder.rglob("last.ckpt"))
    process = command_line.start(
        *tiny(
            f"tracking.uri={gate.url}",
            DRAWN,
            f"training.epochs={EPOCHS}",
            "tracking.timeout=2",
            "training.batch_size=4",
        )
    )
    wait_for_checkpoint(command_line.folder, known)
    getattr(gate, how)()
    began = time.monotonic()

    output, _ = process.communicate(timeout=240)

    assert process.returncode == 0, output
    assert time.monotonic() - began < 60
    assert "Traceback" not in output
    found = re.search(r"tracking  \d+ records of this run not sent .*: python -m dcase_sweep (send .*)", output)
    assert found, output
    assert newest(client).info.status == "RUNNING"
    gate.open()
    assert re.search(r"tracking  \d+ records of .* sent to", command_line(*shlex.split(found[1])))
    check_whole(client, newest(client), EPOCHS)
    assert not list(command_line.folder.rglob("mlflow_unsent"))


def test_a_run_that_was_killed_during_an_outage_is_resumed_with_every_metric_once(
    gate: Gate, client: MlflowClient, command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    known = set(command_line.folder.rglob("last.ckpt"))
    words = tiny(f"tracking.uri={gate.url}", DRAWN, "training.epochs=80", "tracking.timeout=1")
    process = command_line.start(*words)
    wait_for_checkpoint(command_line.folder, known)
    gate.close()
    wait_for(lambda: list(command_line.folder.rglob("mlflow_unsent")))
    os.kill(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 143, output
    gate.open()
    found = re.search(r"to continue: python -m dcase_sweep (.*)", output)
    assert found, output

    assert "records of" in command_line(*shlex.split(found[1]))

    check_whole(client, newest(client), 80)
    assert not list(command_line.folder.rglob("mlflow_unsent"))


@pytest.mark.minutes
def test_a_slow_server_is_a_server(
    gate: Gate, client: MlflowClient, command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    gate.delay = 6
    process = command_line.start(*tiny(f"tracking.uri={gate.url}", DRAWN, "training.epochs=1"))
    time.sleep(15)
    gate.delay = 0

    output, _ = process.communicate(timeout=240)

    assert process.returncode == 0, output
    assert f"{gate.url} is slow to answer; waiting up to 60 s" in output
    check_whole(client, newest(client), 1)
