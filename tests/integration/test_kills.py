"""SIGKILL and a lost terminal: nothing is logged twice, left open or damaged."""

import os
import pty
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import TINY, CommandLine
from tests.desed_layout import make_desed
from tests.integration.test_experiment import client, run_folder
from tests.integration.test_interruption import wait_for_checkpoint
from tests.integration.test_mean_teacher import SMALL
from tests.layout import make_tau

#: So many that the first one is noticed before the last one ends; those of events take longer.
EPOCHS = {"scenes": 24, "keras": 24, "events": 10}


def overrides(folder: Path, what: str) -> list[str]:
    """A training of a second or two, of either task and framework."""
    if what == "events":
        if not (folder / "desed").is_dir():
            make_desed(folder / "desed")
        return ["data=desed", f"data.root={folder / 'desed'}", *SMALL, f"training.epochs={EPOCHS[what]}"]
    if not (folder / "tau").is_dir():
        make_tau(folder / "tau")
    framework = ["framework=tensorflow"] if what == "keras" else []
    return ["data=tau2020", f"data.root={folder / 'tau'}", *TINY, f"training.epochs={EPOCHS[what]}", *framework]


def kill_when_it_trains(command_line: CommandLine, *words: str) -> Path:
    """Start a command and kill it after its first epoch; returns its run's folder."""
    known = set(command_line.folder.rglob("last.ckpt"))
    process = command_line.start(*words)
    wait_for_checkpoint(command_line.folder, known)
    process.kill()
    process.communicate(timeout=60)
    (last,) = set(command_line.folder.rglob("last.ckpt")) - known
    return last.parent.parent


def steps_of(store: Any, run_id: str) -> dict[str, list[int]]:
    """The steps of each metric of a run, with repetitions."""
    names = store.get_run(run_id).data.metrics
    return {name: [metric.step for metric in store.get_metric_history(run_id, name)] for name in names}


@pytest.mark.parametrize("what", ["scenes", "keras", "events"])
def test_every_epoch_is_logged_once_however_often_it_is_killed(command_line: CommandLine, what: str) -> None:
    if what == "keras":
        pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    words = overrides(command_line.folder, what)
    killed = kill_when_it_trains(command_line, *words)
    run_id = torch.load(killed / "checkpoints/last.ckpt", weights_only=True)["dcase_sweep"]["run_id"]

    output = command_line(*words, f"resume={killed}")

    store, _ = client(command_line.folder)
    assert f"closed 1 run whose process had ended: {run_id}" in output
    assert run_id in output.splitlines()[-2]  # the same run
    steps = steps_of(store, run_id)
    for name in ("train/loss", "validation/loss", "speed/clips_per_second"):
        if name in steps:
            assert sorted(steps[name]) == list(range(EPOCHS[what])), name
    assert sorted(steps["train/loss"]) == list(range(EPOCHS[what]))
    assert all(len(set(each)) == len(each) for each in steps.values())


def test_a_run_in_a_checkpoint_that_is_another_experiments_is_left_alone(command_line: CommandLine) -> None:
    words = overrides(command_line.folder, "scenes")
    stranger = run_folder(command_line(*words, "tracking.experiment=others", "training.epochs=1"), command_line.folder)
    taken = torch.load(stranger / "checkpoints/last.ckpt", weights_only=True)["dcase_sweep"]["run_id"]
    store, _ = client(command_line.folder)
    before = store.get_run(taken).to_dictionary()  # type: ignore[attr-defined]
    killed = kill_when_it_trains(command_line, *words)
    content = torch.load(killed / "checkpoints/last.ckpt", weights_only=True)
    content["dcase_sweep"]["run_id"] = taken
    torch.save(content, killed / "checkpoints/last.ckpt")

    output = command_line(*words, f"resume={killed}")

    assert f"run       {taken} belongs to another experiment: a new run is created" in output.splitlines()
    assert store.get_run(taken).to_dictionary() == before  # type: ignore[attr-defined]
    found = re.search(r"^run .* · (\w{32}) · ", output, re.MULTILINE)
    assert found
    assert sorted(steps_of(store, found[1])["train/loss"]) == list(range(EPOCHS["scenes"]))  # those before the kill too


def test_a_killed_grid_is_closed_by_the_next_command(command_line: CommandLine) -> None:
    words = overrides(command_line.folder, "scenes")
    kill_when_it_trains(command_line, "-m", *words, "seed=1,2")
    store, experiment = client(command_line.folder)
    left = store.search_runs([experiment], "attributes.status = 'RUNNING'")  # type: ignore[attr-defined]
    assert len(left) == 2

    output = command_line("runs")

    assert "closed 2 runs whose process had ended" in output
    assert not store.search_runs([experiment], "attributes.status = 'RUNNING'")  # type: ignore[attr-defined]
    assert "no dead runs; 0 running" in command_line("runs", "--close-dead")
    assert "…" not in command_line("runs")  # a pipe gets whole names


def test_a_lost_terminal_ends_a_run_like_sigterm(command_line: CommandLine) -> None:
    """Like a broken ssh session: the terminal is closed, output fails, and SIGHUP is sent."""
    words = overrides(command_line.folder, "scenes")
    known = set(command_line.folder.rglob("last.ckpt"))
    terminal, other_end = pty.openpty()
    process = command_line.start(*words, "training.epochs=400", terminal=os.ttyname(other_end))
    os.set_blocking(terminal, False)
    deadline = time.monotonic() + 120
    while not set(command_line.folder.rglob("last.ckpt")) - known:
        assert time.monotonic() < deadline
        assert process.poll() is None
        try:
            os.read(terminal, 100_000)
        except BlockingIOError:
            time.sleep(0.02)

    os.close(terminal)
    os.close(other_end)

    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGHUP
    (last,) = set(command_line.folder.rglob("last.ckpt")) - known
    run_id = torch.load(last, weights_only=True)["dcase_sweep"]["run_id"]
    store, _ = client(command_line.folder)
    assert store.get_run(run_id).info.status == "KILLED"  # type: ignore[attr-defined]


def test_nohup_keeps_a_run_going(command_line: CommandLine) -> None:
    words = overrides(command_line.folder, "scenes")
    known = set(command_line.folder.rglob("last.ckpt"))
    process = command_line.start(*words, ignored=[signal.SIGHUP])  # all that nohup does
    wait_for_checkpoint(command_line.folder, known)

    os.kill(process.pid, signal.SIGHUP)

    process.communicate(timeout=120)
    assert process.returncode == 0


def test_a_project_that_was_moved_goes_on_in_the_new_place(command_line: CommandLine, tmp_path: Path) -> None:
    words = overrides(command_line.folder, "scenes")
    killed = kill_when_it_trains(command_line, *words)
    for name in ("mlruns", "outputs", "tau", "cache"):
        shutil.copytree(command_line.folder / name, tmp_path / name)
    old = sorted(path for path in (command_line.folder / "mlruns").rglob("*") if path.is_file())
    moved = CommandLine(tmp_path, command_line.warm)
    resume = killed.relative_to(command_line.folder)

    output = moved(*overrides(tmp_path, "scenes"), f"resume={resume}")

    assert "was moved from" in output
    found = re.search(r"^run .* · (\w{32}) · ", output, re.MULTILINE)
    assert found
    assert (tmp_path / "mlruns/artifacts" / found[1] / "artifacts/checkpoints/best.ckpt").is_file()
    assert sorted(path for path in (command_line.folder / "mlruns").rglob("*") if path.is_file()) == old
