"""Search spaces: expressions in Hydra's grammar, and the conversion of a trial's values to overrides."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.overrides import count_range, override
from dcase_sweep.utils.text import printable

#: Largest number of steps of a floating-point range.
_MOST_STEPS = 1_000_000


@dataclass(frozen=True, slots=True)
class Parameter:
    """One key of the configuration and its possible values. Choices are texts as typed on the command line."""

    key: str
    distribution: BaseDistribution

    def suggest(self, trial: Trial, name: str | None = None) -> Any:
        """Suggest a value, under the name of the key or another name."""
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
    """Parse an expression in Hydra's grammar as a distribution.

    ``choice(a,b)`` or ``a,b``; ``range(start,stop[,step])``, which excludes its end as everywhere in Hydra;
    ``interval(low,high)``, which includes both ends; ``tag(log, ...)`` and ``tag(int, ...)`` as in Hydra's Optuna
    plugin.

    Raises:
        UserError: for any other expression.
    """
    shown = f"{printable(key)}={printable(expression)}"
    try:
        parsed = parser.parse_override(f"{key}={expression}")
    except HydraException as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{shown}: {printable(reason)}; expected choice(), range() or interval()") from None
    if not parsed.is_sweep_override():
        raise UserError(f"{shown}: only one value; expected choice(), range() or interval()")
    try:
        return Parameter(key, _distribution(parsed))
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{shown}: {error}") from None
    except HydraException:  # glob() of something that is not a group
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
        return _range(sweep, whole="int" in tags, log=log)
    if isinstance(sweep, ChoiceSweep) or parsed.is_discrete_sweep():
        if tags:
            raise ValueError(f"tag({sorted(tags)[0]}) has no meaning for a list of values; leave it out")
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
        raise ValueError("an end that is not a number; expected two numbers, the smaller one first")
    if low > high:
        raise ValueError(f"{low:g} is more than {high:g}; expected two numbers, the smaller one first")
    _check_log(low, log)
    if not whole:
        return FloatDistribution(low, high, log=log)
    if not (low.is_integer() and high.is_integer()):
        raise ValueError("an end between two whole numbers; expected whole numbers under tag(int)")
    return IntDistribution(int(low), int(high), log=log)


def _range(sweep: RangeSweep, *, whole: bool, log: bool) -> BaseDistribution:
    count = count_range(sweep)
    if not count:
        raise ValueError("an empty range; the end of a range is excluded")
    values: Any = sweep.range()
    if isinstance(values, range):
        low, high = sorted((values[0], values[-1]))
        if max(-low, high) >= 2**63:
            raise ValueError("expected numbers of at most 64 bits")
        _check_log(low, log)
        step = abs(int(sweep.step))
        if log and step != 1:
            raise ValueError(f"a logarithmic range has no steps of {step}; expected no step, or choice() of the values")
        return IntDistribution(low, high, log=log, step=step)
    if whole:
        raise ValueError("a range of numbers with a fraction; expected whole numbers under tag(int)")
    if log:
        raise ValueError("a logarithmic range of numbers with a fraction has no steps; expected tag(log,interval())")
    if count > _MOST_STEPS:
        raise ValueError(f"{count:,} steps; expected at most {_MOST_STEPS:,}; interval() has no steps")
    steps = list(values)
    return FloatDistribution(min(steps), max(steps), step=abs(float(sweep.step)))


def _check_log(low: float, log: bool) -> None:
    if log and low <= 0:
        raise ValueError(f"{low:g} has no logarithm; expected numbers above 0")


def only(distribution: BaseDistribution, value: Any) -> BaseDistribution:
    """Return a distribution of the same type with a single value."""
    if isinstance(distribution, CategoricalDistribution):
        return CategoricalDistribution([value])
    return IntDistribution(value, value) if isinstance(value, int) else FloatDistribution(value, value)


class Space(Protocol):
    """Produces the overrides of trials."""

    def suggest(self, trial: Trial) -> list[str]:
        """Sample the overrides of a trial."""
        ...

    def describe(self) -> dict[str, str]:
        """Describe the space as plain text by key. Equal spaces have equal descriptions."""
        ...

    def list_parts(self) -> list[dict[str, BaseDistribution]] | None:
        """Return the parameters of each part of a conditional space, by name; None if they cannot be listed.

        A trial has the parameters of exactly one part. A space without conditions has one part.
        """
        ...


@dataclass(frozen=True, slots=True)
class FlatSpace:
    """A space of keys that vary independently."""

    parameters: tuple[Parameter, ...]

    def suggest(self, trial: Trial) -> list[str]:
        """Suggest one override for each key."""
        return [override(parameter.key, parameter.suggest(trial)) for parameter in self.parameters]

    def describe(self) -> dict[str, str]:
        """Return the distribution of each key."""
        return {parameter.key: str(parameter.distribution) for parameter in self.parameters}

    def list_parts(self) -> list[dict[str, BaseDistribution]]:
        """One part."""
        return [{parameter.key: parameter.distribution for parameter in self.parameters}]


def make_space(expressions: Mapping[str, str], parser: OverridesParser) -> FlatSpace:
    """Create a space of keys that vary independently.

    Args:
        expressions: key → expression.
        parser: a parser of Hydra's grammar.

    Raises:
        UserError: for an invalid expression, or if there is none.
    """
    if not expressions:
        raise UserError(
            "nothing varies; expected hydra.sweeper.params, or a key with choice(), range() or interval() on the "
            "command line"
        )
    return FlatSpace(tuple(parse_parameter(key, text, parser) for key, text in expressions.items()))
