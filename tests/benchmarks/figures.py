"""Figures of a benchmark: recorded by its parts, kept with machine, date and commit, and compared with earlier ones."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

#: The environment variable that names the file to which parts append their figures.
VARIABLE = "DCASE_SWEEP_FIGURES"
#: Units that do not depend on how fast a machine is; figures in them are compared with those of earlier runs.
RELATIVE = ("×", "%")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    Attributes:
        name: what was measured.
        value: the value; NaN if it could not be measured.
        unit: ``×`` (a ratio within one run), ``%``, ``s``, ``MiB`` ...
        better: whether a ``larger`` or a ``smaller`` value is better.
        aim: the value that is aimed at, if any.
    """

    name: str
    value: float
    unit: str
    better: Literal["larger", "smaller"] = "larger"
    aim: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the aim is met; None without one."""
        if self.aim is None:
            return None
        return self.value >= self.aim if self.better == "larger" else self.value <= self.aim

    def loss_from(self, earlier: float) -> float:
        """How much worse the value is than an earlier one, as a fraction of it; negative if it is better."""
        if not (math.isfinite(self.value) and math.isfinite(earlier)) or earlier == 0:
            return 0.0
        change = (self.value - earlier) / abs(earlier)
        return -change if self.better == "larger" else change


def record(figure: Figure) -> None:
    """Append a figure to the file that the environment names; nothing happens without one."""
    path = os.environ.get(VARIABLE)
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(figure), allow_nan=True) + "\n")


def read_recorded(path: Path) -> list[Figure]:
    """Read the figures that a part has recorded; none if it has recorded nothing."""
    if not path.exists():
        return []
    return [Figure(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def find_losses(
    figures: Mapping[str, Sequence[Figure]], earlier: Mapping[str, Any], tolerance: float
) -> list[tuple[str, Figure, float]]:
    """Return the relative figures that are worse than earlier ones: the part, the figure and the earlier value.

    Args:
        figures: part → its figures.
        earlier: the content of a file of an earlier run.
        tolerance: largest accepted loss, as a fraction of the earlier value.
    """
    values = {
        (part, each["name"]): float(each["value"])
        for part, found in earlier.get("figures", {}).items()
        for each in found
        if each["unit"] in RELATIVE
    }
    return [
        (part, figure, values[part, figure.name])
        for part, found in figures.items()
        for figure in found
        if (part, figure.name) in values and figure.loss_from(values[part, figure.name]) > tolerance
    ]
