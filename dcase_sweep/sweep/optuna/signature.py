"""What must stay as it is while a study goes on: its objective, its space, its configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dcase_sweep.utils.errors import UserError


@dataclass(frozen=True, slots=True)
class Objective:
    """What a search optimises: metrics of finished runs, each to be made large or small."""

    metrics: tuple[str, ...]
    directions: tuple[str, ...]

    @staticmethod
    def parse(wanted: Mapping[str, str]) -> "Objective":
        """From metric → ``maximize`` or ``minimize``.

        Raises:
            UserError: for another direction.
        """
        for metric, direction in wanted.items():
            if direction not in ("maximize", "minimize"):
                raise UserError(f"search.objective.{metric}={direction}: expected maximize or minimize")
        return Objective(tuple(wanted), tuple(wanted.values()))

    @property
    def pruned_by(self) -> str | None:
        """The metric of an epoch that says how well a run does; None where there is none, or several objectives.

        ``best/X`` is the best epoch's ``X``.
        """
        if len(self.metrics) != 1 or not self.metrics[0].startswith("best/"):
            return None
        return self.metrics[0].removeprefix("best/")


@dataclass(frozen=True, slots=True)
class Signature:
    """What must stay as it is while a study goes on."""

    space: Mapping[str, str]
    objective: Mapping[str, str]
    limits: Mapping[str, float]
    #: The flattened configuration that all trials share, without what varies.
    configuration: Mapping[str, Any] = field(default_factory=dict)
    #: Of each component outside this package, a hash of its source.
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
        limits: metric of the complexity → largest value.
        sources: of each component outside this package, a hash of its source.
    """
    shared = {key: value for key, value in configuration.items() if not any(_covers(each, key) for each in space)}
    directions = dict(zip(objective.metrics, objective.directions, strict=True))
    return Signature(space, directions, limits, shared, sources)


def _covers(key: str, other: str) -> bool:
    """Whether a key of the space, perhaps with ``*`` for a block's position, decides another key's value."""
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
