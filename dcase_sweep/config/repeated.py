"""Validation of many configurations of one sweep, which differ in few values."""

import os
import re
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from omegaconf import Container, DictConfig, OmegaConf

from dcase_sweep.config.bounds import check_literals
from dcase_sweep.config.checks import check, check_hydra, convert, is_settled
from dcase_sweep.config.flat import copy_typed, flatten
from dcase_sweep.config.plain_lists import fill, is_plain
from dcase_sweep.config.schemas import Experiment
from dcase_sweep.config.signatures import names_class
from dcase_sweep.config.value_checks import Changed, check_experiment

#: Largest number of different sets of keys that are kept.
_MOST = 64
#: A reference to another key from the top, with the key; a default is a number or a word.
_REFERENCE = re.compile(r"\$\{(?:oc\.select:)?(\w+(?:\.\w+)*)(?:,[\w.+-]*)?\}")
_VARIABLE = re.compile(r"\$\{oc\.env:(\w+)")


class RepeatedCheck:
    """Validates configurations like `check`, in a tenth of the time if they differ in values from an earlier one.

    For the keys, types of values, classes and references of an earlier configuration only the changed values are
    converted, and only what depends on their groups is checked. A list of mappings, such as the blocks of a network, is
    one value, whatever its length. A configuration that fails is checked as a whole, so the results and the messages
    are those of `check`.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, _Known] = {}

    def check(self, composed: DictConfig) -> Experiment:
        """Validate a composed configuration and return it as typed values, which no other call returns.

        Raises:
            UserError: in one line that names the key, what was found and what is expected.
        """
        written = _Written.read(composed)
        shape = written.shape
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
        unchecked = copy_typed(converted.experiment)
        experiment = converted.experiment
        network = check_experiment(experiment, flatten(experiment))
        found = _find_references(written.leaves)
        if converted.as_given and found is not None:
            if len(self._known) >= _MOST:
                self._known.pop(next(iter(self._known)))
            values = {member.name: _flatten_group(unchecked, member.name) for member in fields(unchecked)}
            self._known[shape] = _Known(
                written, found, _read_environment(found.variables), converted.schema, unchecked, values, network, {}
            )
        return experiment


@dataclass(frozen=True, slots=True)
class _Written:
    """A configuration without Hydra's part, as it is composed: references are texts.

    Attributes:
        leaves: dotted key → plain value. Lists of scalars and empty dictionaries are values.
        lists: the lists of mappings by their keys. What is in them is also among the leaves.
    """

    leaves: dict[str, Any]
    lists: dict[str, list[Any]]

    @staticmethod
    def read(composed: DictConfig) -> "_Written":
        """Read a composed configuration."""
        found = _Written({}, {})
        for name, node in composed.items_ex(resolve=False):
            if name != "hydra":
                plain = OmegaConf.to_container(node, resolve=False) if isinstance(node, Container) else node
                found._add(str(name), plain, None)
        return found

    def _add(self, key: str, value: Any, place: str | None) -> None:
        """Add a value, which is within the list of mappings with the key ``place``, if that is not None."""
        if isinstance(value, dict) and value:
            for name, each in value.items():
                self._add(f"{key}.{name}", each, place)
        elif isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
            if place is None and _is_one_value(value):
                self.lists[key] = value
                place = key
            for position, each in enumerate(value):
                self._add(f"{key}.{position}", each, place)
        else:
            self.leaves[key] = value

    @property
    def shape(self) -> Hashable:
        """What must be equal for only values to differ: the keys, the types, the classes and the references."""
        within = tuple(f"{key}." for key in self.lists)
        rest = ((key, _kind(key, value)) for key, value in self.leaves.items() if not key.startswith(within))
        return (*rest, *self.lists)

    def find_changes(self, earlier: "_Written") -> set[str]:
        """Return the keys of the values that differ from those of an earlier configuration of this shape."""
        within = tuple(f"{key}." for key in self.lists)
        changed = {
            key for key, value in self.leaves.items() if not key.startswith(within) and value != earlier.leaves[key]
        }
        # The shape does not contain the types of what is in a list: 8 and 8.0 are equal, but only one is an integer.
        return changed | {key for key, value in self.lists.items() if repr(value) != repr(earlier.lists[key])}

    def list_leaves(self, keys: Collection[str]) -> dict[str, Any]:
        """Return the leaves with these keys, and those within the lists with these keys."""
        within = tuple(f"{key}." for key in self.lists.keys() & keys)
        return {key: value for key, value in self.leaves.items() if key in keys or key.startswith(within)}


def _is_one_value(value: Any) -> bool:
    """Whether a list is one value: it has mappings, and no class is named in it, which would have a schema."""
    return all(isinstance(each, dict) for each in value) and not names_class(value)


@dataclass(frozen=True, slots=True)
class _References:
    """The keys that refer to others, each with the other one, and the environment variables that are read."""

    keys: Mapping[str, str]
    variables: frozenset[str]


@dataclass(slots=True)
class _Known:
    """The last configuration of a shape that has been checked.

    Attributes:
        written: its values as composed.
        references: what its values refer to.
        environment: the environment variables to which it refers.
        schema: its typed configuration.
        experiment: its typed values, without what checks set.
        values: the flattened values of each group.
        network: a network without weights, of this or of an earlier configuration of the shape.
        plain: lists of mappings as composed, by their keys. They are not in the schema, since they need no conversion.
    """

    written: _Written
    references: _References
    environment: Mapping[str, str | None]
    schema: DictConfig
    experiment: Experiment
    values: dict[str, dict[str, Any]]
    network: Any
    plain: dict[str, list[Any]]

    def check(self, composed: DictConfig, written: _Written) -> Experiment:
        """Validate the next configuration of the same shape.

        Raises:
            Exception: if it is not valid.
        """
        if "hydra" in composed:
            check_hydra(composed.hydra)
        changed = written.find_changes(self.written)
        check_literals(written.list_leaves(changed))
        if not changed.isdisjoint(written.lists):
            found = _find_references(written.leaves)
            if found is None or found.variables != self.references.variables:
                raise ValueError("other references")
            self.references = found
        if _read_environment(self.environment) != self.environment:
            raise ValueError("the environment has changed")
        for key in changed:
            if key not in written.lists:
                OmegaConf.update(self.schema, key, written.leaves[key])
            elif is_plain(self.experiment, key, written.lists, written.leaves, self.references.keys):
                if key not in self.plain:
                    OmegaConf.update(self.schema, key, [], merge=False)
                self.plain[key] = written.lists[key]
            else:
                self.plain.pop(key, None)
                OmegaConf.update(self.schema, key, written.lists[key], merge=False)
        groups = {_group(key) for key in changed | self._follow(composed, changed, written.leaves)}
        for name in groups:
            node = self.schema[name]
            setattr(self.experiment, name, OmegaConf.to_object(node) if isinstance(node, Container) else node)
        for key, value in self.plain.items():
            name, _, attribute = key.partition(".")
            if name in groups:
                setattr(getattr(self.experiment, name), attribute, fill(value, self.experiment))
        for name in groups:
            self.values[name] = _flatten_group(self.experiment, name)
        self.written = written
        experiment = copy_typed(self.experiment)
        assert isinstance(experiment, Experiment)
        values = {key: value for part in self.values.values() for key, value in part.items()}
        self.network = check_experiment(experiment, values, Changed(frozenset(groups)), self.network)
        return experiment

    def _follow(self, composed: DictConfig, changed: Collection[str], written: Mapping[str, Any]) -> set[str]:
        """Return the keys that refer to changed ones, and those within changed lists that refer to anything.

        Raises:
            ValueError: if the schema may convert such a value differently now.
        """
        found: set[str] = set()
        while more := {key for key in self.references.keys.keys() - found if self._refers(key, {*changed, *found})}:
            found |= more
        plain = tuple(f"{key}." for key in self.plain)
        for key in found:
            if key.startswith(plain):
                continue
            value = OmegaConf.select(composed, key)
            if is_settled(written[key], value):
                OmegaConf.update(self.schema, key, value)
            elif not OmegaConf.is_interpolation(*_parent(self.schema, key)):
                raise ValueError(f"{key} is no longer a number")
        return found

    def _refers(self, key: str, names: Collection[str]) -> bool:
        """Whether a key is in one of these or refers to one: to itself, to a group that it is in, or to its inside."""
        target = self.references.keys[key]
        return any(
            f"{target}.".startswith(f"{name}.") or name.startswith(f"{target}.") or key.startswith(f"{name}.")
            for name in names
        )


def _kind(key: str, value: Any) -> Any:
    if isinstance(value, str) and ("${" in value or value == "???" or key.endswith("_target_")):
        return value
    if key == "front_end.store":  # which is removed if it is true
        return value
    return tuple(_kind(key, each) for each in value) if isinstance(value, list) else type(value)


def _find_references(written: Mapping[str, Any]) -> _References | None:
    """Return what values refer to.

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
    return _References(references, frozenset(variables))


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
