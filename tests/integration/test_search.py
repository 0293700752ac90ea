"""Searches through the real command line, including kills, continuations and the file of the best trial."""

import csv
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.study import open_storage
from dcase_sweep.utils.processes import parse_identity
from tests.conftest import DRAWN, CommandLine
from tests.integration.test_experiment import client

SPACE = ("hydra/sweeper=optuna", "model.units=tag(int,interval(8,32))", "optimizer.lr=tag(log,interval(1e-4,1e-2))")


def study(folder: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=open_storage(str(folder / "mlruns" / "optuna.log")))


def newest(folder: Path) -> Path:
    return max((folder / "multirun").glob("*/*"), key=lambda path: path.stat().st_mtime)


@pytest.fixture(scope="module")
def searched(command_line: CommandLine, tiny: Callable[..., list[str]]) -> str:
    """What a search of three trials printed, by two workers at a time."""
    more = ("hydra.sweeper.n_trials=3", "hydra.sweeper.workers=2", "hydra.sweeper.study_name=s", DRAWN)
    return command_line("-m", *tiny(*SPACE, *more))


def test_a_search_ends_with_its_best_and_how_to_repeat_it(
    command_line: CommandLine, searched: str, tiny: Callable[..., list[str]]
) -> None:
    folder = newest(command_line.folder)
    best = study(command_line.folder, "s").best_trial

    assert "search    s: 3 finished" in searched
    assert f"best      trial {best.number}: best/validation/accuracy {best.value:.4g}" in searched
    assert re.search(r"^test      accuracy [\d.]+, log_loss [\d.]+$", searched, re.MULTILINE)
    assert len(list(csv.reader((folder / "trials.csv").open()))) == 4
    assert {path.name for path in (folder / "figures").iterdir()} >= {"history.png", "search.html", "slice.png"}
    command = re.search(r"repeat    python -m dcase_sweep (.*)", searched)
    assert command is not None
    repeated = command_line(*command[1].split())
    assert f"(validation/accuracy {best.value:.3f})" in repeated


def test_trials_are_children_of_the_search_and_the_best_is_marked(command_line: CommandLine, searched: str) -> None:
    store, experiment = client(command_line.folder)
    found = store.search_runs([experiment])  # type: ignore[attr-defined]
    (parent,) = [run for run in found if run.data.tags.get("dcase_sweep.study") == "s"]
    children = [run for run in found if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]

    assert {run.info.run_name for run in children} == {"s #0", "s #1", "s #2"}
    assert [run.data.tags.get("dcase_sweep.best") for run in children].count("true") == 1
    artifacts = {item.path for item in store.list_artifacts(parent.info.run_id)}  # type: ignore[attr-defined]
    assert artifacts == {"optimization_results.yaml", "trials.csv", "experiment", "figures"}


def test_the_same_command_continues_and_another_space_is_rejected(
    command_line: CommandLine, searched: str, tiny: Callable[..., list[str]]
) -> None:
    name = "hydra.sweeper.study_name=s"
    again = command_line("-m", *tiny(*SPACE, "hydra.sweeper.n_trials=3", name))
    files = {path.name for path in newest(command_line.folder).iterdir()}
    other = command_line("-m", *tiny(*SPACE, "model.dropout=interval(0.1,0.2)", name), code=1)

    assert "search    s (continued with 3 finished)" in again
    assert "search    complete: nothing is left to run" in again
    assert len(study(command_line.folder, "s").get_trials()) == 3
    assert "figures" in {line.partition(" ")[0] for line in searched.splitlines()}
    assert "figures" not in files | {line.partition(" ")[0] for line in again.splitlines()}, "tracking.figures=none"
    assert (
        "study s was created with different settings: space model.dropout: was not there, is FloatDistribution" in other
    )
    assert "hydra.sweeper.fresh=true" in other


def test_killed_workers_and_killed_searches_cost_an_epoch(
    command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    """A worker is killed, then the whole search; its folder, which is moved, goes on from the last epoch to the end."""
    arguments = ["-m", *tiny(*SPACE, "training.epochs=32", "hydra.sweeper.n_trials=2", "hydra.sweeper.study_name=k")]
    process = command_line.start(*arguments)
    first = _running(command_line.folder, set(), epochs=2)  # the checkpoint of the epoch before is written
    os.kill(_owner(first), signal.SIGKILL)
    told = len(study(command_line.folder, "k").get_trials()[first.number].intermediate_values)
    second = _running(command_line.folder, {first.number}, epochs=told + 1)  # it has trained itself
    worker = _owner(second)
    process.kill()
    printed, _ = process.communicate()
    _wait_for(lambda: not Path(f"/proc/{worker}").exists())

    killed = study(command_line.folder, "k").get_trials()[first.number]
    assert "killed by SIGKILL" in killed.user_attrs["error"], printed
    moved = newest(command_line.folder).rename(command_line.folder / "multirun" / "moved")
    places = [word for word in arguments if word.startswith("data.root=")]
    output = command_line(f"resume={moved}", *places)

    kinds = records.counts(study(command_line.folder, "k").get_trials())
    assert kinds == {"interrupted": 2, "finished": 2}, output
    retried = [trial for trial in study(command_line.folder, "k").get_trials() if records.RETRY_OF in trial.user_attrs]
    assert [trial.params for trial in retried] == [first.params, first.params]
    assert retried[0].number == second.number
    assert retried[1].user_attrs[records.CONTINUED] >= 2
    assert sorted(retried[1].intermediate_values) == list(range(32))
    assert retried[1].user_attrs[records.RUN] == second.user_attrs[records.RUN]
    store, experiment = client(command_line.folder)
    runs = {run.info.run_id: run.info.status for run in store.search_runs([experiment])}  # type: ignore[attr-defined]
    assert killed.user_attrs[records.RUN] == second.user_attrs[records.RUN], "the run is continued"
    assert runs[second.user_attrs[records.RUN]] == "FINISHED"


def _owner(trial: optuna.trial.FrozenTrial) -> int:
    """The process that works on a trial."""
    identity = parse_identity(trial.user_attrs[records.OWNER])
    assert identity is not None
    return identity.number


def _running(folder: Path, without: set[int], epochs: int = 1, name: str = "k") -> optuna.trial.FrozenTrial:
    """The trial that trains, once it has told of so many epochs."""
    found: list[optuna.trial.FrozenTrial] = []

    def look() -> bool:
        if (folder / "mlruns" / "optuna.log").is_file():
            try:
                trials = study(folder, name).get_trials(states=[optuna.trial.TrialState.RUNNING])
            except KeyError:
                return False
            found[:] = [
                each for each in trials if len(each.intermediate_values) >= epochs and each.number not in without
            ]
        return bool(found)

    _wait_for(look)
    return found[0]


def _wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened for too long"
        time.sleep(0.1)


def test_a_space_without_a_search_and_a_search_without_a_sweeper_are_reported(
    command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    nothing = command_line("-m", *tiny("hydra/sweeper=optuna"), code=1)
    limits = "+hydra.sweeper.search.limits={complexity/size:1}"  # of a search that was chosen
    limited = command_line("-m", *tiny("search=scene_cnn", limits), code=1)
    grid = command_line("-m", *tiny("search=scene_cnn", "hydra/sweeper=grid"), code=1)

    assert "search: nothing varies" in nothing
    assert "search.limits.size: not known before training" in limited
    assert "add hydra/sweeper=optuna" in grid


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["model.dropout=interval(0,1.5)"],
            "error: model.dropout=1.5: model.blocks[1].dropout=1.5: expected a probability",
        ),
        (["model.units=interval(8,32)"], "error: model.units: Value '"),
        (["optimizer.lr=choice(1e-3,abc)"], "error: optimizer.lr: Value 'abc' of type 'str' could not be converted"),
        (
            ["search=scene_cnn", "model.blocks.0.filters=8,9"],
            "error: model.blocks.0.filters: search.blocks.filters varies",
        ),
        (["search=scene_cnn,mean_teacher"], "error: search=scene_cnn,mean_teacher: several values; expected one"),
    ],
)
def test_values_that_no_trial_can_have_are_refused_before_the_first(
    words: list[str], line: str, command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    output = command_line("-m", *tiny("hydra/sweeper=optuna", *words), code=1)

    assert line in output
    assert "wanted" not in output


@pytest.mark.parametrize(
    ("word", "found"),
    [("direction=minimize", "direction=minimize"), ("objective={x:minimize}", "objective={'x': 'minimize'}")],
)
def test_an_objective_in_the_words_of_other_applications_is_not_ignored(
    word: str, found: str, command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    output = command_line("-m", *tiny(*SPACE, f"+hydra.sweeper.{word}"), code=1)

    assert f"error: hydra.sweeper.{found}: " in output
    assert "'+hydra.sweeper.search.objective={METRIC: maximize}'" in output
