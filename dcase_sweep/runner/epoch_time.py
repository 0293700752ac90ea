"""The time that the epochs of a training take, and the end of a training whose next epoch would not fit."""

import time
from collections.abc import Mapping

from dcase_sweep.utils.time_limit import TimeLimit, remember_start

#: The longest of so many last epochs is expected of the next one. The first one often takes longer.
_LAST = 3
#: The speed of each epoch, among its metrics.
SPEED = "speed/clips_per_second"


class EpochTime:
    """Measures the epochs of a training.

    Args:
        limit: the end of the available time.
        clips: number of clips in an epoch.
        began: when the run began, by ``time.perf_counter``.
    """

    def __init__(self, limit: TimeLimit, clips: int, began: float) -> None:
        self._limit = limit
        self._clips = clips
        self._began = began
        self._previous = time.perf_counter()
        self._seconds: list[float] = []
        self._is_between = False

    def check_first(self, history: Mapping[str, Mapping[int, float]]) -> None:
        """Check that the remaining time holds an epoch like the last one before the training was interrupted.

        Raises:
            OutOfTime: if it does not.
        """
        speeds = history.get(SPEED, {})
        if speeds and (speed := speeds[max(speeds)]) > 0:
            self._limit.check(self._clips / speed)

    def end_epoch(self) -> float:
        """Note the end of an epoch, and return its speed in clips per second."""
        now = time.perf_counter()
        if not self._seconds:
            remember_start(now - self._began)
        self._seconds.append(now - self._previous)
        self._previous, self._is_between = now, True
        return self._clips / self._seconds[-1]

    @property
    def is_between(self) -> bool:
        """Whether the next batch is the first one after another epoch."""
        return self._is_between

    def begin_epoch(self) -> None:
        """Called at each batch.

        Raises:
            OutOfTime: if it is the first one and the remaining time does not hold an epoch. The epoch before is on
                disk then.
        """
        if self._is_between:
            self._is_between = False
            self._limit.check(max(self._seconds[-_LAST:]))
