"""Lists of mappings, such as the blocks of a network, that are valid for their schema as they are written."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

#: The type of such a list in a schema. Its mappings may have any values.
_TYPE = list[dict[str, Any]]


def is_plain(
    experiment: Any,
    key: str,
    lists: Mapping[str, list[Any]],
    leaves: Mapping[str, Any],
    references: Mapping[str, str],
) -> bool:
    """Whether the schema leaves a list as it is, but for references to values outside of lists.

    False if another key refers to it.

    Args:
        experiment: an experiment with the types of the schema.
        key: the key of the list.
        lists: the lists of the configuration by their keys.
        leaves: its single values by their keys, with those in lists.
        references: the keys that refer to others, each with the other one.
    """
    name, _, attribute = key.partition(".")
    group = getattr(experiment, name)
    types = {each.name: each.type for each in fields(group)} if is_dataclass(group) else {}
    if types.get(attribute) != _TYPE or not all(type(word) is str for each in lists[key] for word in each):
        return False
    within_lists = tuple(f"{each}." for each in lists)
    targets = references.values()
    if any(f"{each}.".startswith(within_lists) or key.startswith(f"{each}.") for each in targets):
        return False
    inside = [each for each in references if each.startswith(f"{key}.")]
    is_simple = all(leaves[each] == f"${{{references[each]}}}" for each in inside)
    return is_simple and repr(lists[key]).count("${") == len(inside)


def fill(value: Any, experiment: Any) -> Any:
    """Return a copy of a list with the values of an experiment that it refers to.

    Raises:
        ValueError: for a reference to something else than a single value.
    """
    if isinstance(value, dict):
        return {name: fill(each, experiment) for name, each in value.items()}
    if isinstance(value, list):
        return [fill(each, experiment) for each in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    found = experiment
    for name in value[2:-1].split("."):
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    if found is not None and not isinstance(found, (bool, int, float, str)):
        raise ValueError(f"{value} is not a single value")
    return found
