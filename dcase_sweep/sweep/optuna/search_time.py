"""The time limit of a worker or of a whole search: whether a trial can still be begun."""

from collections.abc import Sequence
from itertools import islice

from optuna.trial import FrozenTrial

from dcase_sweep.sweep.optuna.attributes import EPOCH, REPEAT_OF, SECONDS
from dcase_sweep.sweep.optuna.seeds import read_seeds
from dcase_sweep.utils.time_limit import TimeLimit, describe_shortage

#: The newest trials of which so many are looked at, and of these so many with a known time.
_LOOKED_AT, _KNOWN = 200, 20


class SearchTime:
    """The end of the available time.

    Args:
        deadline: seconds since 1970; None = there is no limit.
    """

    def __init__(self, deadline: float | None) -> None:
        self.limit = TimeLimit(deadline)

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return self.limit.deadline is not None

    def find_shortage(self, trials: Sequence[FrozenTrial]) -> str | None:
        """Describe why no trial is begun; None if the remaining time holds an epoch.

        Args:
            trials: the trials of the study, from which the longest epoch is known.
        """
        if not self.is_limited:
            return None
        needed = seconds_of_epoch(trials)
        if self.limit.holds(needed):
            return None
        return describe_shortage(self.limit.seconds_left, needed)


def seconds_of_epoch(trials: Sequence[FrozenTrial]) -> float:
    """Return the longest time that one of the newest trials took for an epoch; 0 if none is known.

    The first epoch of a trial includes its preparation.
    """
    newest = (_seconds_of_epoch(trial) for trial in islice(reversed(trials), _LOOKED_AT))
    return max(islice((seconds for seconds in newest if seconds > 0), _KNOWN), default=0.0)


def _seconds_of_epoch(trial: FrozenTrial) -> float:
    measured = trial.user_attrs.get(EPOCH)
    if isinstance(measured, int | float):
        return float(measured)
    whole = trial.user_attrs.get(SECONDS)  # of a worker without a limit
    if not isinstance(whole, int | float) or REPEAT_OF in trial.user_attrs:
        return 0.0
    trainings = max(1, len(read_seeds(trial.user_attrs)))
    return float(whole) / trainings / max(1, len(trial.intermediate_values))
