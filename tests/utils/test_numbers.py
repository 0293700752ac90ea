"""Tests of what counts as a number in configurations and files."""

import math

from dcase_sweep.utils.numbers import is_integer, is_number


def test_whole_numbers_are_integers_and_truth_values_are_not() -> None:
    assert is_integer(0)
    assert is_integer(10**400)
    assert not any(map(is_integer, (True, 1.0, "1", None)))


def test_numbers_are_finite_and_truth_values_are_not() -> None:
    assert is_number(-1)
    assert is_number(0.5)
    assert not any(map(is_number, (True, math.nan, math.inf, 10**400, "1", None)))
