"""Which values a key may have: one of a few, or one in a range."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from dcase_sweep.utils.errors import UserError

#: The lowest and the highest legal value; None = no bound.
Range = tuple[float | None, float | None]


def check_choices(settings: Any, choices: Mapping[str, tuple[str, ...]], prefix: str = "") -> None:
    """Refuse a value that is none of its key's.

    Args:
        settings: whose attributes the keys are, dotted ones within each other.
        choices: what each key may be.
        prefix: what stands before the keys in the configuration, with its dot.

    Raises:
        UserError: for the first, with its key.
    """
    for key, allowed in choices.items():
        value = attrgetter(key)(settings)
        if value not in allowed:
            raise UserError(f"{prefix}{key}={value}: expected one of {', '.join(allowed)}")


def check_ranges(settings: Any, ranges: Mapping[str, Range], prefix: str = "") -> None:
    """Refuse a number out of its key's range, and what is no number; a key that is not set has none.

    Raises:
        UserError: for the first, with its key.
    """
    for key, (low, high) in ranges.items():
        value = attrgetter(key)(settings)
        if value is None:
            continue
        # Written so that NaN, which every comparison denies, is refused too.
        if not ((low is None or value >= low) and (high is None or value <= high)):
            bounds = f"at least {low}" if high is None else f"from {low} to {high}"
            raise UserError(f"{prefix}{key}={value}: expected {bounds}")
