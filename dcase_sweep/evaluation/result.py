"""The result of an evaluation, for any task."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dcase_sweep.utils.numbers import is_number
from dcase_sweep.utils.small_files import read_object

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Figures(Mapping[str, "Figure"]):
    """Figures by file name, each drawn when it is accessed.

    Metrics and tables can therefore be logged before anything is drawn, and a figure that cannot be drawn affects no
    others.
    """

    def __init__(self, makers: "Mapping[str, Callable[[], Figure]] | None" = None) -> None:
        self._makers = dict(makers or {})

    def __getitem__(self, name: str) -> "Figure":
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __or__(self, other: "Figures") -> "Figures":
        return Figures(self._makers | other._makers)


#: The file with all metrics of an evaluation, those too that a run does not log.
METRICS_FILE = "metrics.json"
#: A larger file is not one of these.
_LARGEST_METRICS = 2**22


def read_metrics(path: Path) -> dict[str, float]:
    """Read such a file; nothing from one that holds something else."""
    return {
        name: float(value) for name, value in (read_object(path, _LARGEST_METRICS) or {}).items() if is_number(value)
    }


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """The results of a model on a test set."""

    #: Flat names and values.
    metrics: dict[str, float]
    #: Text for people.
    table: str
    #: File name → text.
    files: dict[str, str] = field(default_factory=dict)
    #: File name → what writes it, for files that are not texts.
    writers: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)
    #: File name → figure.
    figures: Figures = field(default_factory=Figures)
    #: Metrics that stay in the files: a list of runs would have hundreds of columns with them.
    detailed: frozenset[str] = frozenset()
    #: Makes the text for a terminal of a width in letters, or of any (None); without it `table` is shown as it is.
    fit: Callable[[int | None], str] | None = None

    def show(self, width: int | None) -> str:
        """Return the text for people, for a terminal of this width, or for a pipe (None)."""
        return self.table if self.fit is None else self.fit(width)

    def is_logged(self, name: str) -> bool:
        """Whether a run logs the metric of this name."""
        return name not in self.detailed
