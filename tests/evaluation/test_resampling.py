"""Tests of the difference of two systems: intervals over resampled clips, exact tests over seeds."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from dcase_sweep.evaluation.resampling import compare_drawn, compare_seeds, draw_statistic
from dcase_sweep.evaluation.scenes.metrics import evaluate_scenes
from dcase_sweep.evaluation.scenes.resampling import class_average


def mean_of(values: NDArray[np.float64]):  # type: ignore[no-untyped-def]
    return lambda weights: weights @ values / weights.sum(axis=1)


def test_a_resample_of_scenes_is_evaluated_as_if_its_clips_were_the_test_set() -> None:
    rng = np.random.default_rng(0)
    truth, scores = rng.integers(0, 3, 40), rng.dirichlet(np.ones(3), 40)
    weights = rng.multinomial(40, np.full(40, 1 / 40), size=5).astype(np.float64)

    found = class_average(scores.argmax(axis=1) == truth, truth, 3)(weights)

    for row, value in zip(weights, found, strict=True):
        drawn = np.repeat(np.arange(40), row.astype(int))
        assert value == pytest.approx(evaluate_scenes(scores[drawn], truth[drawn], classes=list("abc")).accuracy)


def test_the_interval_holds_a_known_difference() -> None:
    rng = np.random.default_rng(1)
    first = rng.normal(size=400)
    second = first + 0.1 + 0.2 * rng.normal(size=400)

    found = compare_drawn(*(draw_statistic(mean_of(each), 400, resamples=2000) for each in (first, second)))

    error = 1.96 * (second - first).std() / 20
    assert found.value == pytest.approx((second - first).mean())
    assert found.low == pytest.approx(found.value - error, abs=0.004)
    assert found.high == pytest.approx(found.value + error, abs=0.004)
    assert found.low > 0
    assert found.p_value < 0.05


def test_equal_systems_do_not_differ() -> None:
    same = draw_statistic(mean_of(np.random.default_rng(2).normal(size=50)), 50)

    found = compare_drawn(same, same)

    assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1)


@pytest.mark.parametrize("differences", [[1.0, 2.0, 3.0], [1.0, -2.0, 0.5, 0.1], [0.0, 0.0], [-3.0]])
def test_the_test_over_seeds_tries_every_sign(differences: list[float]) -> None:
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product((1, -1), repeat=len(differences))]
    expected = np.mean([each >= abs(sum(differences)) - 1e-9 for each in sums])

    assert compare_seeds(np.zeros(len(differences)), np.array(differences)) == pytest.approx(expected)


def test_five_seeds_cannot_show_what_six_can() -> None:
    assert compare_seeds(np.zeros(5), np.arange(1.0, 6)) == 2 / 2**5
    assert compare_seeds(np.zeros(6), np.arange(1.0, 7)) == 2 / 2**6
    assert compare_seeds(np.zeros(30), np.ones(30)) < 1e-4
