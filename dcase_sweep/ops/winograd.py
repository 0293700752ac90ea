"""Winograd's algorithm for convolutions with kernels of three values (Arithmetic Complexity of Computations, 1980).

F(4, 3) computes four values of the output with six products instead of twelve, F(2, 3) two with four instead of six.
Along two axes, every value becomes a matrix ``[position, channel]`` and every product one of matrices (Lavin and Gray,
2016). In float32 the results are within a few roundings of the direct computation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Factors = tuple[tuple[float, ...], ...]


def _combine(factors: Sequence[float], values: Sequence[Tensor], result: Tensor | None) -> Tensor:
    """Write the sum of values times factors to ``result``; one of the factors is 1.

    A single value is returned as it is, if there is no need to write it.
    """
    lead = factors.index(1)
    others = [place for place, factor in enumerate(factors) if factor and place != lead]
    if not others:
        return values[lead] if result is None else result.copy_(values[lead])
    assert result is not None
    torch.add(values[lead], values[others[0]], alpha=factors[others[0]], out=result)
    for place in others[1:]:
        result.add_(values[place], alpha=factors[place])
    return result


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of the algorithm F(outputs, 3), which evaluates polynomials at 0, ±1, ±2 ... and infinity.

    Values at a pair of points ±x are the sum and the difference of an even and an odd part.

    Attributes:
        of_maps: factors of ``outputs + 2`` inputs: for the first point, the even and the odd part of each pair, and the
            last point.
        of_products: for each output, factors of the same values of the products.
        of_kernel: for each point, the factors of a kernel's values.
        scales: factor of each pair's odd part.
    """

    of_maps: Factors
    of_products: Factors
    of_kernel: Factors
    scales: tuple[float, ...]

    @property
    def of_gradient(self) -> Factors:
        """For each point, as in ``of_maps``, factors of the gradients of the outputs."""
        return tuple(zip(*self.of_products, strict=True))

    @property
    def outputs(self) -> int:
        """Values of the output that are computed together."""
        return len(self.of_products)

    @property
    def points(self) -> int:
        """Number of products, and of the values of the input that they need."""
        return len(self.of_kernel)

    def spread(
        self,
        rows: Factors,
        values: Sequence[Tensor],
        results: Sequence[Tensor],
        spare: Sequence[Tensor | None] = (None, None),
    ) -> None:
        """Write what the values are at each point; ``spare`` is memory for two results, where sums need it."""
        last = self.points - 1
        _combine(rows[0], values, results[0])
        _combine(rows[last], values, results[last])
        for pair, scale in enumerate(self.scales):
            place = 1 + 2 * pair
            even, odd = (
                _combine(row, values, memory if sum(map(bool, row)) > 1 else None)
                for row, memory in zip(rows[place : place + 2], spare, strict=True)
            )
            torch.add(even, odd, alpha=scale, out=results[place])
            torch.sub(even, odd, alpha=scale, out=results[place + 1])

    def collect(self, products: Sequence[Tensor], results: Sequence[Tensor], spare: Sequence[Tensor]) -> None:
        """Compute the outputs from the products, which are overwritten; ``spare`` has memory for each pair."""
        values = list(products)
        factors = [1.0] * len(values)
        for pair, scale in enumerate(self.scales):
            place = 1 + 2 * pair
            values[place + 1] = torch.sub(products[place], products[place + 1], out=spare[pair])
            products[place].add_(products[place + 1])
            factors[place + 1] = scale
        for row, result in zip(self.of_products, results, strict=True):
            _combine([one * other for one, other in zip(row, factors, strict=True)], values, result)


#: F(4, 3).
FOUR = Axis(
    (
        (4, 0, -5, 0, 1, 0),
        (0, 0, -4, 0, 1, 0),
        (0, -4, 0, 1, 0, 0),
        (0, 0, -1, 0, 1, 0),
        (0, -1, 0, 1, 0, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    ((1, 1, 0, 1, 0, 0), (0, 0, 1, 0, 1, 0), (0, 1, 0, 4, 0, 0), (0, 0, 1, 0, 4, 1)),
    (
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
    (1, 2),
)
#: F(2, 3).
TWO = Axis(
    ((1, 0, -1, 0), (0, 0, 1, 0), (0, 1, 0, 0), (0, -1, 0, 1)),
    ((1, 1, 0, 0), (0, 0, 1, 1)),
    ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    (1,),
)
