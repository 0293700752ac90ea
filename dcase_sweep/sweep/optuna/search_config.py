"""What all workers of a search need to know."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dcase_sweep.sweep.optuna.space import Space
from dcase_sweep.sweep.optuna.study import Objective


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """A search; it can be sent to other processes."""

    storage: str
    study: str
    space: Space
    objective: Objective
    #: Metric of the network's complexity → largest value.
    limits: Mapping[str, float]
    #: Overrides that all trials share.
    fixed: tuple[str, ...]
    n_trials: int
    #: Largest share of failed trials.
    max_failed: float
    #: Configurations of the sampler and the pruner.
    sampler: dict[str, Any]
    pruner: dict[str, Any]
    #: The MLflow run of the study.
    parent: str
    #: How many classes the networks tell apart; known from the data.
    classes: int
    #: Whether the sampler tries every combination, each once.
    is_grid: bool = False
    #: How often an interrupted trial is tried again; None = as often as it is interrupted.
    max_retries: int | None = None
