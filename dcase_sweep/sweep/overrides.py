"""Values as Hydra's command line takes them."""

from collections.abc import Mapping, Sequence
from typing import Any


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
