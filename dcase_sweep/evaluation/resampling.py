"""Tests of the difference of two systems: a paired bootstrap over test clips, and an exact test over seeds.

A resample of the test set draws as many clips with replacement, so it gives each clip a whole number as its weight. A
metric that is a function of sums over clips is computed for all resamples by one product of matrices.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

#: With more pairs of seeds, signs are drawn at random; all assignments of 20 signs are a million.
MOST_EXACT = 20
_DRAWN = 100_000
#: Weights ``[resample, clip]`` → the metric of each resample ``[resample]``.
Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two systems on the same clips, the second less the first, and its interval.

    `p_value` is twice the fraction of resamples on the other side of 0, at most 1: with 0 outside of the interval it is
    below 1 less its level.
    """

    value: float
    low: float
    high: float
    p_value: float
    resamples: int
    level: float


def draw_statistic(statistic: Statistic, clips: int, *, resamples: int = 1000) -> NDArray[np.float64]:
    """Compute a metric on all clips, then on resamples of them, ``[1 + resample]``.

    The resamples of several systems contain the same clips.

    Args:
        statistic: computes the metric for weights of the clips.
        clips: number of clips.
        resamples: number of resamples.

    Raises:
        ValueError: no clip or no resample.
    """
    if clips < 1 or resamples < 1:
        raise ValueError(f"{clips} clips, {resamples} resamples; expected at least 1 and 1")
    return statistic(_draw_once(clips, resamples))


@lru_cache(maxsize=1)  # of the many runs on the same clips
def _draw_once(clips: int, resamples: int) -> NDArray[np.float64]:
    """Weights of all clips alike, then those of the resamples, ``[1 + resample, clip]``; not to be written to."""
    drawn = np.random.default_rng(0).multinomial(clips, np.full(clips, 1 / clips), size=resamples)
    weights = np.concatenate([np.ones((1, clips)), drawn])
    weights.flags.writeable = False
    return weights


def compare_drawn(first: NDArray[np.float64], second: NDArray[np.float64], *, level: float = 0.95) -> Difference:
    """Compute the difference of two systems on the same resamples of their clips, and its percentile interval.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993. This tests whether the difference would remain on
    other test clips, not whether it would remain with other seeds of the training (see `compare_seeds`).

    Args:
        first: result of `draw_statistic` for one system.
        second: result for the other system, with the same clips.
        level: confidence level of the interval.

    Raises:
        ValueError: a level outside of 0 to 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level}; expected 0 to 1")
    differences = second - first
    value, drawn = float(differences[0]), differences[1:][np.isfinite(differences[1:])]
    if not len(drawn):
        return Difference(value, math.nan, math.nan, math.nan, 0, level)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    p_value = min(1.0, 2 * min(float((drawn <= 0).mean()), float((drawn >= 0).mean())))
    return Difference(value, float(low), float(high), max(p_value, 1 / len(drawn)), len(drawn), level)


def compare_seeds(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Compute the p-value of a sign-flip permutation test on pairs of results with the same seeds.

    If the systems are equal, both signs of each difference are equally probable. The p-value is the fraction of all
    assignments of signs whose mean is at least as far from 0 as the measured one. With n seeds it is at least 2 / 2**n:
    0.0625 for five seeds, 0.03125 for six. With more than 20 seeds, 100,000 assignments are drawn at random. Fisher,
    "The Design of Experiments", 1935.

    Args:
        first: results of one system ``[seed]``.
        second: results of the other system, in the same order.

    Returns:
        The p-value; NaN without a pair.
    """
    differences = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    count = len(differences)
    if not count:
        return math.nan
    if count <= MOST_EXACT:
        bits = np.arange(2 ** (count - 1))[:, None] >> np.arange(count)  # the other half has the same distances
        sums = np.abs((1 - 2 * (bits & 1)) @ differences)
    else:
        signs = np.random.default_rng(0).integers(0, 2, size=(_DRAWN, count))
        sums = np.append(np.abs((1 - 2 * signs) @ differences), abs(differences.sum()))
    return float((sums >= abs(differences.sum()) - 1e-12 * np.abs(differences).sum()).mean())
