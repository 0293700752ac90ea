"""Search spaces: what may vary, in Hydra's own grammar, and how a trial's values become overrides."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from dcase_sweep.config.bounds import BOUNDS
from dcase_sweep.config.overrides import count_range, override
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

#: Steps of a range of floating-point numbers.
_MOST_STEPS = 1_000_000


@dataclass(frozen=True, slots=True)
class Parameter:
    """One key of the configuration and the values it may take; choices are texts as one would type them."""

    key: str
    distribution: BaseDistribution

    def suggest(self, trial: Trial, name: str | None = None) -> Any:
        """The trial's value, under the key's or another name."""
        distribution, name = self.distribution, name or self.key
        if isinstance(distribution, CategoricalDistribution):
            return trial.suggest_categorical(name, distribution.choices)
        if isinstance(distribution, IntDistribution):
            return trial.suggest_int(
                name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
            )
        assert isinstance(distribution, FloatDistribution)
        return trial.suggest_float(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )


def parse_parameter(key: str, expression: str, parser: OverridesParser) -> Parameter:
    """The distribution that an expression of Hydra's grammar describes.

    ``choice(a,b)`` or ``a,b``; ``range(start,stop[,step])``, its end left out as everywhere in Hydra; ``interval(low,
    high)``, both ends in; ``tag(log, ...)`` and ``tag(int, ...)`` as Hydra's Optuna plugin reads them.

    Raises:
        UserError: for anything else, with what was found.
    """
    shown = f"{printable(key)}={printable(expression)}"
    try:
        parsed = parser.parse_override(f"{key}={expression}")
    except HydraException as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{shown}: {printable(reason)}; expected choice(), range() or interval()") from None
    if not parsed.is_sweep_override():
        raise UserError(f"{shown}: one value alone; expected choice(), range() or interval()")
    try:
        return Parameter(key, _distribution(parsed))
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{shown}: {error}") from None
    except HydraException:  # glob(), of what is no group
        raise UserError(f"{shown}: expected choice(), range() or interval()") from None


def _distribution(parsed: Override) -> BaseDistribution:
    sweep = parsed.value()
    tags = set(getattr(sweep, "tags", ()))
    unknown = tags - {"log", "int"}
    if unknown:
        raise ValueError(f"unknown tag {sorted(unknown)[0]}; expected log or int")
    log = "log" in tags
    if isinstance(sweep, IntervalSweep):
        return _interval(sweep, whole="int" in tags, log=log)
    if isinstance(sweep, RangeSweep):
        return _range(sweep, log=log)
    if isinstance(sweep, ChoiceSweep) or parsed.is_discrete_sweep():
        choices = [str(value) for value in parsed.sweep_string_iterator()]
        if not choices:
            raise ValueError("nothing to choose from")
        return CategoricalDistribution(choices)
    raise ValueError("expected choice(), range() or interval()")


def _interval(sweep: IntervalSweep, *, whole: bool, log: bool) -> BaseDistribution:
    assert sweep.start is not None
    assert sweep.end is not None
    low, high = float(sweep.start), float(sweep.end)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("an end that is no number; expected two numbers, the smaller one first")
    if low > high:
        raise ValueError(f"{low:g} is more than {high:g}; expected two numbers, the smaller one first")
    _check_log(low, log)
    if not whole:
        return FloatDistribution(low, high, log=log)
    if not (low.is_integer() and high.is_integer()):
        raise ValueError("an end between two whole numbers; expected whole numbers under tag(int)")
    return IntDistribution(int(low), int(high), log=log)


def _range(sweep: RangeSweep, *, log: bool) -> BaseDistribution:
    count = count_range(sweep)
    if not count:
        raise ValueError("an empty range; its end is left out")
    values: Any = sweep.range()
    if isinstance(values, range):
        low, high = sorted((values[0], values[-1]))
        if max(-low, high) >= 2**63:
            raise ValueError("expected numbers of at most 64 bits")
        _check_log(low, log)
        return IntDistribution(low, high, log=log, step=1 if log else abs(int(sweep.step)))
    if count > _MOST_STEPS:
        raise ValueError(f"{count:,} steps; expected at most {_MOST_STEPS:,}; interval() has no steps")
    steps = list(values)
    low, high = min(steps), max(steps)
    _check_log(low, log)
    return FloatDistribution(low, high, log=log, step=None if log else abs(float(sweep.step)))


def _check_log(low: float, log: bool) -> None:
    if log and low <= 0:
        raise ValueError(f"{low:g} has no logarithm; expected numbers above 0")


class Space(Protocol):
    """Where a trial's overrides come from."""

    def suggest(self, trial: Trial) -> list[str]:
        """The overrides of a trial, sampled through it."""
        ...

    def describe(self) -> dict[str, str]:
        """What may vary, as plain text by key: two spaces are the same if this is."""
        ...


@dataclass(frozen=True, slots=True)
class FlatSpace:
    """Keys that vary independently of one another."""

    parameters: tuple[Parameter, ...]

    def suggest(self, trial: Trial) -> list[str]:
        """One override a key."""
        return [override(parameter.key, parameter.suggest(trial)) for parameter in self.parameters]

    def describe(self) -> dict[str, str]:
        """Each key with its distribution."""
        return {parameter.key: str(parameter.distribution) for parameter in self.parameters}


@dataclass(frozen=True, slots=True)
class BlockSpace:
    """The blocks of a convolutional network, as many as a trial's depth, each with values of its own.

    Blocks beyond the depth have no parameters. A pool that is larger than what the blocks before it have left of the
    map is cut down to that, so that every trial is a network that can be built.

    Args:
        rest: everything that is not of one block, with the depth if it varies.
        parameters: of each block: ``filters``, ``kernel``, ``pool``, ``dropout``.
        blocks: what a block is made of otherwise, from the configuration; beyond the list its last entry counts.
        depth: how many blocks where ``model.depth`` does not vary.
        shape: ``(mel, frame)`` of the map.
    """

    rest: FlatSpace
    parameters: tuple[Parameter, ...]
    blocks: tuple[Mapping[str, Any], ...]
    depth: int
    shape: tuple[int, int]

    def suggest(self, trial: Trial) -> list[str]:
        """The overrides of the rest, and one that holds all blocks."""
        fixed = [line for line in self.rest.suggest(trial) if not line.startswith("model.depth=")]
        depth = int(trial.params.get("model.depth", self.depth))
        left = self.shape
        made = []
        for position in range(depth):
            block = dict(self.blocks[min(position, len(self.blocks) - 1)])
            if position >= len(self.blocks):
                block["pool"] = None
            for parameter in self.parameters:
                value = parameter.suggest(trial, f"model.blocks.{position}.{parameter.key}")
                block[parameter.key] = _value(value) if isinstance(value, str) else value
            pool = block.get("pool")
            if pool is not None:
                pool = [min(pool[0], left[0]), min(pool[1], left[1])]
                left = left[0] // pool[0], left[1] // pool[1]
                block["pool"] = None if pool == [1, 1] else pool
            made.append(block)
        return [*fixed, "model.depth=null", override("model.blocks", made)]

    def describe(self) -> dict[str, str]:
        """Each key with its distribution; a block's with ``*`` for its position."""
        of_blocks = {f"model.blocks.*.{parameter.key}": str(parameter.distribution) for parameter in self.parameters}
        return self.rest.describe() | of_blocks


@cache
def _value(text: str) -> Any:
    """A choice's text as the value that Hydra reads in it."""
    return OverridesParser.create().parse_override(f"x={text}").value()


def _check_reach(parameter: Parameter) -> None:
    """Refuse a range that goes beyond what its key may be: trials there would be rejected, one after the other.

    Raises:
        UserError: with the key and its bound.
    """
    low, high = getattr(parameter.distribution, "low", None), getattr(parameter.distribution, "high", None)
    bound = BOUNDS.get(parameter.key, (None, None))[1]
    if low is None or high is None or bound is None:
        return
    if high > bound:
        raise UserError(f"{parameter.key}: values from {low:g} to {high:g}; expected at most {bound:,}")


def make_space(
    parameters: Mapping[str, str],
    of_blocks: Mapping[str, str] | None,
    *,
    parser: OverridesParser,
    blocks: Sequence[Mapping[str, Any]],
    depth: int | None,
    shape: tuple[int, int],
) -> Space:
    """The space that a configuration describes.

    Args:
        parameters: key → expression.
        of_blocks: what each block varies, name → expression; None or empty = nothing.
        blocks: the configuration's own, to fill what does not vary.
        depth: the configuration's own; None = all blocks.
        shape: ``(mel, frame)`` of the front end's maps.

    Raises:
        UserError: for an expression that is none, an empty space, or blocks of a network that has none.
    """
    flat = FlatSpace(tuple(parse_parameter(key, text, parser) for key, text in parameters.items()))
    for parameter in flat.parameters:
        _check_reach(parameter)
    if not of_blocks:
        if not flat.parameters:
            raise UserError("search: nothing varies; expected search=NAME, or a key with choice(), range(), interval()")
        return flat
    if not blocks:
        raise UserError("search.blocks: the model has no list of blocks; expected one such as baseline_cnn")
    known = ("filters", "kernel", "pool", "dropout")
    for name in of_blocks:
        if name not in known:
            raise UserError(f"search.blocks.{name}: no such part of a block; expected one of {', '.join(known)}")
    inner = tuple(parse_parameter(name, text, parser) for name, text in of_blocks.items())
    return BlockSpace(flat, inner, tuple(blocks), depth or len(blocks), shape)
