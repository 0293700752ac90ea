"""Checks of values: one of several choices, or a number within a range."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from dcase_sweep.utils.errors import UserError

#: The lowest and the highest valid value; None = no bound.
Range = tuple[float | None, float | None]


def check_choices(settings: Any, choices: Mapping[str, tuple[str, ...]], prefix: str = "") -> None:
    """Check that values are among the choices of their keys.

    Args:
        settings: an object whose attributes are the keys; dotted keys are nested attributes.
        choices: the choices of each key.
        prefix: prefix of the keys in the configuration, with its dot.

    Raises:
        UserError: for the first invalid value, with its key.
    """
    for key, allowed in choices.items():
        value = attrgetter(key)(settings)
        if value not in allowed:
            raise UserError(f"{prefix}{key}={value}: expected one of {', '.join(allowed)}")


def check_ranges(settings: Any, ranges: Mapping[str, Range], prefix: str = "") -> None:
    """Check that numbers are within the ranges of their keys. None is valid.

    Raises:
        UserError: for the first invalid value, with its key.
    """
    for key, (low, high) in ranges.items():
        value = attrgetter(key)(settings)
        if value is None:
            continue
        # Negated, so that NaN is rejected too.
        if not ((low is None or value >= low) and (high is None or value <= high)):
            bounds = f"at least {low}" if high is None else f"from {low} to {high}"
            raise UserError(f"{prefix}{key}={value}: expected {bounds}")
