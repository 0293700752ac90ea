"""Values as Hydra's command line takes them."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from dcase_sweep.errors import UserError


def combinations(parser: OverridesParser, arguments: Sequence[str]) -> list[tuple[str, ...]]:
    """The overrides of each job: the product of all sweeps, the last one varying fastest.

    Raises:
        UserError: for a sweep over a range of numbers without steps.
    """
    choices: dict[str, list[str]] = {}
    for override in parser.parse_overrides(list(arguments)):
        key = override.get_key_element()
        if not override.is_sweep_override():
            choices[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            choices[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise UserError(f"{override.input_line}: a grid needs discrete values; expected choice() or range()")
    return list(itertools.product(*choices.values()))


def escape_interpolation(text: str) -> str:
    """A text that OmegaConf takes as it stands: ``${`` would be read as a reference to another key."""
    return re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + "\\${", text)


def quote(text: str) -> str:
    """A text as one quoted value of Hydra's grammar, which means the same text again, whatever stands in it.

    Backslashes count there only before a quotation mark, which the last one stands before too.
    """
    escaped = re.sub(r"(\\*)'", lambda found: found[1] * 2 + "\\'", escape_interpolation(text))
    return "'" + re.sub(r"(\\+)$", lambda found: found[1] * 2, escaped) + "'"


def to_text(value: Any) -> str:
    """A plain value in the grammar of Hydra's overrides; texts stay as they are."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{to_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(to_text(item) for item in value) + "]"
    return repr(value) if isinstance(value, float) else str(value)


def override(key: str, value: Any) -> str:
    """``key=value`` as one would type it."""
    return f"{key}={to_text(value)}"
