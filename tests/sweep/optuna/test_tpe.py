"""TPE with a memory suggests what Optuna's own suggests."""

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from dcase_sweep.sweep.optuna.bounded import BoundedSampler, bound
from dcase_sweep.sweep.optuna.settings import load_study
from dcase_sweep.sweep.optuna.storage import open_storage
from dcase_sweep.sweep.optuna.tpe import RememberingTPE, remember


def tpe(**settings: Any) -> TPESampler:
    defaults = {"seed": 3, "multivariate": True, "group": True, "constant_liar": True}
    return TPESampler(**(defaults | settings))


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    depth = trial.suggest_int("depth", 1, 3)
    trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    trial.suggest_float("dropout", 0.0, 0.5)
    trial.suggest_int("width", 1, 64, log=True)
    for block in range(depth):
        trial.suggest_categorical(f"pool.{block}", ["[1,1]", "[2,2]", "[2,5]"])
        trial.suggest_float(f"part.{block}", 0.0, 1.0, step=0.125)
    return trial.params


def search(sampler: Any, count: int, directions: int = 1) -> list[dict[str, Any]]:
    """Draw trials which finish, are pruned, are rejected, fail, or run on."""
    study = optuna.create_study(directions=["maximize", "minimize"][:directions], sampler=sampler)
    study.enqueue_trial({"depth": 2, "rate": 0.01})
    rng = random.Random(1)
    drawn, running = [], []
    for _ in range(count):
        trial = study.ask()
        found = suggest(trial)
        drawn.append(found)
        end = rng.choices(["finish", "prune", "reject", "fail", "run", "stop"], [6, 2, 3, 1, 1, 1])[0]
        values = [found["dropout"] - found["rate"] + 0.1 * found["depth"], found["dropout"]][:directions]
        if end == "reject":
            trial.set_constraint("size", found["width"] / 8)
        if end == "prune" and directions == 1:
            for step in range(rng.randrange(4)):
                trial.report(rng.choice([0.5, found["dropout"], float("nan")]), step)
        if end in ("prune", "reject"):
            study.tell(trial, state=TrialState.PRUNED)
        elif end == "fail":
            study.tell(trial, state=TrialState.FAIL)
        elif end == "run":
            running.append(trial)
        else:
            study.tell(trial, values)
        if end == "stop" and running:
            study.tell(running.pop(0), values)
    return drawn


@pytest.mark.parametrize(
    ("settings", "directions"),
    [
        ({}, 1),
        ({"group": False}, 1),
        ({"multivariate": False, "group": False, "constant_liar": False, "n_startup_trials": 4}, 1),
        ({"constant_liar": False}, 1),
        ({"n_ei_candidates": 5}, 2),
    ],
    ids=["groups", "no groups", "one by one", "no liar", "two objectives"],
)
def test_suggests_what_optuna_suggests(settings: dict[str, Any], directions: int) -> None:
    sampler = remember(tpe(**settings))

    assert isinstance(sampler, RememberingTPE)
    assert search(sampler, 60, directions) == search(tpe(**settings), 60, directions)


def test_a_part_of_the_trials_suggests_what_it_suggests_to_optuna() -> None:
    assert search(bound(remember(tpe()), 40), 90) == search(bound(tpe(), 40), 90)


def test_continues_where_the_given_sampler_is() -> None:
    one, other = (optuna.create_study(sampler=tpe(n_startup_trials=2)) for _ in range(2))
    for study in (one, other):
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=5)
    one.sampler = remember(one.sampler)

    assert one.ask().suggest_float("x", 0, 1) == other.ask().suggest_float("x", 0, 1)


def test_the_values_of_a_running_trial_may_change() -> None:
    one, other = (
        optuna.create_study(sampler=each) for each in (remember(tpe(n_startup_trials=2)), tpe(n_startup_trials=2))
    )
    found = []
    for study in (one, other):
        for value in range(4):
            trial = study.ask()
            study.tell(trial, trial.suggest_float("x", 0, 1) + value)
        running = study.ask()
        study.ask().suggest_float("x", 0, 1)  # while the other one has no values
        running.suggest_float("x", 0, 1)
        found.append([study.ask().suggest_float("x", 0, 1) for _ in range(3)])

    assert found[0] == found[1]


def test_workers_of_a_search_sample_with_it(tmp_path: Path) -> None:
    where = str(tmp_path / "optuna.log")
    optuna.create_study(storage=open_storage(where), study_name="s")
    settings: Any = SimpleNamespace(
        storage=where,
        study="s",
        sampler={"_target_": "optuna.samplers.TPESampler", "seed": 0},
        sampler_history=1000,
        pruner={"_target_": "optuna.pruners.NopPruner"},
    )

    study, _ = load_study(settings)

    assert isinstance(study.sampler, BoundedSampler)
    assert isinstance(study.sampler.sampler, RememberingTPE)


class Own(TPESampler):
    """A sampler of a user."""


@pytest.mark.parametrize(
    "sampler", [Own(seed=0), optuna.samplers.RandomSampler(seed=0), optuna.samplers.GPSampler(seed=0)]
)
def test_other_samplers_stay_as_they_are(sampler: optuna.samplers.BaseSampler) -> None:
    assert remember(sampler) is sampler


def test_another_version_of_optuna_samples_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = tpe()
    monkeypatch.setattr(optuna, "__version__", "5.7.0")

    assert remember(sampler) is sampler


@pytest.mark.parametrize("name", ["_sample_relative", "_compare"])
def test_optuna_samples_itself_if_a_private_method_is_missing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    sampler = tpe()
    monkeypatch.delattr(TPESampler, name)

    assert remember(sampler) is sampler


@pytest.mark.parametrize("name", ["_split_trials", "default_gamma"])
def test_optuna_samples_itself_if_a_private_function_is_missing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    sampler = tpe()
    monkeypatch.delattr(f"optuna.samplers._tpe.sampler.{name}")

    assert remember(sampler) is sampler
