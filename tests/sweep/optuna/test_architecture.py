"""How many trials a worker trains together, and what is said where it trains them one by one."""

import logging
from collections.abc import Mapping

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from dcase_sweep.sweep.application import Application
from dcase_sweep.sweep.job import PreparedJob
from dcase_sweep.sweep.optuna.architecture import count_trials_together, list_shared
from dcase_sweep.sweep.optuna.space import make_space
from tests.sweep.optuna.together import Together

JOB = PreparedJob(OmegaConf.create())


def count(space: Mapping[str, str], *, seeds: int, fused: int, application: Application | None = None) -> int:
    made = make_space(dict(space), OverridesParser.create())
    return count_trials_together(application or Together("seed"), made, JOB, seeds=seeds, fused=fused)


@pytest.mark.parametrize(
    ("seeds", "fused", "expected"), [(1, 1, 1), (1, 8, 8), (3, 8, 2), (3, 6, 2), (3, 5, 1), (3, 2, 1)]
)
def test_trainings_are_counted_not_trials(seeds: int, fused: int, expected: int) -> None:
    assert count({"lr": "interval(0,1)", "units": "range(1,9)"}, seeds=seeds, fused=fused) == expected


@pytest.mark.parametrize(
    ("space", "seeds", "says"),
    [
        ({"units": "range(1,9)", "kind": "choice(a,b)"}, 1, "trials are trained one by one: every varied key decides"),
        ({"units": "choice(8,16)"}, 3, "only the seeds of a trial are trained together: every varied key decides"),
        ({"units": "range(1,9)", "lr": "interval(0.1,0.1)"}, 1, "trials are trained one by one"),
        ({"pool": "choice([1,1],[2,2])"}, 1, "trials are trained one by one"),
    ],
)
def test_a_space_of_architectures_is_searched_one_by_one(
    space: dict[str, str], seeds: int, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert count(space, seeds=seeds, fused=9) == 1
    assert says in caplog.text


@pytest.mark.parametrize("space", [{"seed": "range(0,9)"}, {"lr": "choice(0.1,0.2)"}, {"lr": "choice(a,0.2)"}])
def test_other_keys_may_differ(space: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert count({"units": "range(1,9)", **space}, seeds=1, fused=9) == 9
    assert not caplog.text


@pytest.mark.parametrize(
    ("seeds", "says"),
    [
        (1, "search    trials are trained one after the other: the application runs one job at a time"),
        (3, "search    the seeds of a trial are trained one after the other: the application runs one job at a time"),
    ],
)
def test_an_application_that_cannot_says_so(seeds: int, says: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert count({"lr": "interval(0,1)"}, seeds=seeds, fused=9, application=Application()) == 1
    assert says in caplog.text


def test_a_key_is_shared_whose_values_are_no_numbers_with_a_fraction() -> None:
    space = {"a": "choice(0,0.1)", "b": "choice(1,2)", "c": "choice([0.1],[0.2])", "d": "choice('x y: z',x)"}
    space |= {"e": "interval(0,1)", "f": "range(1,5)", "seed": "range(1,5)", "+g": "choice(1e-3,1e-2)"}
    trial = optuna.create_study().ask()
    make_space(space, OverridesParser.create()).suggest(trial)

    assert list_shared(Together("seed"), trial.params, trial.distributions).keys() == {"b", "c", "d", "f"}
