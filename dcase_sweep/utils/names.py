"""Checks of the names that users choose for studies, runs and experiments, and short names of keys."""

import unicodedata
from collections.abc import Iterable

from dcase_sweep.utils.errors import UserError

#: The longest name of a run that every MLflow store accepts, in characters.
LONGEST_RUN_NAME = 250


def check_name(name: str, key: str, longest: int) -> str:
    """Return the name if it fits in one line, in a database and in MLflow.

    Quotation marks, slashes and letters of any script are allowed.

    Args:
        name: the name.
        key: the configuration key that the message names.
        longest: the largest number of characters.

    Raises:
        UserError: for a name that is empty or too long, or has line ends or other control characters.
    """
    shown = ascii(name[:40]) + (" …" if len(name) > 40 else "")
    if not name.strip():
        raise UserError(f"{key}={shown}: empty; expected a name, or null to generate one")
    if len(name) > longest:
        raise UserError(f"{key}={shown}: {len(name):,} characters; expected at most {longest}")
    bad = next((each for each in name if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp")), None)
    if bad is not None:
        raise UserError(f"{key}={shown}: contains the control character {bad!a}; expected a name in one line")
    return name


def shorten_key(key: str, others: Iterable[str]) -> str:
    """Shorten a key to its last parts, as long as it differs from the other keys."""
    parts = key.split(".")
    for count in range(1, len(parts)):
        short = ".".join(parts[-count:])
        if not any(other != key and (other == short or other.endswith("." + short)) for other in others):
            return short
    return key
