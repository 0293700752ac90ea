"""Reading of YAML files that are not trusted, and writing of metadata."""

from pathlib import Path
from typing import Any

import yaml

from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable
from dcase_sweep.utils.text_files import read_text

#: Largest file; metadata are about two pages long.
_MOST_CHARACTERS, _MOST_EVENTS, _DEEPEST = 256 * 1024, 20_000, 20
#: Largest number of characters of a value. Python does not print integers of more than 4,300 digits.
_LONGEST = 3_000


def read_yaml(path: Path) -> dict[str, Any]:
    """Read keys and values in YAML's safe subset, without aliases.

    Raises:
        UserError: in one line, for a file without them.
    """
    expected = "keys and values in YAML"
    text = read_text(path, expected=expected)
    if len(text) > _MOST_CHARACTERS:
        raise UserError(f"{path}: {len(text):,} characters; expected {expected}, at most {_MOST_CHARACTERS:,}")
    try:
        _check_events(text)
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        reason = printable(" ".join(str(getattr(error, "problem", None) or error).split()), 200)
        raise UserError(f"{path}{where}: {reason}; expected {expected}") from None
    except (ValueError, RecursionError, OverflowError) as error:  # for example an invalid date
        raise UserError(f"{path}: {printable(' '.join(str(error).split()), 200)}; expected {expected}") from None
    if not isinstance(found, dict) or not all(isinstance(key, str | int) for key in found):
        raise UserError(f"{path}: no keys; expected {expected}")
    return {str(key): value for key, value in found.items()}


def write_yaml(values: dict[str, Any]) -> str:
    """Format metadata as text, in the order of the keys."""
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100))


def _check_events(text: str) -> None:
    """Check limits before values are built.

    Raises:
        ValueError: for aliases, excessive nesting, or too many values.
        yaml.YAMLError: for text that is not YAML.
    """
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"line {line}: an alias; write the value again")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > _LONGEST:
            raise ValueError(f"line {line}: a value of {len(event.value):,} characters, more than {_LONGEST:,}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST or number > _MOST_EVENTS:
            raise ValueError(f"line {line}: more than {_DEEPEST} levels or {_MOST_EVENTS:,} values")
