"""Systems: groups of runs that differ only in their seed. Systems of the same task are compared."""

import math
import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dcase_sweep.evaluation.comparison.measures import MEASURES, Measure, main_measure
from dcase_sweep.evaluation.comparison.rules import describe_rule
from dcase_sweep.evaluation.comparison.system_names import NULL, name_systems
from dcase_sweep.evaluation.comparison.test_sets import separate_test_sets, unify_roots
from dcase_sweep.evaluation.resampling import Statistic

#: Parameters in which the runs of a system may differ: the seed, the hardware and locations.
_NOT_OF_SYSTEMS = re.compile(r"^(seed|hardware\..*|hardware|tracking\..*|store\..*|resume|logger.*)$")
#: Metrics of one class or device.
_DETAIL = re.compile(
    r"test/(?:accuracy_(?P<group>device|scene)_(?P<name>.+)"
    r"|teacher/(?P<metric>event_f1|psds_score_scenario1|psds_score_scenario2)/(?P<label>.+))"
)
_TITLES = {
    "device": "accuracy by device",
    "scene": "accuracy by scene",
    "event_f1": "collar F1 by class",
    "psds_score_scenario1": "PSDS 1 by class",
    "psds_score_scenario2": "PSDS 2 by class",
}


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A finished run: parameters, metrics, learning curves and results by test clip."""

    id: str
    name: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    #: Metric → value of each epoch, for learning curves.
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    #: Loads the names of the test clips with their labels, in order, and for each metric a function that computes it
    #: on resampled clips.
    load_statistics: "Callable[[], tuple[tuple[str, ...], Mapping[str, Statistic]] | None] | None" = None
    link: str | None = None
    is_synthetic: bool = False
    #: The id of the sweep's run.
    parent: str | None = None

    @property
    def seed(self) -> str:
        """The seed, as text."""
        return self.parameters.get("seed", "")


@dataclass(frozen=True, slots=True)
class System:
    """Runs that differ only in their seed."""

    name: str
    task: str
    runs: tuple[ComparedRun, ...]
    #: Description of the evaluation rule, with the test set where there are several.
    rule: str = ""

    def values(self, measure: Measure) -> np.ndarray:
        """Return the value of each run that has the metric."""
        found = np.array([measure.read(run.metrics) for run in self.runs])
        return found[np.isfinite(found)]

    def mean(self, measure: Measure) -> float:
        """Return the mean over seeds; NaN without values."""
        values = self.values(measure)
        return float(values.mean()) if len(values) else math.nan

    def std(self, measure: Measure) -> float:
        """Return the sample standard deviation; NaN for fewer than two runs, and if all values are equal."""
        values = self.values(measure)
        return float(values.std(ddof=1)) if len(values) > 1 and np.ptp(values) > 0 else math.nan

    @property
    def coverage(self) -> str:
        """Number of scored test clips and of all test clips, for the run with the fewest; empty if not known."""
        parts = [(run.metrics.get("test/clips_scored"), run.metrics.get("test/clips_listed")) for run in self.runs]
        known = [(scored, listed) for scored, listed in parts if scored is not None and listed]
        if not known:
            return ""
        scored, listed = min(known, key=lambda part: part[0] / part[1])
        return f"{scored:,.0f} of {listed:,.0f}"

    @property
    def data(self) -> str:
        """The data set: the choice of ``data``, and the folder where that can be any (``data=folder``)."""
        parameters = self.runs[0].parameters
        choice = parameters.get("data", "")
        return f"{choice} {parameters.get('data.root', '')}" if "data.table" in parameters else choice

    @property
    def is_synthetic(self) -> bool:
        """Whether the data of a run are generated."""
        return any(run.is_synthetic for run in self.runs)

    def details(self) -> dict[str, dict[str, float]]:
        """Return title → class or device → mean over seeds."""
        found: dict[str, dict[str, list[float]]] = {}
        for run in self.runs:
            for metric, value in run.metrics.items():
                match = _DETAIL.fullmatch(metric)
                if match and math.isfinite(value):
                    title = _TITLES[match["group"] or match["metric"]]
                    found.setdefault(title, {}).setdefault(match["name"] or match["label"], []).append(value)
        return {
            title: {name: float(np.mean(values)) for name, values in sorted(names.items())}
            for title, names in sorted(found.items())
        }


def list_notes(systems: Sequence[System]) -> list[str]:
    """Return the notes on the systems of a task."""
    notes = []
    if any(len(system.values(measure)) for system in systems for measure in MEASURES if measure.metric == "test/psds1"):
        notes.append("PSDS and F1 of runs are those of the teacher.")
    if any(system.is_synthetic for system in systems):
        notes.append("synthetic demo data: not representative of real recordings")
    return notes


def group_runs(runs: Sequence[ComparedRun]) -> list[System]:
    """Group runs over seeds. Names of systems contain the parameters in which the systems of a task differ.

    The systems are ordered by task, by rule, by data set, and by their result, the best first.

    Args:
        runs: finished runs, the oldest first. Of runs that repeat a seed with equal results, the last one counts.
    """
    groups: dict[tuple[tuple[str, str], ...], list[ComparedRun]] = {}
    for run in _drop_repeated(unify_roots(runs)):
        groups.setdefault(_key_of(run), []).append(run)
    systems: list[System] = []
    for task in sorted({_task_of(dict(key)) for key in groups}):
        of_task = [members for key, members in groups.items() if _task_of(dict(key)) == task]
        names = name_systems([_describe(each[0]) for each in of_task])
        rules = [describe_rule(each[0].parameters, each[0].metrics) for each in of_task]
        found = [System(name, task, tuple(each), rule) for name, each, rule in zip(names, of_task, rules, strict=True)]
        systems += separate_test_sets(found)
    ordered: list[System] = []
    for task in sorted({system.task for system in systems}):
        found = [system for system in systems if system.task == task]
        for comparable in split_comparable(found):
            ordered += sort_systems(comparable, main_measure(found))
    return ordered


def _drop_repeated(runs: Sequence[ComparedRun]) -> list[ComparedRun]:
    """Leave out runs that a later one repeats: the same training twice is one result, not two."""
    found: dict[Hashable, ComparedRun] = {}
    for run in runs:
        results = frozenset((name, value) for name, value in run.metrics.items() if name.startswith("test/"))
        repeats = (_key_of(run), run.seed, results) if results else run.id
        found.pop(repeats, None)
        found[repeats] = run
    return list(found.values())


def _describe(run: ComparedRun) -> dict[str, str]:
    """Return the parameters that describe the system of a run, in the order of their names."""
    return {key: value for key, value in sorted(run.parameters.items()) if not _NOT_OF_SYSTEMS.match(key)}


def _key_of(run: ComparedRun) -> tuple[tuple[str, str], ...]:
    """Return what the runs of a system have in common. A run of an earlier version has fewer keys that are null."""
    return tuple((key, value) for key, value in _describe(run).items() if value != NULL)


def _task_of(parameters: Mapping[str, str]) -> str:
    return parameters.get("task.name", parameters.get("task", ""))


def split_comparable(systems: Sequence[System]) -> list[list[System]]:
    """Return the systems of each rule and data set. The most frequent rule is first, and in it the most used data."""
    frequency = Counter(system.rule for system in systems)
    groups: dict[tuple[str, str], list[System]] = {}
    for system in systems:
        groups.setdefault((system.rule, system.data), []).append(system)
    rules = list(frequency)
    return sorted(
        groups.values(), key=lambda group: (-frequency[group[0].rule], rules.index(group[0].rule), -len(group))
    )


def sort_systems(systems: Sequence[System], measure: Measure | None) -> list[System]:
    """Sort systems by a measure, the best first. Systems without a value are last."""
    if measure is None:
        return list(systems)
    sign = -1 if measure.larger_is_better else 1

    def key(system: System) -> tuple[bool, float]:
        mean = system.mean(measure)
        return math.isnan(mean), sign * mean if math.isfinite(mean) else 0.0

    return sorted(systems, key=key)
