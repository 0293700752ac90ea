"""The keys of a group that names a class: the arguments of its constructor, typed where the types can be held.

OmegaConf holds numbers, texts, lists, dictionaries and dataclasses. Whatever else a constructor is annotated with (a
``Literal``, most unions, a class, nothing at all) is accepted as it is and left to the constructor. hydra-zen widens
types in the same way; it is no dependency, because it would replace these few lines only, and its generated classes
neither leave out the arguments that arrive later nor say what the nearest right key is.
"""

import difflib
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

#: Words of Hydra's that may stand beside the arguments.
TARGET, PARTIAL = "_target_", "_partial_"
_NONE = inspect.Parameter.empty
#: What a value of YAML can be, or is turned into.
_WRITABLE = (str, int, float, bytes, list, dict, tuple, set, frozenset, PurePath, Enum, NoneType)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a constructor takes by keyword.

    Attributes:
        arguments: names and parameters, those left out that arrive later.
        types: by their names; ``Any`` where an annotation cannot be resolved.
        is_open: whether it takes further arguments of any name.
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
    """What a class or function takes by keyword.

    Args:
        target: the class or function.
        given: arguments that arrive later, which no configuration sets.
    """
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):  # a class of native code
        return Signature({}, {}, is_open=True)
    try:
        hints = get_type_hints(inspect.getattr_static(target, "__init__") if isinstance(target, type) else target)
    except Exception:  # names that exist for type checkers alone
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
    """Refuse a key that the constructor does not take.

    Args:
        prefix: of the keys in the configuration, with its dot.
        more: keys that are allowed beside the arguments.

    Raises:
        UserError: for the first, with the nearest right key.
    """
    if signature.is_open:
        return
    for key in keys:
        if key not in signature.arguments and key not in more and key != TARGET:
            near = difflib.get_close_matches(key, [*signature.arguments, *more], n=1)
            expected = ", ".join([*signature.arguments, *more]) or "no argument"
            hint = (
                f"did you mean {prefix}{near[0]}?" if near else f"expected one of {expected}; ~{prefix}{key} removes it"
            )
            raise UserError(f"{prefix}{key}: no such key; {hint}")


def make_schema(
    target: Callable[..., Any], given: Iterable[str] = (), values: Mapping[str, Any] | None = None, *, full: bool = True
) -> type:
    """A dataclass with the keyword arguments of a constructor, the given ones left out.

    A default that no configuration can hold is left out too, so that the constructor's own stays in force.

    Args:
        target: a class or function.
        given: arguments that arrive later.
        values: of the configuration, for arguments that a signature does not name (``**kwargs``) and for objects within
            it that name a class of their own; these are not typed.
        full: whether arguments that the configuration does not set are members too, with their defaults.
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
    """Whether a value describes an object, at any depth."""
    if isinstance(value, Mapping):
        return TARGET in value or any(names_class(each) for each in value.values())
    return isinstance(value, Sequence) and not isinstance(value, str) and any(names_class(each) for each in value)


def _member(name: str, annotation: Any, default: Any) -> Any:
    """A member of the narrowest type that OmegaConf can hold; None if it cannot hold the default."""
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
    except Exception:  # OmegaConf refuses types in several ways
        return False
    return True


def _storable(annotation: Any) -> Any:
    """A type that OmegaConf can hold: it knows lists, and no other sequence; a configuration holds no tensor."""
    origin, members = get_origin(annotation), get_args(annotation)
    if origin is Sequence:
        return list[_storable(members[0])]  # type: ignore[misc]
    if origin in (Union, UnionType):
        return Union[tuple(each for each in members if _can_be_written(each))]  # noqa: UP007
    return annotation


def _can_be_written(annotation: Any) -> bool:
    """Whether a configuration can have a value of this type, other than by a ``_target_``."""
    return not isinstance(annotation, type) or issubclass(annotation, _WRITABLE) or is_dataclass(annotation)
