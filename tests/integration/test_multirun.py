"""Sweeps: one command, many jobs, one table."""

import os
import shlex
import signal
from collections.abc import Callable

from tests.conftest import CommandLine
from tests.integration.test_experiment import client
from tests.integration.test_interruption import wait_for_checkpoint

SMALL = ("model.blocks.1.pool=[5,5]", "training.epochs=1")


def test_jobs_are_children_of_one_run_and_compared(command_line: CommandLine, tiny: Callable[..., list[str]]) -> None:
    output = command_line("-m", *tiny("model.units=8,16", "seed=0,1", "training.epochs=1"))

    lines = output.splitlines()
    header = next(index for index, line in enumerate(lines) if line.split()[:3] == ["model.units", "seeds", "accuracy"])
    assert [line.split()[:2] for line in lines[header + 2 : header + 4]] == [["8", "2"], ["16", "2"]]
    store, experiment = client(command_line.folder)
    runs = store.search_runs([experiment])  # type: ignore[attr-defined]
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == 4
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {item.path for item in store.list_artifacts(parent.info.run_id)} == {  # type: ignore[attr-defined]
        "comparison-figure.png",
        "comparison.csv",
        "comparison.txt",
    }


def test_front_ends_are_swept_over(command_line: CommandLine, tiny: Callable[..., list[str]]) -> None:
    store = f"store.root={command_line.folder / 'new_features'}"
    output = command_line("-m", *tiny("front_end=log_mel,mfcc", "training.epochs=1", store))

    lines = output.splitlines()
    header = next(index for index, line in enumerate(lines) if line.split()[:2] == ["front_end", "accuracy"])
    assert {line.split()[0] for line in lines[header + 2 : header + 4]} == {"log_mel", "mfcc"}
    assert output.count("48 clips in") == 2  # each has features of its own


def test_a_job_that_fails_does_not_stop_the_others(command_line: CommandLine, tiny: Callable[..., list[str]]) -> None:
    root = command_line.folder / "tau"
    output = command_line("-m", *tiny("training.epochs=1", f"data.root={root},/nowhere", "seed=5"), code=1)

    assert "error: data.root=/nowhere: no such folder" in output
    assert "1 of 2 jobs finished" in output
    assert "failed: " in output.splitlines()[-1]
    store, experiment = client(command_line.folder)
    failed = store.search_runs([experiment], "attributes.status = 'FAILED'")  # type: ignore[attr-defined]
    assert any("mlflow.parentRunId" in run.data.tags for run in failed)


def test_an_impossible_job_is_rejected_before_the_first_starts(
    command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    output = command_line("-m", *tiny("model.units=8,0"), code=1)

    assert "model.units=0: expected at least 1" in output
    assert "features" not in output


def test_a_sweep_is_continued_without_what_has_finished(
    command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    """A job of another configuration is run; so is one of other recordings."""
    arguments = tiny("training.epochs=1", "model.units=11", "hydra.sweeper.skip_finished=true")
    command_line("-m", *arguments, "seed=0")

    output = command_line("-m", *arguments, "seed=0,1")

    assert "skipped   " in output
    assert output.count("Acoustic scene classification") == 1
    assert "2 of 2 jobs finished" in output
    header = next(line for line in output.splitlines() if line.startswith("seeds"))
    assert header.split()[:3] == ["seeds", "accuracy", "%"]


def test_an_interrupted_sweep_is_continued_by_its_folder(
    command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    """A finished job is skipped, and the other one goes on from its last epoch, in its run and in its folder."""
    known = set(command_line.folder.rglob("last.ckpt"))
    process = command_line.start("-m", *tiny("model.units=12", "training.epochs=1,60"))
    wait_for_checkpoint(command_line.folder, known)
    known |= set(command_line.folder.rglob("0/**/last.ckpt"))
    wait_for_checkpoint(command_line.folder, known)
    (last,) = set(command_line.folder.rglob("last.ckpt")) - known

    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)

    assert process.returncode == 130, output
    rows = [line.split() for line in output.splitlines() if line.endswith("of 1")]
    assert [(row[0], row[-3]) for row in rows] == [("1", "1"), ("60", "0")]
    assert "sweep     1 of 2 jobs finished" in output
    folder = last.parents[2]
    (line,) = [line for line in output.splitlines() if line.startswith("continue  ")]
    words = shlex.split(line.removeprefix("continue  python -m dcase_sweep "))
    assert words[0] == f"resume={folder.relative_to(command_line.folder)}"
    store, experiment = client(command_line.folder)
    before = {run.info.run_id for run in store.search_runs([experiment])}  # type: ignore[attr-defined]

    moved = folder.rename(folder.with_name("moved"))
    output = command_line(*(word.replace(folder.name, "moved") for word in words))
    again = command_line(*(word.replace(folder.name, "moved") for word in words))

    assert output.count("skipped   ") == 1
    assert "2 of 2 jobs finished" in output
    assert sorted(path.name for path in moved.iterdir() if path.is_dir()) == ["0", "1"]
    assert (moved / "1" / "scores.csv").is_file()
    assert "all 2 jobs have finished: nothing is left to run" in again, output + again
    assert "2 of 2 jobs finished" in again
    runs = store.search_runs([experiment])  # type: ignore[attr-defined]
    assert {run.info.run_id for run in runs} == before
    (continued,) = [run for run in runs if run.data.params.get("training.epochs") == "60"]
    history = store.get_metric_history(continued.info.run_id, "train/loss")  # type: ignore[attr-defined]
    assert sorted(metric.step for metric in history) == list(range(60))
