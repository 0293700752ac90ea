"""The keys of a group that names a class: the typed arguments of its constructor.

OmegaConf supports numbers, texts, lists, dictionaries and dataclasses. Arguments with other annotations (a ``Literal``,
most unions, a class, none) are passed to the constructor unvalidated. hydra-zen widens types in the same way. It is not
used because it would replace only these few lines, and its generated classes neither omit arguments that are passed
later nor suggest the nearest correct key.
"""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, make_dataclass
from enum import Enum
from functools import lru_cache, partial
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Any, Optional, Union, get_args, get_origin, get_type_hints

from omegaconf import MISSING, OmegaConf

from dcase_sweep.config.flat import plain
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import suggest

#: Hydra's keywords, which may occur next to the arguments.
TARGET, PARTIAL = "_target_", "_partial_"
_NONE = inspect.Parameter.empty
#: Types of values in YAML, and types to which they are converted.
_WRITABLE = (str, int, float, bytes, list, dict, tuple, set, frozenset, PurePath, Enum, NoneType)


@dataclass(frozen=True, slots=True)
class Signature:
    """The keyword arguments of a constructor.

    Attributes:
        arguments: names and parameters, except those that are passed later.
        types: types by name; ``Any`` if an annotation cannot be resolved.
        is_open: whether it accepts further arguments of any name.
    """

    arguments: Mapping[str, inspect.Parameter]
    types: Mapping[str, Any]
    is_open: bool

    @property
    def required(self) -> list[str]:
        """The arguments without a default."""
        return [name for name, parameter in self.arguments.items() if parameter.default is _NONE]


@lru_cache(maxsize=128)
def read_signature(target: Callable[..., Any], given: frozenset[str] = frozenset()) -> Signature:
    """Read the keyword arguments of a class or function.

    Args:
        target: the class or function.
        given: arguments that are passed later and cannot be configured.
    """
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):  # a class of native code
        return Signature({}, {}, is_open=True)
    try:
        hints = get_type_hints(inspect.getattr_static(target, "__init__") if isinstance(target, type) else target)
    except Exception:  # names that exist only for type checkers
        hints = {}
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    arguments = {name: each for name, each in parameters.items() if each.kind in kinds and name not in given}
    types = {name: hints.get(name, _plain_annotation(each)) for name, each in arguments.items()}
    is_open = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    return Signature(arguments, types, is_open)


def _plain_annotation(parameter: inspect.Parameter) -> Any:
    annotation = parameter.annotation
    return Any if annotation is _NONE or isinstance(annotation, str) else annotation


def check_keys(prefix: str, keys: Iterable[str], signature: Signature, *, more: Collection[str] = ()) -> None:
    """Check that the constructor accepts all keys.

    Args:
        prefix: prefix of the keys in the configuration, with its dot.
        more: further valid keys.

    Raises:
        UserError: for the first unknown key, with the nearest correct one.
    """
    if signature.is_open:
        return
    for key in keys:
        if key not in signature.arguments and key not in more and key != TARGET:
            known = [*signature.arguments, *more]
            expected = f"expected {'one of ' + ', '.join(known) if known else 'no arguments'};"
            hint = suggest(key, known, prefix=prefix, otherwise=expected)
            # The key may be of the file of the group, for another class than the chosen one.
            raise UserError(f"{prefix}{key}: no such key; {hint} ~{prefix}{key} removes it")


def make_schema(
    target: Callable[..., Any], given: Iterable[str] = (), values: Mapping[str, Any] | None = None, *, full: bool = True
) -> type:
    """Create a dataclass with the keyword arguments of a constructor, except the given ones.

    Defaults that OmegaConf does not support are omitted, so that the constructor's own default applies.

    Args:
        target: a class or function.
        given: arguments that are passed later.
        values: configured values, for arguments that are not in the signature (``**kwargs``) and for nested objects
            with their own class. These are not typed.
        full: whether to include arguments that are not configured, with their defaults.
    """
    values = values or {}
    signature = read_signature(target, frozenset(given))
    members: list[Any] = [(TARGET, str)]
    for name, parameter in signature.arguments.items():
        if name not in values and not full:
            continue
        annotation = Any if names_class(values.get(name)) else signature.types[name]
        member = _member(name, annotation, parameter.default)
        if member is not None:
            members.append(member)
        elif name in values:
            members.append((name, Any, field(default=None)))
    known = {TARGET, *signature.arguments}
    members += [(name, Any, field(default=None)) for name in values if name not in known]
    return make_dataclass(getattr(target, "__name__", "Settings"), members)


def names_class(value: Any) -> bool:
    """Whether a value describes an object at any depth."""
    if isinstance(value, Mapping):
        return TARGET in value or any(names_class(each) for each in value.values())
    return isinstance(value, Sequence) and not isinstance(value, str) and any(names_class(each) for each in value)


class Shape:
    """The values of a group. Two are equal if they have the same keys and describe objects at the same positions."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.key = tuple((name, names_class(value)) for name, value in values.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shape) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(maxsize=256)
def cached_schema(target: Callable[..., Any], given: frozenset[str], shape: Shape, *, full: bool) -> type:
    """Return `make_schema`, which takes milliseconds, once for each shape of the values."""
    return make_schema(target, given, shape.values, full=full)


def _member(name: str, annotation: Any, default: Any) -> Any:
    """Create a field of the narrowest type that OmegaConf supports; None if it does not support the default."""
    default = MISSING if default is _NONE else plain(default)
    made: Any = {"default": default}
    if isinstance(default, (list, dict)):
        made = {"default_factory": partial(type(default), default)}
    annotation = _storable(annotation)
    for each in (annotation, Optional[annotation], Any) if default is None else (annotation, Any):  # noqa: UP045
        member = (name, each, field(**made))
        if _can_be_held(member):
            return member
    return None


def _can_be_held(member: Any) -> bool:
    try:
        OmegaConf.structured(make_dataclass("Probe", [member]))
    except Exception:  # OmegaConf rejects types with several errors
        return False
    return True


def _storable(annotation: Any) -> Any:
    """Convert a type to one that OmegaConf supports: sequences become lists."""
    origin, members = get_origin(annotation), get_args(annotation)
    if origin is Sequence:
        return list[_storable(members[0])]  # type: ignore[misc]
    if origin in (Union, UnionType):
        return Union[tuple(each for each in members if _can_be_written(each))]  # noqa: UP007
    return annotation


def _can_be_written(annotation: Any) -> bool:
    """Whether a configuration can contain a value of this type without a ``_target_``."""
    return not isinstance(annotation, type) or issubclass(annotation, _WRITABLE) or is_dataclass(annotation)
