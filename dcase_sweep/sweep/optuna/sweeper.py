"""Hydra's sweeper for searches: Optuna suggests trials, workers run them, and the same command continues a search."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from dcase_sweep.sweep.application import Application
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

log = logging.getLogger(__name__)


class OptunaSweeper(Sweeper):
    """Searches a space with Optuna, for any Hydra application whose task function returns numbers.

    The varied keys come from ``params``, ``custom_search_space`` and the command line; the last source takes
    precedence. Running the same command again continues the study.

    Args:
        n_trials: total number of finished and pruned trials; failed and rejected ones do not count.
        workers: number of trials that run in parallel.
        sampler: Optuna's sampler: ``_target_`` and arguments.
        pruner: Optuna's pruner, likewise.
        study_name: name of the study; None = the application's default.
        storage: a journal file or a database URL; None = the environment variable OPTUNA_STORAGE, where a password
            appears in no command, else the application's default journal.
        fresh: start a new study and keep the existing one.
        max_failed: stop the search when more than this fraction of its trials has failed.
        max_retries: how often an interrupted trial is retried; None = no limit.
        grace_period: seconds without a heartbeat after which a worker on another machine counts as ended and its trial
            is retried; a worker sends five within them.
        time_limit: the time from the start of a worker's command to its end, in seconds or as
            ``[DAYS-]HOURS:MINUTES:SECONDS``; None = that of its Slurm job. A worker begins no trial of which the
            remaining time does not hold an epoch.
        sampler_history: largest number of trials that the sampler learns from, the best and the most recent ones, so
            that its suggestions take the same time in a long search; None = all trials.
        seeds: number of seeds that each trial is trained with, counted from the configured ``seed``, or a list of
            seeds. The mean is the result of the trial; the standard deviation is shown with it.
        fused: largest number of trainings that a worker computes together, if the application can: the seeds of a
            trial, and further trials of the same architecture.
        objective: metric of the returned dictionary → ``maximize`` or ``minimize``.
        direction: the direction for a task function that returns one number, or a list of directions for several
            numbers.
        constraints: metric → largest value. A trial above it cannot be the best.
        params: key → ``choice()``, ``range()`` or ``interval()``.
        custom_search_space: ``package.module.function``, called with the configuration and the trial to suggest more
            values.
        may_differ: keys that may change when a study is continued, including all keys below them.
        n_jobs: same as ``workers``; the name in Hydra's own Optuna plugin.
        max_failure_rate: same as ``max_failed``; the name in Hydra's own Optuna plugin.
    """

    def __init__(
        self,
        n_trials: int,
        workers: int,
        sampler: Mapping[str, Any],
        pruner: Mapping[str, Any],
        study_name: str | None = None,
        storage: str | None = None,
        fresh: bool = False,
        max_failed: float = 0.5,
        max_retries: int | None = None,
        grace_period: float = 300.0,
        time_limit: float | str | None = None,
        sampler_history: int | None = 1000,
        seeds: int | Sequence[int] = 1,
        fused: int = 1,
        objective: Mapping[str, str] | None = None,
        direction: str | Sequence[str] | None = None,
        constraints: Mapping[str, float] | None = None,
        params: Mapping[str, str] | None = None,
        custom_search_space: str | None = None,
        may_differ: Sequence[str] | None = None,
        n_jobs: int | None = None,
        max_failure_rate: float | None = None,
    ) -> None:
        self.n_trials = n_trials
        self.workers = workers if n_jobs is None else n_jobs
        self.study_name = study_name
        self.storage = storage if storage is not None else os.environ.get("OPTUNA_STORAGE") or None
        self.fresh = fresh
        self.max_failed = max_failed if max_failure_rate is None else max_failure_rate
        self.max_retries = max_retries
        self.grace_period = grace_period
        self.time_limit = time_limit
        self.sampler_history = sampler_history
        self.seeds: Any = to_plain(seeds)
        self.fused = fused
        self.sampler: Any = to_plain(sampler)
        self.pruner: Any = to_plain(pruner)
        self.objective: Any = to_plain(objective)
        self.direction: Any = to_plain(direction)
        self.constraints: Any = to_plain(constraints) or {}
        self.params: Any = to_plain(params) or {}
        self.custom_search_space = custom_search_space
        self.may_differ: Any = to_plain(may_differ) or []
        self.failures: list[str] = []
        #: Overrides that select the sweeper's own configuration; they are composed with every trial.
        self.chosen: list[str] = []

    def make_application(self) -> Application:
        """Return the application whose jobs are run."""
        return Application()

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store Hydra's context and the task function."""
        self.context = hydra_context
        self.composed = config
        self.task = task_function
        self.parser = OverridesParser.create(config_loader=hydra_context.config_loader)

    def sweep(self, arguments: list[str]) -> Any:
        """Search until there are enough trials, and return the study.

        Raises:
            UserError: for any error that can be found before the first trial.
        """
        self.check_settings()
        self.application = self.make_application()
        fixed, varied = self.split(arguments)
        log.info("search    checking the space and a first trial")  # before the imports, which take seconds
        from dcase_sweep.sweep.optuna import settings
        from dcase_sweep.sweep.optuna.starting import check_search, open_location, sign, start_search
        from dcase_sweep.utils.signals import interruptible

        settings.silence_optuna()
        checked = check_search(self, fixed, varied)
        storage, where = open_location(self, checked)
        self.application.load()
        signature = sign(self, checked)
        with interruptible():
            search = start_search(self, checked, storage, where, signature, arguments)
            search.run(arguments)
            fault = search.conclude()
        self.failures = [fault] if fault else []
        return search.study

    def check_settings(self) -> None:
        """Check the settings of the sweeper.

        Raises:
            UserError: for an invalid setting, with the key, what was found and what is expected.
        """
        from dcase_sweep.sweep.optuna.inputs import check_inputs

        check_inputs(self, self.composed)

    def list_params(self) -> dict[str, str]:
        """Return the varied keys of the configuration, key → expression."""
        return dict(self.params)

    def check_early(self, varied: Mapping[str, str]) -> None:
        """Check the name, the space and an existing storage before anything slow is imported."""
        from dcase_sweep.sweep.optuna.inputs import check_study_name
        from dcase_sweep.sweep.optuna.space import parse_parameter
        from dcase_sweep.sweep.optuna.storage import open_storage

        if self.study_name is not None:
            check_study_name(str(self.study_name))
        for key, text in varied.items():
            parse_parameter(key, text, self.parser)
        where = None if self.storage is None else str(self.storage)
        if where is not None and ("://" in where or os.path.lexists(where.replace("\0", ""))):
            open_storage(where)

    def choose_objective(self) -> Any:
        """Return the objectives.

        Raises:
            UserError: for an invalid direction.
        """
        from dcase_sweep.sweep.optuna.inputs import parse_direction
        from dcase_sweep.sweep.optuna.signature import Objective

        if self.objective:
            return Objective.parse(self.objective, "hydra.sweeper.objective")
        return parse_direction(self.direction)

    def split(self, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """Split the overrides into those common to all trials and the expressions of the varied keys."""
        params = self.list_params()
        varied = self.application.rename(params)
        # A former key may need a choice of its group, which does not vary.
        chosen = [key for key, text in varied.items() if key not in params and str(text).startswith("[")]
        fixed = [f"{key}={varied.pop(key)}" for key in chosen]
        for parsed in self.parser.parse_overrides(list(arguments)):
            key = parsed.get_key_element()
            assert parsed.input_line is not None
            if self.chooses_search(key):
                if parsed.is_sweep_override():
                    raise UserError(f"{printable(parsed.input_line)}: several values; expected one for each command")
                self.chosen.append(parsed.input_line)
                continue
            for other in [each for each in varied if each.lstrip("+") == key.lstrip("+~")]:
                del varied[other]
            if parsed.is_sweep_override():
                varied[key] = parsed.input_line.partition("=")[2]
            else:
                fixed.append(parsed.input_line)
        return self.application.complete(fixed), varied

    def chooses_search(self, key: str) -> bool:
        """Whether an override selects the configuration of ``hydra.sweeper``; these are part of every composition."""
        return False

    def check_trial(self, config: DictConfig) -> None:
        """Check the configuration of a trial before the search begins.

        Raises:
            UserError: if it is invalid.
        """
        self.application.check(config)

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Compose the configuration with these overrides."""
        return self.context.config_loader.load_sweep_config(self.composed, [*self.chosen, *overrides])


def to_plain(value: Any) -> Any:
    """Convert OmegaConf nodes to dictionaries, lists and scalars."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
