"""Published results, shown next to measured ones. `experiments/README.md` contains the same results."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

from dcase_sweep.evaluation.comparison.rules import describe_rule
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.tables import parse_number, read_table

_FILE = "published.csv"
_WORDS = ("task", "data", "system", "detail", "source", "runs", "cross_trigger_average")
_DEVIATION = " sd"


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """A published result on the data of the challenge."""

    task: str
    #: The data set: the choice of ``data`` of a run that it can be compared with.
    data: str
    system: str
    #: Identifies one of several results of a system.
    detail: str
    #: URL of the source.
    source: str
    runs: str
    #: Metric → mean and standard deviation; None if it was not published.
    metrics: Mapping[str, tuple[float, float | None]]
    #: Description of the evaluation rule.
    rule: str

    @property
    def name(self) -> str:
        """Name of the system and, if it has several results, which one it is."""
        return ", ".join(filter(None, [self.system, self.detail]))


@cache
def published_results() -> tuple[PublishedResult, ...]:
    """Return all published results.

    Raises:
        UserError: if the file is damaged.
    """
    with as_file(files("dcase_sweep.evaluation.comparison") / _FILE) as path:
        table = read_table(path, _WORDS, every_column=True)
    names = [name for name in table.header if name not in _WORDS and not name.endswith(_DEVIATION)]
    results = []
    for row in range(len(table)):
        words = {name: table.columns[name][row] for name in _WORDS}
        metrics = {}
        for name in names:
            value = _read(table.columns[name][row], table.where(row))
            deviation = table.columns.get(name + _DEVIATION)
            if value is not None:
                metrics[name] = value, None if deviation is None else _read(deviation[row], table.where(row))
        average = words.pop("cross_trigger_average")
        rule = describe_rule({"evaluation.cross_trigger_average": average} if average else {}, metrics)
        results.append(PublishedResult(**words, metrics=metrics, rule=rule))
    return tuple(results)


def _read(text: str, where: str) -> float | None:
    value = parse_number(text) if text else None
    if text and value is None:
        raise UserError(f"{where}: {text!r} is not a number; expected a number or an empty cell")
    return value
