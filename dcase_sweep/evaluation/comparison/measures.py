"""The compared metrics: those of both tasks, and those of a task from outside this package."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcase_sweep.evaluation.comparison.systems import System


@dataclass(frozen=True, slots=True)
class Measure:
    """A compared metric: its name in a run, its titles in tables, and its format."""

    metric: str
    title: str
    factor: float = 1.0
    digits: int = 3
    larger_is_better: bool = True
    #: Names of the same metric in runs of earlier versions.
    earlier: tuple[str, ...] = ()

    def read(self, metrics: Mapping[str, float]) -> float:
        """Return its value in a run; NaN if the run does not have it."""
        for name in (self.metric, *self.earlier):
            if name in metrics:
                return metrics[name]
        return math.nan


#: Measures of both tasks. The main measure of a task is the first one for which its systems have values.
MEASURES = (
    Measure("test/accuracy", "accuracy %", 100, 1),
    Measure("test/log_loss", "log loss", larger_is_better=False),
    Measure("test/psds1", "PSDS 1", earlier=("test/teacher/psds_score_scenario1",)),
    Measure("test/psds2", "PSDS 2", earlier=("test/teacher/psds_score_scenario2",)),
    Measure("test/f1", "F1 %", 100, 1, earlier=("test/teacher/event_f1_macro",)),
    Measure("complexity/parameters", "parameters", digits=0, larger_is_better=False),
    Measure("complexity/nonzero_kib_16bit", "KiB", digits=1, larger_is_better=False),
    Measure("complexity/mmac_per_clip", "MMAC", digits=1, larger_is_better=False),
    Measure("energy/training_kwh", "Wh", 1000, 2, larger_is_better=False),
)


#: Prefix of the results on the test clips, and results of a task from outside this package: no counts, no parts.
_RESULT = "test/"
_OWN_RESULT = re.compile(r"test/(?!clips_)[^/]+")
#: Largest number of these in a table.
_MOST_OWN = 4
#: The tested metrics of each task, the main one first.
_TESTED = (("test/accuracy", "test/log_loss"), ("test/psds1", "test/psds2", "test/f1"))


def list_measures(systems: "Sequence[System]") -> list[Measure]:
    """Return the measures for which the systems have values.

    They begin with the test metrics of a task that is not in this package, which has none of the known results.
    """
    measures: list[Measure] = []
    for task in dict.fromkeys(system.task for system in systems):
        of_task = [system for system in systems if system.task == task]
        known = [each for each in MEASURES if any(len(system.values(each)) for system in of_task)]
        own = [] if any(each.metric.startswith(_RESULT) for each in known) else _own_measures(of_task)
        measures += [each for each in (*own, *known) if each not in measures]
    order = {each: place for place, each in enumerate(MEASURES)}
    return sorted(measures, key=lambda measure: order.get(measure, -1))


def _own_measures(systems: "Sequence[System]") -> list[Measure]:
    """Return the test metrics of a task from outside this package, a limited number: ``test/map``."""
    names = dict.fromkeys(
        name for system in systems for run in system.runs for name in run.metrics if _OWN_RESULT.fullmatch(name)
    )
    return [
        Measure(name, name.removeprefix(_RESULT).replace("_", " "), larger_is_better="loss" not in name)
        for name in list(names)[:_MOST_OWN]
    ]


def main_measure(systems: "Sequence[System]") -> Measure | None:
    """Return the first measure for which the systems of a task have values; None if there is none."""
    return next(iter(list_measures(systems)), None)


def tested_measures(systems: "Sequence[System]") -> list[Measure]:
    """Return the tested measures of a task, the main one first."""
    main = main_measure(systems)
    if main is None:
        return []
    names = next((names for names in _TESTED if main.metric == names[0]), (main.metric,))
    return [each for each in list_measures(systems) if each.metric in names]
