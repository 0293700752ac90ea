"""A sampler that learns from a part of the trials."""

import random
from typing import Any

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState

from dcase_sweep.sweep.optuna.bounded import BoundedSampler, Selection, bound


def make_study(sampler: Any, trials: int = 0, directions: tuple[str, ...] = ("minimize",)) -> optuna.Study:
    study = optuna.create_study(directions=directions, sampler=sampler)
    rng = random.Random(0)
    for _ in range(trials):
        state = rng.choice([TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                values=[rng.random() for _ in directions] if state == TrialState.COMPLETE else None,
                params={"x": rng.random()},
                distributions={"x": optuna.distributions.FloatDistribution(0, 1)},
                intermediate_values={step: rng.random() for step in range(rng.randrange(3))},
            )
        )
    return study


def tpe() -> optuna.samplers.TPESampler:
    return optuna.samplers.TPESampler(seed=0, n_startup_trials=3, multivariate=True, group=True, constant_liar=True)


def draw(study: optuna.Study, count: int) -> list[float]:
    drawn = []
    for _ in range(count):
        trial = study.ask()
        drawn.append(trial.suggest_float("x", 0, 1))
        study.tell(trial, (drawn[-1] - 0.3) ** 2)
    return drawn


def test_few_trials_are_all_learned_from() -> None:
    assert draw(make_study(bound(tpe(), 40)), 40) == draw(make_study(tpe()), 40)


def test_tpe_takes_the_same_trials_for_the_good_ones() -> None:
    study = make_study(tpe(), 600)
    evaluated = study.get_trials(states=[TrialState.COMPLETE, TrialState.PRUNED])
    selected = Selection(200).select(study.get_trials(), study.directions)

    good, _ = optuna.samplers._tpe.sampler._split_trials(study, evaluated, 25)
    found, others = optuna.samplers._tpe.sampler._split_trials(study, selected, 25)

    assert [each.number for each in found] == [each.number for each in good]
    assert len(others) < 175


@pytest.mark.parametrize("trials", [10, 30, 200])
def test_the_best_and_the_most_recent_are_selected_with_those_that_run(trials: int) -> None:
    study = make_study(None, trials)
    running = study.ask()
    selection, found = Selection(20), []
    for end in range(trials + 2):  # as the study grows
        found = selection.select(study.get_trials(deepcopy=False)[:end], [StudyDirection.MINIMIZE])

    evaluated = [each for each in study.get_trials() if each.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    if len(evaluated) <= 20:
        assert found == study.get_trials()
        return
    best = sorted((each for each in evaluated if each.value is not None), key=lambda each: each.value)[:5]
    expected = {each.number for each in [*best, *evaluated[-15:]]} | {running.number}
    assert [each.number for each in found] == sorted(expected)


def test_with_several_objectives_the_best_are_those_that_no_other_dominates() -> None:
    study = make_study(None, 300, ("minimize", "maximize"))

    found = Selection(200).select(study.get_trials(deepcopy=False), study.directions)

    recent = [each for each in study.get_trials() if each.state in (TrialState.COMPLETE, TrialState.PRUNED)][-150:]
    front = {each.number for each in study.best_trials}
    assert [each.number for each in found] == sorted(front | {each.number for each in recent})


def test_what_violates_a_constraint_is_the_last_to_be_selected() -> None:
    study = optuna.create_study()
    for number in range(30):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.set_constraint("size", 1.0 if number < 3 else -1.0)
        study.tell(trial, float(number))

    found = Selection(8).select(study.get_trials(deepcopy=False), study.directions)

    assert [each.number for each in found] == [3, 4, *range(24, 30)]


def test_a_sampler_sees_a_part_of_a_long_study(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler: Any = bound(tpe(), 20)
    study = make_study(sampler, 200)
    seen: list[int] = []
    monkeypatch.setattr(
        optuna.samplers._tpe.sampler,
        "_split_trials",
        lambda study, trials, below: seen.append(len(trials)) or (trials[:5], trials[5:]),
    )

    study.ask().suggest_float("x", 0, 1)

    assert isinstance(sampler, BoundedSampler)
    assert seen
    assert max(seen) <= 20


@pytest.mark.parametrize("sampler", [optuna.samplers.BruteForceSampler(), optuna.samplers.NSGAIISampler()])
def test_samplers_that_need_all_trials_get_them(sampler: optuna.samplers.BaseSampler) -> None:
    assert bound(sampler, 20) is sampler


def test_all_trials_are_learned_from_if_no_number_is_set() -> None:
    sampler = tpe()

    assert bound(sampler, None) is sampler


def test_hyperband_gives_its_sampler_a_part_of_the_trials() -> None:
    study = make_study(bound(tpe(), 20), 100)
    study.pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9)
    trial = study.ask()
    trial.report(0.5, 1)
    trial.should_prune()

    assert 0 <= trial.suggest_float("x", 0, 1) <= 1
