"""The outcome of a job, read from the return value of its task function."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dcase_sweep.sweep.comparison import Column
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

#: Name of a single number that a task function returns; several numbers are numbered from 1.
VALUE = "value"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a job."""

    status: Literal["finished", "pruned", "failed", "interrupted"]
    metrics: Mapping[str, float] = field(default_factory=dict)
    #: Why it has failed or was interrupted.
    error: str | None = None
    #: A note that is shown with the metrics.
    note: str | None = None
    #: Format of the metrics in a comparison; empty = each under its own name.
    columns: tuple[Column, ...] = ()
    #: Number of scored test clips and of all test clips; None if all were scored.
    coverage: tuple[float, float] | None = None
    #: Metrics that a study stores with the trial in addition to its objectives; None = all.
    kept: Mapping[str, float] | None = None
    #: Metric → standard deviation over the seeds, if the metrics are means over several.
    spread: Mapping[str, float] = field(default_factory=dict)
    #: Wall-clock time of the whole job, and of its training and evaluation.
    seconds: float = 0.0
    work_seconds: float | None = None
    #: Where the files of the job are; None = not known.
    folder: str | None = None


def read_metrics(returned: Any) -> dict[str, float]:
    """Read the metrics that a task function has returned.

    Args:
        returned: a number, a sequence of numbers, or a mapping, whose entries that are not numbers are ignored.

    Raises:
        UserError: for any other value.
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
    """Generate names for unnamed numbers."""
    return [VALUE] if count == 1 else [f"{VALUE}_{position}" for position in range(1, count + 1)]


def format_value(value: float, spread: float | None = None) -> str:
    """Format a value, and the standard deviation over the seeds if there is one: ``0.4875 ± 0.012``."""
    return f"{value:.4g}" if spread is None else f"{value:.4g} ± {spread:.2g}"


def _number(value: Any) -> float | None:
    """Convert a number, a NumPy scalar or a tensor with one element to a float; None for anything else."""
    if isinstance(value, (str, bytes, bytearray)) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return None
