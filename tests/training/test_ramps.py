"""The ramps of the mean teacher."""

import math

import pytest

from dcase_sweep.training.ramps import exponential_ramp, learning_rate_factor


@pytest.mark.parametrize(
    ("step", "value"),
    [(0, math.exp(-5)), (25, math.exp(-5 / 4)), (50, math.exp(0)), (51, 1.0), (10**6, 1.0), (-3, math.exp(-5))],
)
def test_rises_from_a_150th_to_one(step: int, value: float) -> None:
    assert exponential_ramp(step, 50) == pytest.approx(value)


def test_without_a_length_there_is_no_ramp() -> None:
    assert exponential_ramp(1, 0) == 1
    with pytest.raises(ValueError, match="length=-1: expected a number of steps"):
        exponential_ramp(1, -1)


def test_only_the_very_first_step_is_at_the_full_rate() -> None:
    assert learning_rate_factor(1, 5900) == 1
    assert learning_rate_factor(2, 5900) == exponential_ramp(2, 5900) < 0.007
    assert learning_rate_factor(5900, 5900) == 1
