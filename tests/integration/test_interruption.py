"""Ctrl-C and SIGTERM: status of the run, the last checkpoint, and identical results after resumption."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CommandLine
from tests.integration.test_experiment import client, run_folder

EPOCHS = ("training.epochs=32", "augmentation.roll=0.3")


def wait_for_checkpoint(folder: Path, known: set[Path]) -> None:
    """Wait until a training has finished an epoch."""
    deadline = time.monotonic() + 180
    while not set(folder.rglob("last.ckpt")) - known:
        assert time.monotonic() < deadline, "no checkpoint within three minutes"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def whole(command_line: CommandLine, tiny: Callable[..., list[str]]) -> Path:
    """The folder of a run that nothing interrupted."""
    return run_folder(command_line(*tiny(*EPOCHS)), command_line.folder)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_and_resumed_equals_uninterrupted(
    whole: Path, command_line: CommandLine, tiny: Callable[..., list[str]], number: signal.Signals, code: int
) -> None:
    known = set(command_line.folder.rglob("last.ckpt"))

    process = command_line.start(*tiny(*EPOCHS))
    wait_for_checkpoint(command_line.folder, known)
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=60)

    assert process.returncode == code, output
    store, experiment = client(command_line.folder)
    (killed,) = store.search_runs([experiment], "attributes.status = 'KILLED'")  # type: ignore[attr-defined]
    command = re.search(r"to continue: python -m dcase_sweep (.*)", output)
    assert command, output
    assert "Traceback" not in output

    resumed = run_folder(command_line(*command[1].replace("'", "").split()), command_line.folder)

    assert (resumed / "scores.csv").read_text() == (whole / "scores.csv").read_text()
    assert store.get_run(killed.info.run_id).info.status == "FINISHED"  # type: ignore[attr-defined]
    history = store.get_metric_history(killed.info.run_id, "train/loss")  # type: ignore[attr-defined]
    assert {metric.step for metric in history} == set(range(32))


def test_a_folder_alone_is_continued(whole: Path, command_line: CommandLine, tiny: Callable[..., list[str]]) -> None:
    places = [word for word in tiny() if word.startswith(("data.root=", "tracking.", "store."))]

    output = command_line(f"resume={whole}", *places)

    assert "has finished" in output
    assert (run_folder(output, command_line.folder) / "scores.csv").read_text() == (whole / "scores.csv").read_text()


def test_checkpoints_that_cannot_be_resumed_are_rejected(
    whole: Path, command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    other = command_line(*tiny(*EPOCHS, "optimizer.lr=0.01", f"resume={whole}"), code=1)
    best = command_line(*tiny(*EPOCHS, f"resume={whole}/checkpoints/best.ckpt"), code=1)

    assert "made by another configuration (optimizer.lr was 0.001, is 0.01)" in other
    assert "not a checkpoint to continue from" in best
