"""The settings of a search, shared by all workers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dcase_sweep.sweep.application import Application
from dcase_sweep.sweep.optuna.owners import GRACE_PERIOD
from dcase_sweep.sweep.optuna.space import Space
from dcase_sweep.sweep.optuna.study import Objective


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """The settings of a search. They can be sent to other processes."""

    application: Application
    storage: str
    study: str
    space: Space
    objective: Objective
    #: Overrides common to all trials.
    fixed: tuple[str, ...]
    n_trials: int
    #: Largest fraction of failed trials.
    max_failed: float
    #: The configurations of the sampler and the pruner.
    sampler: dict[str, Any]
    pruner: dict[str, Any]
    #: Metric of a finished job → largest value. A trial above it cannot be the best.
    constraints: Mapping[str, float]
    #: The ID of the study's record.
    record_id: str = ""
    #: Whether the sampler tries all combinations once.
    is_grid: bool = False
    #: How often an interrupted trial is retried; None = no limit.
    max_retries: int | None = None
    #: Seconds without a heartbeat after which a worker on another machine counts as ended.
    grace_period: float = GRACE_PERIOD
    #: Seconds from the start of a worker's command after which it must have ended; None = no limit.
    time_limit: float | None = None
    #: Largest number of trials that the sampler learns from; None = all.
    sampler_history: int | None = 1000
    #: The seeds of each trial, whose mean is its result; none = each trial is one job with the configured seed.
    seeds: tuple[int, ...] = ()
    #: Largest number of trainings that a worker computes together: of the seeds of a trial, or of several trials.
    fused: int = 1
    #: Largest number of trials of one architecture that it asks for together.
    together: int = 1
