"""Schemas of the groups that name a class by ``_target_``, from the signature of its constructor.

A new model or data set needs no changes here.
"""

from dataclasses import field, fields, make_dataclass
from functools import lru_cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dcase_sweep.config.classes import locate_class
from dcase_sweep.config.schemas import Experiment, Task
from dcase_sweep.config.signatures import Shape, check_keys, make_schema, read_signature
from dcase_sweep.utils.errors import UserError

#: The groups that name a class, in the order of `experiment_schema`.
TARGETED = ("task", "data", "front_end", "model")
#: Constructor arguments that are determined by other groups.
_GIVEN = {"front_end": ("sample_rate", "seconds"), "model": ("input_shape", "classes")}
#: The keys of all data sets and of all front ends. The default is the clip length of both challenges.
_MEMBERS: dict[str, Any] = {
    "data": ("seconds", float, field(default=10.0)),
    "front_end": ("store", bool, field(default=True)),
}
#: Keys of a group in addition to the arguments of its class.
_KEYS = {"data": ("seconds",), "front_end": ("store",), "task": tuple(member.name for member in fields(Task))}


def read_schema(group: str, node: DictConfig) -> type:
    """Return the schema of a group's class, with the configured keys.

    Raises:
        UserError: for a key that its constructor does not accept, or a missing key that it requires.
    """
    target = locate_class(group, node["_target_"])
    given = frozenset(_GIVEN.get(group, ()))
    signature = read_signature(target, given)
    check_keys(f"{group}.", map(str, node), signature, more=_KEYS.get(group, ()))
    missing = [name for name in signature.required if name not in node or OmegaConf.is_missing(node, name)]
    if missing:
        raise UserError(f"{group}.{missing[0]}: no value; expected one for {node['_target_']}")
    values: Any = OmegaConf.to_container(node, resolve=False)
    return _schema_of_class(group, target, given, Shape(values))


def type_group(group: str, node: DictConfig) -> Any:
    """The keys of a group as typed values of its class's arguments.

    Raises:
        UserError: for a key that its constructor does not take, and for one that it needs and does not get.
        OmegaConfBaseException: for a value of another type.
    """
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(read_schema(group, node)), node))


@lru_cache(maxsize=64)
def _schema_of_class(group: str, target: type, given: frozenset[str], shape: Shape) -> type:
    """Return the arguments of a class, and the keys that all classes of the group have."""
    taken = read_signature(target, given).arguments
    more = [name for name in _KEYS.get(group, ()) if group == "task" or name not in taken]
    if group == "front_end" and "store" not in shape.values:  # what older configurations do not have
        more = []
    values = {name: value for name, value in shape.values.items() if name not in more}
    if group == "task":
        schema = make_schema(target, given | set(more), values)
        members = [(member.name, member.type, member) for member in fields(schema) if member.name != "_target_"]
        return make_dataclass(target.__name__, members, bases=(Task,))
    schema = make_schema(target, given, values)
    return make_dataclass(target.__name__, [_MEMBERS[group]], bases=(schema,)) if more else schema


@lru_cache(maxsize=32)
def experiment_schema(evaluation: type | None, *typed: type) -> DictConfig:
    """Return a copy of the schema of an experiment with these groups, to be merged into."""
    schema = OmegaConf.structured(Experiment)
    if evaluation is not None:
        OmegaConf.update(schema, "evaluation", OmegaConf.structured(evaluation))
    for group, members in zip(TARGETED, typed, strict=True):
        OmegaConf.update(schema, group, OmegaConf.structured(members))
    return schema
