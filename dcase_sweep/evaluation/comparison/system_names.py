"""Names of systems, made of the parameters in which the systems of a task differ."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from dcase_sweep.utils.names import shorten_key

#: Configuration groups whose selected option describes the keys of the group.
_GROUPS = (
    *("task", "model", "data", "experiment", "front_end", "augmentation", "optimizer", "scheduler", "framework"),
    *("callbacks", "metrics"),
)
#: Parameters of the evaluation, which do not change the training.
_OF_EVALUATION = re.compile(r"(evaluation|metrics)(\..*)?")
#: The hash of the recordings and labels, which says nothing to a reader if another parameter tells the data apart.
_FINGERPRINT = "data.fingerprint"
#: A key of an entry of a list: ``model.blocks.1.pool``.
_ENTRY = re.compile(r"(?P<list>.+)\.(?P<index>\d+)\.(?P<leaf>[^.]+)")
#: A number with more digits than a name needs.
_LONG_NUMBER = re.compile(r"-?\d+\.\d{5,}(e-?\d+)?")

#: The value of a key that is null. A key that a run does not have counts as null: an earlier version did not know it.
NULL = "None"

_Parameters = Mapping[str, str]


def name_systems(systems: Sequence[_Parameters]) -> list[str]:
    """Return a name for each system, made of the parameters in which they differ.

    Parameters of the metric rule, and extra metrics, are included only where two names would be equal without them.
    """
    keys = dict.fromkeys(key for system in systems for key in system)
    varying = [key for key in keys if len({system.get(key, NULL) for system in systems}) > 1]
    of_training = [key for key in varying if not _OF_EVALUATION.fullmatch(key)]
    names, longer = (_name_by(keys, systems) for keys in (of_training, varying))
    names = [long if names.count(name) > 1 else name for name, long in zip(names, longer, strict=True)]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: i + 1].count(name)})" for i, name in enumerate(names)
    ]


def _name_by(varying: Sequence[str], systems: Sequence[_Parameters]) -> list[str]:
    """Return the values of these keys in each system, with short keys."""
    chosen = [group for group in _GROUPS if group in varying]
    # A parameter that follows from the selected options is omitted, unless systems with the same options differ in it.
    rest = [key for key in varying if key not in chosen and not (chosen and _follows(key, chosen, systems))]
    rest = [key for key in rest if not _repeats(key, rest, systems) and not _is_implied(key, rest, systems)]
    if _FINGERPRINT in rest:
        others = [key for key in rest if key != _FINGERPRINT]
        rest = others if _follows(_FINGERPRINT, [*chosen, *others], systems) else [*others, _FINGERPRINT]
    selected = [_select(rest, chosen, system, systems) for system in systems]
    joined = {lists for keys in selected for lists, count in Counter(map(_find_list, keys)).items() if count > 1}
    shown = [_join_lists(keys, system, joined) for keys, system in zip(selected, systems, strict=True)]
    labels = dict.fromkeys([*chosen, *(key for values in shown for key in values)])
    short = {key: shorten_key(key, labels) for key in labels}
    digits = {key: _shorten_numbers({values[key] for values in shown if key in values}) for key in labels}
    names = []
    for system, values in zip(systems, shown, strict=True):
        parts = [system[key] for key in ("model", "experiment") if key in chosen and key in system]
        parts += [
            f"{short[group]}={system[group]}"
            for group in chosen
            if group in system and group not in ("model", "experiment")
        ]
        parts += [f"{short[key]}={digits[key].get(value, value)}" for key, value in values.items()]
        names.append(" ".join(parts) or system.get("model", "all runs"))
    return names


def _follows(key: str, others: Sequence[str], systems: Sequence[_Parameters]) -> bool:
    """Whether systems with equal values of the others have equal values of the key."""
    values: dict[tuple[str, ...], str] = {}
    for system in systems:
        found = tuple(system.get(name, NULL) for name in others)
        if values.setdefault(found, system.get(key, NULL)) != system.get(key, NULL):
            return False
    return True


def _repeats(key: str, keys: Sequence[str], systems: Sequence[_Parameters]) -> bool:
    """Whether a key of an entry always has the value of a key above its list: ``model.dropout`` in each block."""
    match = _ENTRY.fullmatch(key)
    if match is None:
        return False
    above = f"{match['list'].rpartition('.')[0]}.{match['leaf']}"
    return above in keys and all(system[key] == system.get(above) for system in systems if key in system)


def _is_implied(key: str, keys: Sequence[str], systems: Sequence[_Parameters]) -> bool:
    """Whether a key of an entry has one value wherever the entry is, and another key shows whether it is."""
    if _ENTRY.fullmatch(key) is None or len({system[key] for system in systems if key in system}) > 1:
        return False
    entry = key.rpartition(".")[0]
    others = [each for each in keys if each != key and each.rpartition(".")[0] == entry]
    return any(
        len({system.get(each) for system in systems}) > 2 or keys.index(each) < keys.index(key) for each in others
    )


def _select(
    keys: Sequence[str], chosen: Sequence[str], system: _Parameters, systems: Sequence[_Parameters]
) -> list[str]:
    """Return the keys that tell a system apart from those with the same option of the key's group."""
    found = []
    for key in keys:
        group = key.partition(".")[0]
        alike = [each for each in systems if group not in chosen or each.get(group) == system.get(group)]
        if key in system and len({each.get(key, NULL) for each in alike}) > 1:
            found.append(key)
    return found


def _find_list(key: str) -> tuple[str, str] | None:
    """Return the list and the last part of a key of an entry; None for any other key."""
    match = _ENTRY.fullmatch(key)
    return None if match is None else (match["list"], match["leaf"])


def _join_lists(keys: Sequence[str], system: _Parameters, joined: Collection[tuple[str, str] | None]) -> dict[str, str]:
    """Return key → value, where the entries of a list are one value: ``model.blocks.pool`` → ``5×5,4×4``."""
    values: dict[str, str] = {}
    for key in keys:
        found = _find_list(key)
        if found is None or found not in joined:
            values[key] = system[key]
            continue
        entries = [name for name in system if _find_list(name) == found]
        entries.sort(key=lambda name: int(name.split(".")[-2]))
        values[".".join(found)] = ",".join(_write_size(system[name]) for name in entries)
    return values


def _write_size(value: str) -> str:
    """Write ``[5, 4]`` as ``5×4``."""
    return value.strip("[]").replace(", ", "×")


def _shorten_numbers(values: set[str]) -> dict[str, str]:
    """Return number → the same with four digits, as long as all values stay different."""
    short = {value: f"{float(value):.4g}" if _LONG_NUMBER.fullmatch(value) else value for value in values}
    return short if len(set(short.values())) == len(values) else {}
