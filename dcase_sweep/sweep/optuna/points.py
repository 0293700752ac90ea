"""The points of a finite space: their number, and those that a study has not tried."""

import json
import math
import random
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from dcase_sweep.sweep.optuna.space import Space
from dcase_sweep.sweep.quick_overrides import parse_simple

#: A point: parameter name → index of the value among its choices.
Point = frozenset[tuple[str, int]]
#: Characters of values that are more than numbers, words, lists and dictionaries.
_QUOTED = re.compile(r"""['"\\$()]""")
_PARTS = re.compile(r"([\[\]{},:])")
_NUMBER = re.compile(r"[-+]?\.?\d")
#: Number of points drawn at random before the untried ones are searched in order.
_DRAWS = 50


@dataclass(frozen=True, slots=True)
class Axis:
    """A parameter with a finite number of values."""

    name: str
    values: tuple[Any, ...] | range
    #: Offset and step that convert a number to its index; None for choices.
    scale: tuple[float, float] | None = None

    def position(self, value: Any) -> int | None:
        """Return the index of a value; None if it is not valid. Choices with the same meaning share an index."""
        if self.scale is not None:
            low, step = self.scale
            found = round((value - low) / step)
            return found if 0 <= found < len(self.values) else None
        wanted = canonical(str(value))
        return next((index for index, each in enumerate(self.values) if canonical(str(each)) == wanted), None)

    def restrict(self, value: Any) -> "Axis":
        """Return the axis with one of its values, or without any if this is none of them."""
        place = self.position(value)
        return replace(self, values=() if place is None else (self.values[place],))


def make_axis(name: str, distribution: BaseDistribution) -> Axis | None:
    """Return the values of a distribution; None if there are infinitely many."""
    if isinstance(distribution, CategoricalDistribution):
        distinct: dict[str, Any] = {}
        for value in distribution.choices:
            distinct.setdefault(canonical(str(value)), value)
        return Axis(name, tuple(distinct.values()))
    if isinstance(distribution, IntDistribution):
        values = range(distribution.low, distribution.high + 1, distribution.step)
        return Axis(name, values, (distribution.low, distribution.step))
    assert isinstance(distribution, FloatDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if low == high:
        return Axis(name, (low,), (low, 1.0))
    if step is None:
        return None
    count = math.floor((high - low) / step + 1e-9) + 1
    return Axis(name, tuple(min(high, low + step * index) for index in range(count)), (low, step))


@dataclass(frozen=True, slots=True)
class Points:
    """The numbered points of a space. The parts of a conditional space follow one another.

    Attributes:
        parts: the parameters of each part.
    """

    parts: tuple[tuple[Axis, ...], ...]

    @property
    def size(self) -> int:
        """The number of points."""
        return sum(map(_product, self.parts))

    def parameters(self, number: int) -> dict[str, Any]:
        """Return the values of a point by its number, from 0."""
        for part in self.parts:
            count = _product(part)
            if number < count:
                values = {}
                for axis in part:
                    number, position = divmod(number, len(axis.values))
                    values[axis.name] = axis.values[position]
                return values
            number -= count
        raise IndexError(number)

    def identify(self, parameters: Mapping[str, Any]) -> Point | None:
        """Return the point with these values; None if they are not a complete point of the space."""
        for part in self.parts:
            if {axis.name for axis in part} != parameters.keys():
                continue
            positions = [(axis.name, axis.position(parameters[axis.name])) for axis in part]
            if all(position is not None for _, position in positions):
                return frozenset((name, position) for name, position in positions if position is not None)
        return None

    def restrict(self, values: Mapping[str, Any]) -> "Points":
        """Return the points that have these values, numbered from 0."""
        parts = (
            tuple(axis.restrict(values[axis.name]) if axis.name in values else axis for axis in part)
            for part in self.parts
            if values.keys() <= {axis.name for axis in part}
        )
        return Points(tuple(part for part in parts if _product(part)))

    def find_untried(
        self,
        tried: Container[Point],
        count: int,
        rng: random.Random,
        values: Mapping[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        """Return the values of a random untried point; None if there is none.

        Args:
            tried: the points that were tried.
            count: number of tried points.
            rng: random number generator.
            values: values that the point must have.
        """
        points = self.restrict(values) if values else self
        size = points.size
        if not size or (points is self and count >= size):
            return None

        def find(numbers: Iterable[int]) -> dict[str, Any] | None:
            found = map(points.parameters, numbers)
            return next((each for each in found if self.identify(each) not in tried), None)

        drawn = find(rng.randrange(size) for _ in range(_DRAWS))
        if drawn is not None:
            return drawn
        begin = rng.randrange(size)
        # Of count + 1 points at least one is untried.
        return find((begin + step) % size for step in range(min(size, count + 1)))


def _product(part: Sequence[Axis]) -> int:
    return math.prod(len(axis.values) for axis in part)


def list_points(space: Space) -> Points | None:
    """Return the points of a space; None if there are infinitely many or they cannot be listed."""
    parts = space.list_parts()
    return None if parts is None else _points(parts)


def _points(parts: Sequence[Mapping[str, BaseDistribution]]) -> Points | None:
    made = [[make_axis(name, distribution) for name, distribution in part.items()] for part in parts]
    found = tuple(tuple(axis for axis in part if axis is not None) for part in made)
    is_finite = all(axis is not None for part in made for axis in part)
    return Points(found) if is_finite else None


@cache
def canonical(text: str) -> str:
    """Return a value as text that is the same for equal values: ``0.1`` and ``1e-1``, ``[1,1]`` and ``[1, 1]``.

    Numbers are equal if twelve digits are equal.
    """
    try:
        return f"{float(text):.12g}"
    except ValueError:
        pass
    if not _QUOTED.search(text):  # hundreds of times as fast as the grammar; studies have thousands of lists of blocks
        return "".join(map(_canonical_part, _PARTS.split(text)))
    if len(text) > 200:
        return text
    try:
        parsed = parse_simple(f"x={text}") or OverridesParser.create().parse_override(f"x={text}")
        return json.dumps(parsed.value(), default=str)
    except Exception:  # values that the grammar cannot parse are compared as text
        return text


@lru_cache(maxsize=10_000)
def _canonical_part(text: str) -> str:
    """Return a number, a word or a bracket of a list or dictionary in the form that equal ones share."""
    text = text.strip()
    if _NUMBER.match(text):
        with suppress(ValueError):
            return f"{float(text):.12g}"
    return text.lower() if text.lower() in ("true", "false", "null") else text


def configuration_key(overrides: Sequence[str]) -> str:
    """Return a key that is the same for two trials with the same configuration."""
    pairs = (line.partition("=") for line in overrides)
    return json.dumps(sorted((key.lstrip("+"), canonical(value)) for key, _, value in pairs))
