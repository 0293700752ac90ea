"""Toom and Cook's algorithm for convolutions along one axis (Winograd, Arithmetic Complexity of Computations, 1980).

Values and kernel are polynomials, which are multiplied at a few points instead of value by value. F(outputs, kernel)
needs ``outputs + kernel - 1`` products instead of ``outputs * kernel``. With many points the rounding errors grow, so
long kernels are nested: F(4, 4) over pairs of values, each pair by F(2, 2), is an F(8, 8) with 21 products. In float32
its error is twice that of the direct sum, where the F(4, 7) with 10 points for 4 outputs has eight times that error.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

Row = list[Fraction]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """An algorithm F(outputs, kernel) with some points, as matrices in float64.

    A convolution is ``of_products @ ((of_kernel @ kernel) * (of_maps @ maps))``.

    Attributes:
        of_maps: what the values are at each point, ``[point, outputs + kernel - 1]``.
        of_kernel: what the kernel is at each point, ``[point, kernel]``.
        of_products: what the outputs are, ``[outputs, point]``.
    """

    of_maps: Tensor
    of_kernel: Tensor
    of_products: Tensor

    @property
    def points(self) -> int:
        """Number of products."""
        return len(self.of_kernel)

    @property
    def outputs(self) -> int:
        """Values of the output that are computed together."""
        return len(self.of_products)

    @property
    def inputs(self) -> int:
        """Values of the input that they depend on."""
        return self.of_maps.shape[1]

    def nest(self, inner: "Algorithm") -> "Algorithm":
        """Compute each product of this algorithm, which then is one of pairs of values or longer parts, by another.

        The kernel of ``inner`` must be as long as its outputs are many.
        """
        part = inner.outputs
        assert inner.of_kernel.shape[1] == part
        of_maps = torch.zeros(self.points, inner.points, (self.inputs + 1) * part - 1, dtype=torch.float64)
        for place in range(self.inputs):
            of_maps[..., place * part : place * part + inner.inputs] += torch.einsum(
                "p,qi->pqi", self.of_maps[:, place], inner.of_maps
            )
        return Algorithm(
            of_maps.flatten(0, 1),
            torch.kron(self.of_kernel, inner.of_kernel),
            torch.kron(self.of_products, inner.of_products),
        )

    def crop(self, kernel: int) -> "Algorithm":
        """Return the algorithm for a shorter kernel."""
        excess = self.of_kernel.shape[1] - kernel
        return Algorithm(self.of_maps[:, : self.inputs - excess], self.of_kernel[:, :kernel], self.of_products)


def _expand(roots: Sequence[Fraction]) -> Row:
    """Coefficients of the polynomial with these roots, that of the constant first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *coefficients], [*coefficients, Fraction(0)]
        coefficients = [one - root * other for one, other in zip(shifted, scaled, strict=True)]
    return coefficients


def _power_of_two(row: Row) -> Fraction:
    """Return the power of two that is closest to the largest value; division by it is exact."""
    return Fraction(2) ** round(math.log2(max(abs(value) for value in row)))


def toom_cook(outputs: int, kernel: int, points: Sequence[Fraction | int]) -> Algorithm:
    """Create F(outputs, kernel) with ``outputs + kernel - 2`` points and infinity."""
    finite = [Fraction(point) for point in points]
    assert len(finite) == outputs + kernel - 2
    of_maps, of_kernel, of_outputs = [], [], []
    for place, point in enumerate(finite):
        others = finite[:place] + finite[place + 1 :]
        of_maps.append([*_expand(others), Fraction(0)])
        product = math.prod((point - other for other in others), start=Fraction(1))
        of_kernel.append([point**power / product for power in range(kernel)])
        of_outputs.append([point**power for power in range(outputs)])
    of_maps.append(_expand(finite))
    of_kernel.append([Fraction(power == kernel - 1) for power in range(kernel)])
    of_outputs.append([Fraction(power == outputs - 1) for power in range(outputs)])
    for place in range(len(of_maps)):
        # The kernel takes all factors, because it is converted in float64.
        for rows in (of_maps, of_outputs):
            scale = _power_of_two(rows[place])
            rows[place] = [value / scale for value in rows[place]]
            of_kernel[place] = [value * scale for value in of_kernel[place]]
    return Algorithm(_matrix(of_maps), _matrix(of_kernel), _matrix(of_outputs).t().contiguous())


def _matrix(rows: Sequence[Row]) -> Tensor:
    return torch.tensor([[float(value) for value in row] for row in rows], dtype=torch.float64)


@cache
def algorithm_for(kernel: int) -> Algorithm | None:
    """Return an algorithm for eight outputs and a kernel of seven values; None for other kernels."""
    if kernel != 7:
        return None
    over_pairs = toom_cook(4, 4, [0, 1, -1, 2, -2, Fraction(1, 2)])
    return over_pairs.nest(toom_cook(2, 2, [0, 1])).crop(7)
