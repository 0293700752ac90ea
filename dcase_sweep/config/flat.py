"""Typed configurations: as plain values, for logs and comparisons, and copies of them."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

#: Types whose values are not copied.
_SINGLE = frozenset({str, int, float, bool, type(None)})


def plain(value: Any) -> Any:
    """Convert nested dataclasses and OmegaConf nodes to dictionaries, lists and scalars."""
    if isinstance(value, (DictConfig, ListConfig)):
        return OmegaConf.to_container(value, resolve=True)
    if is_dataclass(value) and not isinstance(value, type):
        return {member.name: plain(getattr(value, member.name)) for member in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten to dotted keys and scalar values. A list of scalars is one value."""
    flat: dict[str, Any] = {}
    _add(flat, prefix, plain(value))
    return flat


def _add(flat: dict[str, Any], prefix: str, value: Any) -> None:
    if isinstance(value, dict):
        pairs: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        pairs = enumerate(value)
    else:
        flat[prefix] = value
        return
    for key, item in pairs:
        _add(flat, f"{prefix}.{key}" if prefix else str(key), item)


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Invert `flatten`. Keys that count from 0 become positions in a list."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *path, name = key.split(".")
        inner = nested
        for part in path:
            inner = inner.setdefault(part, {})
        inner[name] = value
    return {key: _as_lists(value) for key, value in nested.items()}


def _as_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _as_lists(item) for key, item in value.items()}
    is_list = inner and list(inner) == [str(position) for position in range(len(inner))]
    return list(inner.values()) if is_list else inner


def copy_typed(value: Any) -> Any:
    """Copy typed values; ``copy.deepcopy`` takes twenty times as long."""
    kind = type(value)
    if kind in _SINGLE:
        return value
    if kind is dict:
        return {name: copy_typed(each) for name, each in value.items()}
    if kind is list:
        return [copy_typed(each) for each in value]
    if is_dataclass(kind):
        made = copy.copy(value)
        for name, each in vars(value).items():
            object.__setattr__(made, name, copy_typed(each))
        return made
    return value
