"""The signature of a study: objective, space and configuration, which must not change when it is continued."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dcase_sweep.sweep.optuna.seeds import KEY
from dcase_sweep.utils.errors import UserError

#: The part of a signature that only a study of several seeds has.
_SEEDS = "seeds"


@dataclass(frozen=True, slots=True)
class Objective:
    """The objectives of a search: metrics of finished jobs, each maximized or minimized."""

    metrics: tuple[str, ...]
    directions: tuple[str, ...]

    @staticmethod
    def parse(wanted: Mapping[str, str], key: str) -> "Objective":
        """Create the objectives from a mapping: metric → ``maximize`` or ``minimize``.

        Args:
            wanted: the objectives, in order.
            key: the configuration key, for messages.

        Raises:
            UserError: for an invalid direction.
        """
        for metric, direction in wanted.items():
            if direction not in ("maximize", "minimize"):
                raise UserError(f"{key}.{metric}={direction}: expected maximize or minimize")
        return Objective(tuple(wanted), tuple(wanted.values()))

    @property
    def is_single(self) -> bool:
        """Whether there is only one objective, which allows pruning."""
        return len(self.metrics) == 1


@dataclass(frozen=True, slots=True)
class Signature:
    """The properties that must not change when a study is continued."""

    space: Mapping[str, str]
    objective: Mapping[str, str]
    limits: Mapping[str, float]
    #: The flattened configuration common to all trials, without varied keys.
    configuration: Mapping[str, Any] = field(default_factory=dict)
    #: Piece of code that trials depend on → hash of its source.
    sources: Mapping[str, str] = field(default_factory=dict)
    #: The setting ``hydra.sweeper.seeds``: a number or a list.
    seeds: Any = 1

    def plain(self) -> dict[str, dict[str, Any]]:
        """Return the signature as values that JSON supports."""
        several = {} if self.seeds == 1 else {_SEEDS: {KEY: self.seeds}}
        return several | {
            "space": dict(self.space),
            "objective": dict(self.objective),
            "limits": dict(self.limits),
            "configuration": dict(self.configuration),
            "sources": dict(self.sources),
        }


def make_signature(
    configuration: Mapping[str, Any],
    space: Mapping[str, str],
    objective: Objective,
    limits: Mapping[str, float],
    sources: Mapping[str, str],
    seeds: Any = 1,
) -> Signature:
    """Create the signature of a search.

    Args:
        configuration: the flattened configuration; varied keys are removed.
        space: the description of the space.
        objective: the objectives.
        limits: constraint → largest value.
        sources: piece of code that trials depend on → hash of its source.
        seeds: the number of seeds of a trial, or a list of them.
    """
    shared = {key: value for key, value in configuration.items() if not any(_covers(each, key) for each in space)}
    directions = dict(zip(objective.metrics, objective.directions, strict=True))
    return Signature(space, directions, limits, shared, sources, seeds)


def drop_keys(configuration: Mapping[str, Any], keys: Sequence[Any]) -> dict[str, Any]:
    """Return a flattened configuration without these keys and the keys below them."""
    free = tuple(str(key) for key in keys)
    return {
        key: value
        for key, value in configuration.items()
        if not any(key == each or key.startswith(f"{each}.") for each in free)
    }


def _covers(key: str, other: str) -> bool:
    """Whether a key of the space, possibly with ``*`` for a list index, determines the value of another key."""
    if "*" in key:
        return other.startswith(key.partition(".*")[0])
    return other == key or other.startswith(f"{key}.")


def differences(then: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Describe the differences between two signatures, one per line."""
    lines = []
    seeds, wanted = (each.get(_SEEDS, {}).get(KEY, 1) for each in (then, now))
    if seeds != wanted:
        lines.append(f"{KEY}: was {seeds}, is {wanted}")
    for part in (each for each in now if each != _SEEDS):
        before, after = then.get(part, {}), now[part]
        for key in [*before, *(key for key in after if key not in before)]:
            if part == "sources" and key in before and key in after and before[key] != after[key]:
                lines.append(f"the source of {key} has changed")
            elif before.get(key) != after.get(key):
                lines.append(f"{part} {key}: was {before.get(key, 'not there')}, is {after.get(key, 'not there')}")
    return lines
