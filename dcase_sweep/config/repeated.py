"""Validation of many configurations of one sweep, which differ in few values."""

import copy
import os
import re
from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from omegaconf import Container, DictConfig, OmegaConf

from dcase_sweep.config.bounds import check_literals
from dcase_sweep.config.checks import check, check_hydra, convert, is_settled
from dcase_sweep.config.flat import flatten
from dcase_sweep.config.schemas import Experiment
from dcase_sweep.config.value_checks import Changed, check_experiment

#: Largest number of different sets of keys that are kept.
_MOST = 64
#: A reference to another key from the top, with the key; a default is a number or a word.
_REFERENCE = re.compile(r"\$\{(?:oc\.select:)?(\w+(?:\.\w+)*)(?:,[\w.+-]*)?\}")
_VARIABLE = re.compile(r"\$\{oc\.env:(\w+)")


class RepeatedCheck:
    """Validates configurations like `check`, in a tenth of the time if they differ in values from an earlier one.

    For the keys, types of values, classes and references of an earlier configuration only the changed values are
    converted, and only what depends on their groups is checked. A configuration that fails is checked as a whole, so
    the results and the messages are those of `check`.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, _Known] = {}

    def check(self, composed: DictConfig) -> Experiment:
        """Validate a composed configuration and return it as typed values, which no other call returns.

        Raises:
            UserError: in one line that names the key, what was found and what is expected.
        """
        written = dict(_read_leaves(composed))
        shape = _shape(written)
        # A failure leaves values that were not checked, so what is known is kept only after a success.
        known = self._known.pop(shape, None)
        if known is not None:
            try:
                experiment = known.check(composed, written)
            except Exception:
                return check(composed)
            self._known[shape] = known
            return experiment
        converted = convert(composed)
        unchecked = _copy(converted.experiment)
        experiment = converted.experiment
        network = check_experiment(experiment, flatten(experiment))
        found = _find_references(written)
        if converted.as_given and found is not None:
            references, environment = found[0], _read_environment(found[1])
            if len(self._known) >= _MOST:
                self._known.pop(next(iter(self._known)))
            values = {member.name: _flatten_group(unchecked, member.name) for member in fields(unchecked)}
            self._known[shape] = _Known(written, references, environment, converted.schema, unchecked, values, network)
        return experiment


@dataclass(slots=True)
class _Known:
    """The last configuration of a shape that has been checked.

    Attributes:
        written: its values as composed.
        references: key → the key or group that its value refers to.
        environment: the environment variables to which it refers.
        schema: its typed configuration.
        experiment: its typed values, without what checks set.
        values: the flattened values of each group.
        network: its network without weights.
    """

    written: dict[str, Any]
    references: Mapping[str, str]
    environment: Mapping[str, str | None]
    schema: DictConfig
    experiment: Experiment
    values: dict[str, dict[str, Any]]
    network: Any

    def check(self, composed: DictConfig, written: dict[str, Any]) -> Experiment:
        """Validate the next configuration of the same shape.

        Raises:
            Exception: if it is not valid.
        """
        if "hydra" in composed:
            check_hydra(composed.hydra)
        if _read_environment(self.environment) != self.environment:
            raise ValueError("the environment has changed")
        changed = {key for key, value in written.items() if value != self.written[key]}
        check_literals({key: written[key] for key in changed})
        for key in changed:
            OmegaConf.update(self.schema, key, written[key])
        groups = {_group(key) for key in changed | self._follow(composed, changed, written)}
        for name in groups:
            node = self.schema[name]
            setattr(self.experiment, name, OmegaConf.to_object(node) if isinstance(node, Container) else node)
            self.values[name] = _flatten_group(self.experiment, name)
        self.written = written
        experiment = _copy(self.experiment)
        assert isinstance(experiment, Experiment)
        values = {key: value for part in self.values.values() for key, value in part.items()}
        self.network = check_experiment(experiment, values, Changed(frozenset(groups)), self.network)
        return experiment

    def _follow(self, composed: DictConfig, changed: Collection[str], written: Mapping[str, Any]) -> set[str]:
        """Return the keys that refer to changed ones.

        Raises:
            ValueError: if the schema may convert such a value differently now.
        """
        found: set[str] = set()
        while more := {key for key in self.references.keys() - found if self._refers(key, {*changed, *found})}:
            found |= more
        for key in found:
            value = OmegaConf.select(composed, key)
            if is_settled(written[key], value):
                OmegaConf.update(self.schema, key, value)
            elif not OmegaConf.is_interpolation(*_parent(self.schema, key)):
                raise ValueError(f"{key} is no longer a number")
        return found

    def _refers(self, key: str, names: Collection[str]) -> bool:
        """Whether the value of a key refers to one of these, or to the group of one."""
        target = self.references[key]
        return any(name == target or name.startswith(f"{target}.") for name in names)


def _read_leaves(composed: DictConfig) -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys and plain values of a configuration without Hydra's part; references as written."""
    for name, node in composed.items_ex(resolve=False):
        if name != "hydra":
            plain = OmegaConf.to_container(node, resolve=False) if isinstance(node, Container) else node
            yield from _walk(str(name), plain)


def _walk(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is in a value: lists of scalars, and empty dictionaries, are values."""
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _walk(f"{key}.{name}", each)
    elif isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
        for position, each in enumerate(value):
            yield from _walk(f"{key}.{position}", each)
    else:
        yield key, value


def _shape(written: Mapping[str, Any]) -> Hashable:
    """Return what must be equal for only values to differ: the keys, the types, the classes and the references."""
    return tuple((key, _kind(key, value)) for key, value in written.items())


def _kind(key: str, value: Any) -> Any:
    if isinstance(value, str) and ("${" in value or value == "???" or key.endswith("_target_")):
        return value
    if key == "front_end.store":  # which is removed if it is true
        return value
    return tuple(_kind(key, each) for each in value) if isinstance(value, list) else type(value)


def _find_references(written: Mapping[str, Any]) -> tuple[dict[str, str], frozenset[str]] | None:
    """Return the keys that refer to others, each with the other one, and the environment variables that are read.

    Returns:
        None if something else is written, such as a relative reference or a missing value.
    """
    references: dict[str, str] = {}
    variables: set[str] = set()
    for key, value in written.items():
        for text in value if isinstance(value, list) else [value]:
            if text == "???":
                return None
            if not isinstance(text, str) or "${" not in text:
                continue
            reference = _REFERENCE.fullmatch(text)
            if text.count("${") == text.count("${oc.env:"):
                variables.update(_VARIABLE.findall(text))
            elif reference is not None and not isinstance(value, list):
                references[key] = reference[1]
            else:
                return None
    return references, frozenset(variables)


def _read_environment(variables: Collection[str]) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in variables}


def _parent(config: DictConfig, key: str) -> tuple[Any, Any]:
    """Return the node that has a key, and its name or position there."""
    place, _, name = key.rpartition(".")
    node = OmegaConf.select(config, place) if place else config
    return node, name if isinstance(node, DictConfig) else int(name)


def _group(key: str) -> str:
    return key.partition(".")[0]


def _flatten_group(experiment: Experiment, name: str) -> dict[str, Any]:
    return flatten({name: getattr(experiment, name)})


def _copy(value: Any) -> Any:
    """Copy typed values; ``copy.deepcopy`` takes ten times as long."""
    if is_dataclass(value) and not isinstance(value, type):
        made = copy.copy(value)
        for member in fields(value):
            object.__setattr__(made, member.name, _copy(getattr(value, member.name)))
        return made
    if type(value) is dict:
        return {name: _copy(each) for name, each in value.items()}
    return [_copy(each) for each in value] if type(value) is list else value
