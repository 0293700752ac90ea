"""What must stay as it is while a study is continued: its objective, its space, its configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dcase_sweep.utils.errors import UserError


@dataclass(frozen=True, slots=True)
class Objective:
    """What a search optimises: metrics of finished jobs, each to be maximized or minimized."""

    metrics: tuple[str, ...]
    directions: tuple[str, ...]

    @staticmethod
    def parse(wanted: Mapping[str, str], key: str) -> "Objective":
        """From metric → ``maximize`` or ``minimize``.

        Args:
            wanted: the objectives in their order.
            key: of the configuration, for the message.

        Raises:
            UserError: for another direction.
        """
        for metric, direction in wanted.items():
            if direction not in ("maximize", "minimize"):
                raise UserError(f"{key}.{metric}={direction}: expected maximize or minimize")
        return Objective(tuple(wanted), tuple(wanted.values()))

    @property
    def is_single(self) -> bool:
        """Whether there is one objective, and so a pruner."""
        return len(self.metrics) == 1


@dataclass(frozen=True, slots=True)
class Signature:
    """What must stay as it is while a study is continued."""

    space: Mapping[str, str]
    objective: Mapping[str, str]
    limits: Mapping[str, float]
    #: The flattened configuration that all trials share, without what varies.
    configuration: Mapping[str, Any] = field(default_factory=dict)
    #: Of each piece of code that trials depend on, a hash of its source.
    sources: Mapping[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, dict[str, Any]]:
        """As JSON can hold it."""
        return {
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
) -> Signature:
    """The signature of a search.

    Args:
        configuration: the flattened one; what the space varies is left out.
        space: the space as it describes itself.
        objective: what is optimised.
        limits: constraint → largest value.
        sources: of each piece of code that trials depend on, a hash of its source.
    """
    shared = {key: value for key, value in configuration.items() if not any(_covers(each, key) for each in space)}
    directions = dict(zip(objective.metrics, objective.directions, strict=True))
    return Signature(space, directions, limits, shared, sources)


def drop_keys(configuration: Mapping[str, Any], keys: Sequence[Any]) -> dict[str, Any]:
    """A flattened configuration without these keys and those below them."""
    free = tuple(str(key) for key in keys)
    return {
        key: value
        for key, value in configuration.items()
        if not any(key == each or key.startswith(f"{each}.") for each in free)
    }


def _covers(key: str, other: str) -> bool:
    """Whether a key of the space, perhaps with ``*`` for a position in a list, decides another key's value."""
    if "*" in key:
        return other.startswith(key.partition(".*")[0])
    return other == key or other.startswith(f"{key}.")


def differences(then: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What changed between two signatures, a line each."""
    lines = []
    for part in now:
        before, after = then.get(part, {}), now[part]
        for key in [*before, *(key for key in after if key not in before)]:
            if part == "sources" and key in before and key in after and before[key] != after[key]:
                lines.append(f"the source of {key} has changed")
            elif before.get(key) != after.get(key):
                lines.append(f"{part} {key}: was {before.get(key, 'not there')}, is {after.get(key, 'not there')}")
    return lines
