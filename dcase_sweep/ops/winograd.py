"""Winograd's algorithm for convolutions with kernels of three values (Arithmetic Complexity of Computations, 1980).

F(4, 3) computes four values of the output with six products instead of twelve, F(2, 3) two with four instead of six.
Along two axes, every value becomes a matrix ``[position, channel]`` and every product one of matrices (Lavin and Gray,
2016). The values are those of polynomials at 0, at pairs of points ±x and at infinity, in this order.

The points decide about rounding. At ±3/2 and ±2/3 F(4, 3) along both axes has errors of 1.3 to 2.0 times the direct
computation (root mean squares in float32), which is as small as those of F(4, 3) and F(2, 3) at ±1 and ±2; at ±1 and ±2
they are 2.2 times as large. Points x and 1/x are those of Alam, Anderson, Barabasz and Gregg (Winograd Convolution for
Deep Neural Networks: Efficient Point Selection, 2022).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

#: What computes results from memory that it was made for, again and again, without creating views of it each time.
Spread = Callable[[], None]
#: The same for results that are written to the given tensors, one for each place of a tile.
Collect = Callable[[Sequence[Tensor]], None]


class Axis(ABC):
    """One axis of the algorithm F(outputs, 3).

    Values ``[place, ...]`` are those at each place of overlapping tiles, or at each point. ``spare`` is memory for
    ``outputs`` values of a tile, ``[outputs, ...]``; to collect, half of it is enough.

    Attributes:
        outputs: values of the output that are computed together.
        points: number of products, and of the values of the input that they need.
        of_kernel: for each point, the factors of a kernel's values; their transpose turns sums of products of maps and
            gradients into the gradient of the kernel.
        weights: for each point, what its products are multiplied by in advance, as :meth:`collect` expects.
    """

    outputs: ClassVar[int]
    points: ClassVar[int]
    of_kernel: ClassVar[tuple[tuple[float, ...], ...]]
    weights: ClassVar[tuple[float, ...]]

    @abstractmethod
    def spread_maps(self, values: Tensor, results: Tensor, spare: Tensor) -> Spread:
        """Return what computes the results at each point from maps."""

    @abstractmethod
    def spread_gradient(self, values: Tensor, results: Tensor, spare: Tensor) -> Spread:
        """Return what computes the results at each point from the gradient of the outputs."""

    @abstractmethod
    def collect(self, products: Tensor, spare: Tensor) -> Collect:
        """Return what computes the outputs from the products, which it overwrites."""


class _Two(Axis):
    """F(2, 3) at 0, ±1 and infinity."""

    outputs, points = 2, 4
    of_kernel = ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1))
    weights = (1, 1, 1, 1)

    def spread_maps(self, values: Tensor, results: Tensor, spare: Tensor) -> Spread:
        (first, odd, even, last), (start, ahead, back, end) = values.unbind(), results.unbind()

        def spread() -> None:
            torch.sub(first, even, out=start)
            torch.add(even, odd, out=ahead)
            torch.sub(even, odd, out=back)
            torch.sub(last, odd, out=end)

        return spread

    def spread_gradient(self, values: Tensor, results: Tensor, spare: Tensor) -> Spread:
        (even, odd), (_, ahead, back, _), ends = values.unbind(), results.unbind(), results[::3]

        def spread() -> None:
            ends.copy_(values)
            torch.add(even, odd, out=ahead)
            torch.sub(even, odd, out=back)

        return spread

    def collect(self, products: Tensor, spare: Tensor) -> Collect:
        (start, total, other, end), difference = products.unbind(), spare[0]

        def collect(results: Sequence[Tensor]) -> None:
            torch.sub(total, other, out=difference)
            total.add_(other)
            torch.add(start, total, out=results[0])
            torch.add(end, difference, out=results[1])

        return collect


class _Four(Axis):
    """F(4, 3) at 0, ±3/2, ±2/3 and infinity.

    Values at both points of a pair are the sum and the difference of an even and an odd part.
    """

    outputs, points = 4, 6
    of_kernel = (
        (1, 0, 0),
        (8 / 65, 12 / 65, 18 / 65),
        (8 / 65, -12 / 65, 18 / 65),
        (-81 / 130, -54 / 130, -36 / 130),
        (-81 / 130, 54 / 130, -36 / 130),
        (0, 0, 1),
    )
    weights = (1, 3 / 2, 3 / 2, 4 / 9, 4 / 9, 1)
    _pair = 3 / 2, 2 / 3

    def spread_maps(self, values: Tensor, results: Tensor, spare: Tensor) -> Spread:
        parts, ends, write_pairs = (
            spare.unflatten(0, (2, 2)),
            results[::5],
            self._pairs(spare[1::2], spare[::2], results),
        )
        lower, middle, upper, before, after = values[:2], values[2:4], values[4:], values[1:3], values[3:5]
        squares = _along((-4 / 9, -9 / 4), parts)

        def spread() -> None:
            torch.add(lower, middle, alpha=-97 / 36, out=ends).add_(upper)
            torch.addcmul(after, before, squares, out=parts)
            write_pairs()

        return spread

    def spread_gradient(self, values: Tensor, results: Tensor, spare: Tensor) -> Spread:
        parts, ends, write_pairs = (
            spare.unflatten(0, (2, 2)),
            results[::5],
            self._pairs(spare[::2], spare[1::2], results),
        )
        lower, upper, outer = values[:2], values[2:], values[::3]
        squares = _along((9 / 4, 4 / 9), parts)

        def spread() -> None:
            ends.copy_(outer)
            torch.addcmul(lower, upper, squares, out=parts)
            write_pairs()

        return spread

    def _pairs(self, even: Tensor, odd: Tensor, results: Tensor) -> Spread:
        ahead, back, points = results[1:5:2], results[2:5:2], _along((3 / 2, 2 / 3), odd)

        def write() -> None:
            torch.addcmul(even, odd, points, out=ahead)
            torch.addcmul(even, odd, points, value=-1, out=back)

        return write

    def collect(self, products: Tensor, spare: Tensor) -> Collect:
        totals, others, differences = products[1:5:2], products[2:5:2], spare[:2]
        start, total, _, other_total, _, end = products.unbind()
        difference, other_difference = differences.unbind()

        def collect(results: Sequence[Tensor]) -> None:
            torch.sub(totals, others, out=differences)
            totals.add_(others)
            torch.add(start, total, alpha=2 / 3, out=results[0]).add_(other_total, alpha=9 / 4)
            torch.add(difference, other_difference, alpha=3 / 2, out=results[1])
            torch.add(other_total, total, alpha=3 / 2, out=results[2])
            torch.add(end, difference, alpha=9 / 4, out=results[3]).add_(other_difference, alpha=2 / 3)

        return collect


def _along(factors: Sequence[float], values: Tensor) -> Tensor:
    """Shape factors so that they multiply values along their first axis."""
    return torch.tensor(factors, dtype=values.dtype).view(-1, *[1] * (values.dim() - 1))


FOUR, TWO = _Four(), _Two()
