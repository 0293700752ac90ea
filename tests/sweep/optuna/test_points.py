"""Finite spaces: size, points and equal configurations."""

import random
from collections.abc import Mapping

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from dcase_sweep.application.block_space import make_space
from dcase_sweep.sweep.optuna.points import Points, canonical, configuration_key, list_points
from dcase_sweep.sweep.optuna.space import Space

BLOCK = {"filters": 16, "kernel": [7, 7], "pool": None, "dropout": 0.0}


def space_of(parameters: Mapping[str, str], blocks: Mapping[str, str] | None = None) -> Space:
    return make_space(parameters, blocks, parser=OverridesParser.create(), blocks=[BLOCK], depth=None, shape=(40, 500))


def points(parameters: Mapping[str, str], blocks: Mapping[str, str] | None = None) -> Points | None:
    return list_points(space_of(parameters, blocks))


@pytest.mark.parametrize(
    ("parameters", "size"),
    [
        ({"a.b": "choice(1,2,3)"}, 3),
        ({"a.b": "choice(1,1.0,1e0,2)"}, 2),
        ({"a.b": "range(0,10,3)", "a.c": "choice(x,y)"}, 8),
        ({"a.b": "range(0.0,1.0,0.25)"}, 4),
        ({"a.b": "tag(int,interval(8,10))"}, 3),
        ({"a.b": "interval(0.5,0.5)"}, 1),
        ({"a.b": "choice([1,1],[1, 1],[2,1])"}, 2),
    ],
)
def test_a_finite_space_has_a_size(parameters: dict[str, str], size: int) -> None:
    found = points(parameters)

    assert found is not None
    assert found.size == size
    assert len({found.identify(found.parameters(number)) for number in range(size)}) == size


@pytest.mark.parametrize("expression", ["interval(0,1)", "tag(log,interval(1,2))"])
def test_a_continuous_space_has_none(expression: str) -> None:
    assert points({"a.b": expression, "a.c": "choice(1,2)"}) is None


def test_a_conditional_space_counts_what_exists_at_each_depth() -> None:
    found = points({"model.depth": "range(1,4)", "model.units": "choice(8,16)"}, {"filters": "choice(8,16,24)"})

    assert found is not None
    assert found.size == 2 * (3 + 9 + 27)
    everything = {found.identify(found.parameters(number)) for number in range(found.size)}
    assert len(everything) == found.size
    assert None not in everything


def test_a_point_that_was_sampled_is_recognised() -> None:
    """Rounding errors of the sampler do not matter."""
    space = space_of({"a.b": "range(0.1,1.0,0.1)", "model.depth": "choice(1,2)"}, {"filters": "choice(8,16)"})
    found = list_points(space)
    assert found is not None
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(1500):
        trial = study.ask()
        space.suggest(trial)
        seen.add(found.identify(trial.params))

    assert None not in seen
    assert len(seen) == found.size == 9 * (2 + 4)


def test_the_last_untried_point_is_found() -> None:
    found = points({"a.b": "range(0,300)"})
    assert found is not None
    tried = {found.identify({"a.b": number}) for number in range(300) if number != 17}

    assert found.find_untried(tried, len(tried), random.Random(0)) == {"a.b": 17}
    assert found.find_untried({*tried, found.identify({"a.b": 17})}, 300, random.Random(0)) is None


def test_equivalent_overrides_are_the_same_configuration() -> None:
    assert canonical("0.1") == canonical("1e-1") == canonical("0.10000000000000001")
    assert canonical("[1, 1]") == canonical("[1,1]") != canonical("[1,2]")
    assert canonical("8") == canonical("8.0")
    assert canonical("[{filters: 8, pool: null}]") == canonical("[{filters:8.0,pool:Null}]")
    assert canonical("[{filters:8,pool:null}]") != canonical("[{filters:8,pool:[1,1]}]")
    assert canonical("['a, b']") == canonical('["a, b"]') != canonical("[a,b]")
    assert canonical("cnn4") != canonical("cnn5")
    assert configuration_key(["a=1", "+b=x"]) == configuration_key(["b=x", "a=1.0"])
    assert configuration_key(["a=1", "seed=0"]) != configuration_key(["a=1", "seed=1"])
