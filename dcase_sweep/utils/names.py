"""Names that people choose for studies, runs and experiments."""

import unicodedata

from dcase_sweep.utils.errors import UserError

#: Characters of a run's name that every store takes.
LONGEST_RUN_NAME = 250


def check_name(name: str, key: str, longest: int) -> str:
    """The name, if it can stand in one line, in a database and in MLflow.

    Quotation marks, slashes and letters of any script are allowed.

    Args:
        name: the name.
        key: of the configuration, for the message.
        longest: the most characters.

    Raises:
        UserError: for an empty name, a long one, and one with line ends or other control characters.
    """
    shown = ascii(name[:40]) + (" …" if len(name) > 40 else "")
    if not name.strip():
        raise UserError(f"{key}={shown}: empty; expected a name, or null for one that is made")
    if len(name) > longest:
        raise UserError(f"{key}={shown}: {len(name):,} characters; expected at most {longest}")
    bad = next((each for each in name if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp")), None)
    if bad is not None:
        raise UserError(f"{key}={shown}: holds the control character {bad!a}; expected a name of one line")
    return name
