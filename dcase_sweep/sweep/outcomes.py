"""What came of one job, read from what its task function returned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dcase_sweep.sweep.comparison import Column
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

#: What a number is called that a task function returns without a name; several are numbered from 1.
VALUE = "value"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one job."""

    status: Literal["finished", "pruned", "failed"]
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    #: A remark that belongs to the metrics wherever they are shown.
    note: str | None = None
    #: How a comparison shows the metrics; none = each under its own name.
    columns: tuple[Column, ...] = ()
    #: How many clips of the test set the metrics are of, and of how many; None = all.
    coverage: tuple[float, float] | None = None
    #: Metrics that a study keeps with the trial besides its objectives; None = all.
    kept: Mapping[str, float] | None = None
    #: Wall-clock time of the whole job, and of the training and evaluation in it.
    seconds: float = 0.0
    work_seconds: float | None = None
    #: Where the files of the job are; None = not known.
    folder: str | None = None


def read_metrics(returned: Any) -> dict[str, float]:
    """The named numbers that a task function has returned.

    Args:
        returned: a number, a sequence of numbers, or a mapping; entries of a mapping that are no numbers are left out.

    Raises:
        UserError: for anything else.
    """
    if isinstance(returned, Mapping):
        found = {str(name): number for name, each in returned.items() if (number := _number(each)) is not None}
    elif (number := _number(returned)) is not None:
        found = {VALUE: number}
    elif isinstance(returned, Sequence) and not isinstance(returned, (str, bytes)):
        found = {
            name: number
            for name, each in zip(name_values(len(returned)), returned, strict=True)
            if (number := _number(each)) is not None
        }
    else:
        found = {}
    if not found:
        raise UserError(
            f"the task function returned {printable(repr(returned), 100)}; expected a number, a list of numbers, or a "
            "dictionary with numbers"
        )
    return found


def name_values(count: int) -> list[str]:
    """Names for so many numbers that have none."""
    return [VALUE] if count == 1 else [f"{VALUE}_{position}" for position in range(1, count + 1)]


def _number(value: Any) -> float | None:
    """A number, a NumPy scalar or a tensor of one element as a float; None for anything else."""
    if isinstance(value, (str, bytes, bytearray)) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return None
