"""What an evaluation hands to whoever logs or prints it, whatever the task."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Verdict:
    """A model's results on a test set."""

    #: Flat names and values, as they are logged.
    metrics: dict[str, float]
    #: What a person reads.
    table: str
    #: File name → text.
    files: dict[str, str] = field(default_factory=dict)
    #: File name → figure.
    figures: "dict[str, Figure]" = field(default_factory=dict)
