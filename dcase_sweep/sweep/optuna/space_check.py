"""Check of the values of a search space: a value that no trial can have is reported before the first trial runs."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import Trial

from dcase_sweep.sweep.optuna.points import canonical
from dcase_sweep.sweep.optuna.space import Space
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

#: How often the other parameters are drawn before a value is taken for impossible.
_DRAWS = 20
#: Largest number of values that are checked.
_MOST = 500
#: How far inside a range a value is tried whose end is not valid, as a fraction: ends may be exclusive.
_INSIDE = 1e-3
#: A position in a list, in the name of a parameter or of a key.
_POSITION = re.compile(r"\.\d+(?=\.|$)|\[\d+\]")
_ERRORS = (UserError, HydraException, OmegaConfBaseException)


def check_values(space: Space, check: Callable[[Sequence[str]], None]) -> None:
    """Check every choice and both ends of every range, each in a trial whose other values are valid.

    A value is refused if no trial is valid with it and the value itself is the reason: the message names its key, or it
    is the choice of a group. Values that are invalid in some combinations only are left to the rejection of trials.

    Args:
        space: the space.
        check: composes and checks the configuration of a trial.

    Raises:
        UserError: for such a value; or an error of Hydra for a key that does not exist.
    """
    draws = _Draws(space, check)
    base = draws.find_valid({})
    if base is None:
        return
    seen: set[str] = set()
    waiting = dict(base.distributions)
    checked = 0
    while waiting and checked < _MOST:
        name = next(iter(waiting))
        distribution = waiting.pop(name)
        if _POSITION.sub("", name) in seen:
            continue
        seen.add(_POSITION.sub("", name))
        for value in _list_ends(distribution)[: _MOST - checked]:
            checked += 1
            found = draws.find_valid_end(name, value, distribution, base.params)
            waiting |= found.distributions if found is not None else {}


class _Draws:
    """Draws trials at random, and checks them.

    Args:
        space: the space.
        check: composes and checks the configuration of a trial.
    """

    def __init__(self, space: Space, check: Callable[[Sequence[str]], None]) -> None:
        self._space = space
        self._check = check
        self._study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))

    def find_valid_end(
        self, name: str, value: Any, distribution: BaseDistribution, others: Mapping[str, Any]
    ) -> Trial | None:
        """Return a valid trial with a value, or with one near it if it is an end that may be exclusive."""
        try:
            return self.find_valid({name: value}, others)
        except _ERRORS:
            inner = _move_inside(value, distribution)
            if inner is None:
                raise
            try:
                return self.find_valid({name: inner}, others)
            except _ERRORS:
                pass
            raise

    def find_valid(self, wanted: Mapping[str, Any], others: Mapping[str, Any] | None = None) -> Trial | None:
        """Return a valid trial with the wanted values; None if other values may be the reason that there is none.

        Args:
            wanted: the wanted values.
            others: values of the other parameters for the first draw, where they are valid.
        """
        first: Exception | None = None
        is_other = False
        for draw in range(_DRAWS):
            self._study.enqueue_trial({**(others or {}), **wanted} if draw == 0 else dict(wanted))
            trial = self._study.ask()
            try:
                self._check(self._space.suggest(trial))
            except _ERRORS as error:
                first = first or error
                is_other = is_other or not _is_reason(error, wanted or trial.params)
            else:
                return trial
            if is_other and wanted:
                return None
        if is_other:
            return None
        assert first is not None
        raise _describe(first, wanted)


def _is_reason(error: Exception, values: Mapping[str, Any]) -> bool:
    """Whether one of these values is the reason of an error, as far as its message says."""
    if not isinstance(error, UserError):
        return True  # a key does not exist
    head = str(error).partition(": ")[0]
    key, _, shown = head.partition("=")
    key = _POSITION.sub("", key)
    for name, value in values.items():
        name = _POSITION.sub("", name.lstrip("+"))
        if f"{key}.".startswith(f"{name}.") or (shown and canonical(shown) == canonical(str(value))):
            return True
        if "." not in name and name != "seed":  # the choice of a group
            return True
    return False


def _describe(error: Exception, wanted: Mapping[str, Any]) -> Exception:
    """Return the error with the choice that is its reason, unless it names the key itself."""
    if not isinstance(error, UserError) or not wanted:
        return error
    ((name, value),) = wanted.items()
    is_named = str(error).startswith(name.lstrip("+"))
    return error if is_named else UserError(f"{name}={printable(value, 80)}: {error}")


def _list_ends(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    low, high = distribution.low, distribution.high  # type: ignore[attr-defined]
    return [low] if low == high else [low, high]


def _move_inside(value: Any, distribution: BaseDistribution) -> float | None:
    """Return a value of a continuous range near one of its ends; None for others."""
    if not isinstance(distribution, FloatDistribution) or distribution.step is not None:
        return None
    low, high = distribution.low, distribution.high
    part = _INSIDE if value == low else 1 - _INSIDE
    return (
        math.exp((1 - part) * math.log(low) + part * math.log(high)) if distribution.log else low + part * (high - low)
    )
