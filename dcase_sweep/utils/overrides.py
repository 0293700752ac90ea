"""Values in the grammar of Hydra's command line."""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep

from dcase_sweep.utils.errors import UserError

#: Largest number of jobs of a sweep. All are composed and validated before the first one starts, which would take
#: hours.
MOST_JOBS = 10_000


def count_range(sweep: RangeSweep) -> int:
    """Count the values of a range without creating them.

    Raises:
        ValueError: for an infinite range, or steps in the wrong direction.
    """
    start, stop, step = sweep.start, sweep.stop, sweep.step
    if start is None or stop is None or not all(math.isfinite(number) for number in (start, stop, step)):
        raise ValueError("expected a range of finite numbers")
    if step == 0:
        raise ValueError("a range with a step of 0; expected another one")
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
        return len(range(start, stop, step)) if abs(stop - start) < 2**62 else abs((stop - start) // step)
    return max(0, math.ceil((stop - start) / step))


def combinations(parser: OverridesParser, arguments: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the overrides of each job: the product of all sweeps; the last one varies fastest.

    Raises:
        UserError: for a sweep over a range of numbers without steps, and for more jobs than `MOST_JOBS`.
    """
    choices: dict[str, list[str]] = {}
    parsed = parser.parse_overrides(list(arguments))
    for override in parsed:
        _check_range(override)
    for override in parsed:
        key = override.get_key_element()
        if not override.is_sweep_override():
            choices[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            choices[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise UserError(f"{override.input_line}: a grid needs discrete values; expected choice() or range()")
    empty = next((override for override in parsed if not choices[override.get_key_element()]), None)
    if empty is not None:
        raise UserError(f"{empty.input_line}: no values; expected at least one (a range excludes its end)")
    jobs = math.prod(len(values) for values in choices.values())
    if jobs > MOST_JOBS:
        longest = max(choices, key=lambda key: len(choices[key]))
        raise UserError(
            f"{longest}: {jobs:,} jobs; expected at most {MOST_JOBS:,} in one sweep; use fewer values, or search "
            "among them with hydra/sweeper=optuna"
        )
    return list(itertools.product(*choices.values()))


def _check_range(override: Override) -> None:
    """Check the number of values of a range before they are created."""
    sweep = override.value() if override.is_range_sweep() else None
    if not isinstance(sweep, RangeSweep):
        return
    try:
        count = count_range(sweep)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{override.input_line}: {error}") from None
    if count > MOST_JOBS:
        raise UserError(
            f"{override.input_line}: {count:,} jobs; expected at most {MOST_JOBS:,} in one sweep; use larger steps, or "
            "search among them with hydra/sweeper=optuna"
        )


def escape_interpolation(text: str) -> str:
    """Escape a text so that OmegaConf does not resolve it: ``${`` would be read as a reference to another key."""
    return re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + "\\${", text)


def quote(text: str, *, resolve: bool = False) -> str:
    """Quote a text as one value of Hydra's grammar, whatever it contains.

    Backslashes are only special before a quotation mark, and the last one precedes the closing mark.

    Args:
        text: any text.
        resolve: whether ``${`` in the text refers to another key.
    """
    text = text if resolve else escape_interpolation(text)
    escaped = re.sub(r"(\\*)'", lambda found: found[1] * 2 + "\\'", text)
    return "'" + re.sub(r"(\\+)$", lambda found: found[1] * 2, escaped) + "'"


def to_text(value: Any) -> str:
    """Format a plain value in the grammar of Hydra's overrides; texts are not changed."""
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
    """Format ``key=value`` as it would be typed."""
    return f"{key}={to_text(value)}"
