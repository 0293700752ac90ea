"""What all workers of a search need to know."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dcase_sweep.sweep.application import Application
from dcase_sweep.sweep.optuna.space import Space
from dcase_sweep.sweep.optuna.study import Objective


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """A search; it can be sent to other processes."""

    application: Application
    storage: str
    study: str
    space: Space
    objective: Objective
    #: Overrides that all trials share.
    fixed: tuple[str, ...]
    n_trials: int
    #: Largest fraction of failed trials.
    max_failed: float
    #: Configurations of the sampler and the pruner.
    sampler: dict[str, Any]
    pruner: dict[str, Any]
    #: Metric of a finished job → largest value; a trial above it is no candidate for the best.
    constraints: Mapping[str, float]
    #: The record of the study, outside its storage.
    record_id: str = ""
    #: Whether the sampler tries every combination, each once.
    is_grid: bool = False
    #: How often an interrupted trial is tried again; None = as often as it is interrupted.
    max_retries: int | None = None
