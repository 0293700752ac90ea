"""Statistical tests of the difference between each system and the best system of its task."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.comparison.systems import ComparedRun, Measure, System, main_measure
from dcase_sweep.evaluation.resampling import Difference, Statistic, compare_clips, compare_seeds


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference between a system and the best system of its task in one metric.

    `clips` is None if a run has no results by clip, or the test clips differ. `seeds_p` is the p-value over the `seeds`
    common seeds, NaN if there are none.
    """

    best: System
    other: System
    measure: Measure
    clips: Difference | None
    seeds: int
    seeds_p: float


def compare_with_best(
    systems: Sequence[System], *, resamples: int = 1000, measures: Sequence[Measure] | None = None
) -> list[Comparison]:
    """Compare each system with the first system of its task.

    Args:
        systems: systems in the order of `group_runs`, the best of each task first.
        resamples: number of bootstrap resamples of the test clips.
        measures: the measures to compare; None = the main measure of each task.
    """
    found = []
    for task in dict.fromkeys(system.task for system in systems):
        of_task = [system for system in systems if system.task == task]
        main = main_measure(of_task)
        wanted = [main] if measures is None else measures
        for other in of_task[1:]:
            found += [_compare(of_task[0], other, each, resamples) for each in wanted if each is not None]
    return found


def _compare(best: System, other: System, measure: Measure, resamples: int) -> Comparison:
    pairs = _pair_seeds(best, other, measure)
    p_value = compare_seeds(pairs[:, 0], pairs[:, 1]) if len(pairs) else math.nan
    first, second = _statistics(best, measure), _statistics(other, measure)
    clips = None
    if first is not None and second is not None and first[0] == second[0]:
        clips = compare_clips(first[1], second[1], len(first[0]), resamples=resamples)
    return Comparison(best, other, measure, clips, len(pairs), p_value)


def _pair_seeds(best: System, other: System, measure: Measure) -> NDArray[np.float64]:
    """Return the metric of both systems for each common seed ``[seed, 2]``."""
    first, second = ({run.seed: measure.read(run.metrics) for run in system.runs} for system in (best, other))
    pairs = [(first[seed], second[seed]) for seed in first if seed in second]
    finite = [pair for pair in pairs if all(math.isfinite(value) for value in pair)]
    return np.array(finite, dtype=np.float64).reshape(-1, 2)


def _statistics(system: System, measure: Measure) -> tuple[tuple[str, ...], Statistic] | None:
    """Return the names of the test clips, and a function for the mean metric of the runs on resampled clips."""
    loaded: list[tuple[tuple[str, ...], Statistic]] = []
    for run in system.runs:
        found = _load(run)
        if found is None or measure.metric not in found[1]:
            return None
        loaded.append((found[0], found[1][measure.metric]))
    clips = loaded[0][0]
    if any(names != clips for names, _ in loaded):
        return None
    statistics = [statistic for _, statistic in loaded]

    def mean(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        values: NDArray[np.float64] = np.mean([statistic(weights) for statistic in statistics], axis=0)
        return values

    return clips, mean


def _load(run: ComparedRun) -> tuple[tuple[str, ...], Mapping[str, Statistic]] | None:
    return None if run.load_statistics is None else run.load_statistics()
