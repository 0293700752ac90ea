"""A study and its trials, as far as the state of a search needs them."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dcase_sweep.sweep.optuna.attributes import (
    ALIVE,
    COMMAND,
    EXHAUSTED,
    INTERRUPTED,
    OWNER,
    REJECTED,
    REPEAT_OF,
    SPREAD,
    STOPPED,
    SURPLUS,
    kind_of,
)

#: The attributes that are read. Others may be large.
TRIAL_ATTRIBUTES = (ALIVE, INTERRUPTED, OWNER, REJECTED, REPEAT_OF, SPREAD, SURPLUS)
STUDY_ATTRIBUTES = (COMMAND, EXHAUSTED, STOPPED)
#: Optuna's name for the names of the objectives, and the beginning of those of constraints.
METRIC_NAMES, CONSTRAINTS = "study:metric_names", "constraints"


@dataclass(slots=True)
class StoredTrial:
    """A trial.

    Attributes:
        number: its number in the study.
        state: the name of Optuna's state.
        started: seconds since 1970; None if it waits.
        ended: likewise; None if it has not.
        values: its objectives, once it is finished.
        user_attrs: some of its attributes.
        is_feasible: whether it violates no constraint.
    """

    number: int
    state: str
    started: float | None = None
    ended: float | None = None
    values: list[float] = field(default_factory=list)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    is_feasible: bool = True

    @property
    def kind(self) -> str:
        """Waiting, running, finished and so on."""
        return kind_of(self.state, self.user_attrs)

    @property
    def datetime_start(self) -> datetime | None:
        """The time of the start, in this machine's time zone."""
        return None if self.started is None else datetime.fromtimestamp(self.started)


@dataclass(slots=True)
class StoredStudy:
    """A study and its trials.

    Attributes:
        name: its name.
        directions: ``minimize`` or ``maximize`` of each objective.
        metrics: the names of the objectives.
        user_attrs: some of its attributes.
        trials: in the order of their numbers.
    """

    name: str
    directions: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    trials: list[StoredTrial] = field(default_factory=list)

    @property
    def counts(self) -> Counter[str]:
        """Count the trials of each kind."""
        return Counter(trial.kind for trial in self.trials)

    def get_setting(self, name: str, expected: tuple[type, ...], default: Any) -> Any:
        """Return a setting of the command that has started the search last."""
        command = self.user_attrs.get(COMMAND)
        found = command.get(name) if isinstance(command, dict) else None
        return found if isinstance(found, expected) and not isinstance(found, bool) else default
