"""Jobs and trials of a sweep, as passed between a sweeper and an application."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig

from dcase_sweep.sweep.outcomes import Outcome, format_value
from dcase_sweep.utils.secrets import mask_word

#: A job or a trial that has ended its process so many times in a row without a new step has failed.
MOST_DEATHS = 3
#: The key of a configuration that the seeds of a trial are values of.
SEED = "seed"


def locate_folder(config: DictConfig) -> str:
    """Return the folder of the job with this configuration, as an absolute path."""
    sweep = config.hydra.sweep
    return os.path.abspath(os.path.join(str(sweep.dir), str(sweep.subdir)))


@dataclass(frozen=True, slots=True)
class PreparedJob:
    """A composed and validated job."""

    config: DictConfig
    #: The result of `Application.prepare`, for `Application.run`.
    content: Any = None
    #: Metrics known before the job runs, stored with the trial.
    figures: Mapping[str, float] = field(default_factory=dict)
    #: Constraint → amount by which it is exceeded. `prepare` raises an error unless all are 0 or less.
    violations: Mapping[str, float] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Return the folder of the job, as an absolute path."""
        return locate_folder(self.config)


@dataclass(frozen=True, slots=True)
class GridJob:
    """One job of a grid."""

    overrides: list[str]
    #: The result of `Application.check`.
    content: Any = None
    #: None until the job has ended.
    outcome: Outcome | None = None
    #: Overrides that continue an interrupted attempt, or choose the job's folder in that of its sweep.
    continuation: Sequence[str] = ()

    @property
    def values(self) -> dict[str, str]:
        """Return key → value of the overrides, with passwords masked."""
        pairs = (mask_word(override).lstrip("+").partition("=") for override in self.overrides)
        return {key: value.strip("'\"") for key, _, value in pairs}


@dataclass(frozen=True, slots=True)
class Continuation:
    """How the jobs of an interrupted grid are continued.

    Attributes:
        jobs: further overrides of each job.
        record_id: ID of the record of the sweep; None = a new one.
        skips_finished: whether jobs that have finished are not run again.
    """

    jobs: Sequence[Sequence[str]]
    record_id: str | None = None
    skips_finished: bool = False


@dataclass(frozen=True, slots=True)
class PooledRow:
    """An additional row of a comparison that combines several jobs, for example the folds of a cross-validation.

    Attributes:
        values: key → text in the key's column.
        outcome: the outcome of the jobs evaluated together.
        report: a longer report for ``pooled.txt``; empty if there is none.
    """

    values: dict[str, str]
    outcome: Outcome
    report: str = ""


@dataclass(frozen=True, slots=True)
class BestTrial:
    """One of the best trials, in plain values."""

    study: str
    number: int
    #: ``best``, or ``pareto_1`` and so on.
    name: str
    #: Overrides common to all trials, and those of this trial as read from the storage, which is not trusted.
    fixed: tuple[str, ...]
    overrides: Any
    threads: Any
    metrics: Mapping[str, float]
    notes: tuple[str, ...]
    #: The folder of its job, or of that of its first seed.
    folder: str
    #: The seeds whose mean the metrics are, and metric → standard deviation; empty for one job.
    seeds: tuple[int, ...] = ()
    spread: Mapping[str, float] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, str]:
        """Return the metrics as text, with the standard deviation over the seeds."""
        return {name: format_value(value, self.spread.get(name)) for name, value in self.metrics.items()}
