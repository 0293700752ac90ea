"""Accuracy and log loss of resampled test clips."""

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.resampling import Statistic


def class_average(values: NDArray[np.floating], truth: NDArray[np.integer], classes: int) -> Statistic:
    """The mean over scenes of the mean over a scene's clips, as the official table has it.

    Args:
        values: value of each clip ``[clip]``: 1 for a correct decision, or the loss.
        truth: scene of each clip ``[clip]``.
        classes: number of scenes; one without a clip in a resample is left out of its mean.
    """
    member = (truth[:, None] == np.arange(classes)).astype(np.float64)
    weighted = member * np.asarray(values, dtype=np.float64)[:, None]

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        counts = weights @ member
        means = np.divide(weights @ weighted, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
        found: NDArray[np.float64] = np.nanmean(means, axis=1)
        return found

    return statistic
