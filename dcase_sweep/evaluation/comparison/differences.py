"""Statistical tests of the difference between each system and the best one with the same rule and data set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.comparison.measures import Measure, tested_measures
from dcase_sweep.evaluation.comparison.systems import System, split_comparable
from dcase_sweep.evaluation.resampling import Difference, compare_drawn, compare_seeds, draw_statistic


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference between a system and the best one of its task, rule and data set, in one metric.

    `clips` is None where a run has no counts by clip, or the clips differ; `seeds_p` is over `seeds` common seeds, NaN
    without one.
    """

    best: System
    other: System
    measure: Measure
    clips: Difference | None
    seeds: int
    seeds_p: float

    @property
    def value(self) -> float:
        """The other system less the best: on the same clips, otherwise of the means of runs with common seeds."""
        if self.clips is not None:
            return self.clips.value
        return self.other.mean(self.measure) - self.best.mean(self.measure) if self.seeds else math.nan


@dataclass(frozen=True, slots=True)
class _Resampled:
    """Metrics of a system on resamples of these clips ``[1 + resample]``, averaged over its runs."""

    clips: tuple[str, ...]
    drawn: dict[str, NDArray[np.float64]]


def compare_with_best(systems: Sequence[System], *, resamples: int = 1000) -> list[Comparison]:
    """Compare each system with the first one of its task, rule and data set, in each tested measure.

    Args:
        systems: systems in the order of `group_runs`, the best of each task first.
        resamples: number of bootstrap resamples of the test clips.
    """
    found = []
    for task in dict.fromkeys(system.task for system in systems):
        for best, *others in split_comparable([system for system in systems if system.task == task]):
            measures = tested_measures([best, *others])
            # A system is read and resampled only once, even if it is compared several times.
            of_best = _resample(best, measures, resamples) if others else None
            for other in others:
                of_other = _resample(other, measures, resamples) if of_best is not None else None
                found += [_compare(best, other, each, of_best, of_other) for each in measures]
    return found


def _compare(
    best: System, other: System, measure: Measure, first: _Resampled | None, second: _Resampled | None
) -> Comparison:
    pairs = _pair_seeds(best, other, measure)
    p_value = compare_seeds(pairs[:, 0], pairs[:, 1]) if len(pairs) else math.nan
    clips = None
    if first is not None and second is not None and first.clips == second.clips:
        name = measure.metric
        if name in first.drawn and name in second.drawn:
            clips = compare_drawn(first.drawn[name], second.drawn[name])
    return Comparison(best, other, measure, clips, len(pairs), p_value)


def _pair_seeds(best: System, other: System, measure: Measure) -> NDArray[np.float64]:
    """Return the metric of both systems for each common seed ``[seed, 2]``, averaged over the runs of a seed."""
    first, second = (_average_seeds(system, measure) for system in (best, other))
    pairs = [(first[seed], second[seed]) for seed in first if seed in second]
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def _average_seeds(system: System, measure: Measure) -> dict[str, float]:
    """Return the mean of the metric over the runs of each seed that have it."""
    found: dict[str, list[float]] = {}
    for run in system.runs:
        value = measure.read(run.metrics)
        if math.isfinite(value):
            found.setdefault(run.seed, []).append(value)
    return {seed: float(np.mean(values)) for seed, values in found.items()}


def _resample(system: System, measures: Sequence[Measure], resamples: int) -> _Resampled | None:
    """Resample the test clips of all runs; return None if a run has no results by clip, or the clips differ."""
    clips: tuple[str, ...] | None = None
    drawn: dict[str, list[NDArray[np.float64]]] = {measure.metric: [] for measure in measures}
    for run in system.runs:
        loaded = None if run.load_statistics is None else run.load_statistics()
        if loaded is None or (clips is not None and loaded[0] != clips):
            return None
        clips, statistics = loaded
        for metric in drawn.keys() & statistics.keys():
            drawn[metric].append(draw_statistic(statistics[metric], len(clips), resamples=resamples))
    if clips is None:
        return None
    means = {metric: np.mean(of_runs, axis=0) for metric, of_runs in drawn.items() if len(of_runs) == len(system.runs)}
    return _Resampled(clips, means)
