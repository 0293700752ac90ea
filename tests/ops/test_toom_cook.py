"""Toom and Cook's algorithm, compared with the sums that it stands for."""

import pytest
import torch

from dcase_sweep.ops.toom_cook import Algorithm, algorithm_for, toom_cook


def convolve(algorithm: Algorithm, values: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    return algorithm.of_products @ ((algorithm.of_kernel @ kernel) * (algorithm.of_maps @ values))


def check(algorithm: Algorithm, outputs: int, kernel: int, points: int) -> None:
    torch.manual_seed(0)
    values = torch.randn(outputs + kernel - 1, dtype=torch.float64)
    weights = torch.randn(kernel, dtype=torch.float64)

    found = convolve(algorithm, values, weights)

    torch.testing.assert_close(found, values.unfold(0, kernel, 1) @ weights)
    assert (algorithm.outputs, algorithm.inputs, algorithm.points) == (outputs, outputs + kernel - 1, points)


@pytest.mark.parametrize(
    ("outputs", "kernel", "points"), [(2, 2, [0, 1]), (4, 3, [0, 1, -1, 2, -2]), (2, 5, [0, 1, -1, 2, -2])]
)
def test_each_point_takes_one_product(outputs: int, kernel: int, points: list[int]) -> None:
    check(toom_cook(outputs, kernel, points), outputs, kernel, len(points) + 1)


def test_nested_algorithms_multiply_pairs() -> None:
    pairs = toom_cook(2, 2, [0, 1])

    check(pairs.nest(pairs), 4, 4, 9)
    check(pairs.nest(pairs).nest(pairs), 8, 8, 27)


def test_seven_values_take_21_products_for_eight_outputs() -> None:
    algorithm = algorithm_for(7)

    assert algorithm is not None
    check(algorithm, 8, 7, 21)


def test_other_kernels_have_no_algorithm() -> None:
    assert [algorithm_for(kernel) for kernel in (1, 3, 5, 9)] == [None] * 4
