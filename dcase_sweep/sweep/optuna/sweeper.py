"""Hydra's sweeper for searches: Optuna suggests trials, workers run them, and the same command continues a search."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from dcase_sweep.sweep.application import Application, Record
from dcase_sweep.sweep.job import PreparedJob
from dcase_sweep.sweep.shared_files import warn_about_file
from dcase_sweep.utils.time_limit import parse_duration

if TYPE_CHECKING:
    from dcase_sweep.sweep.optuna.search_config import SearchConfig
    from dcase_sweep.sweep.optuna.signature import Objective, Signature
    from dcase_sweep.sweep.optuna.space import Space

log = logging.getLogger(__name__)

#: The longest name of a study. With the number of a trial it must fit into the names of trackers and databases.
_LONGEST_NAME = 200
_NAME_KEY = "hydra.sweeper.study_name"


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
        from dcase_sweep.sweep.optuna.joining import find_joined, get_record_id, store_command
        from dcase_sweep.sweep.optuna.opening import join_study, open_study
        from dcase_sweep.sweep.optuna.search import Search, make_folder, start_record
        from dcase_sweep.sweep.optuna.storage import claim, open_storage
        from dcase_sweep.utils.signals import interruptible

        settings.silence_optuna()
        checked = self._check(fixed, varied)
        application = self.application
        where = str(self.storage or application.locate_storage(checked.base))
        if "://" not in where or where.startswith("sqlite"):
            warn_about_file(self.composed, "hydra.sweeper.storage", where, "a server: postgresql://USER@HOST/DATABASE")
        storage = open_storage(where)
        application.load()
        signature = self._sign(checked)
        joined = find_joined()
        with interruptible():
            if joined is not None:
                study = join_study(
                    storage, joined.study, checked.objective, signature, rename=application.rename_stored
                )
                folder = make_folder(application, self.composed, study.study_name)
                record, record_id = Record(), application.find_record(get_record_id(study))
            else:
                with claim(storage):
                    study = open_study(
                        storage,
                        checked.name,
                        checked.objective,
                        signature,
                        fresh=self.fresh,
                        rename=application.rename_stored,
                    )
                    kept = {"n_trials": self.n_trials, "grace_period": self.grace_period}
                    store_command(study, self.composed, name_class(application), kept)
                    folder = make_folder(application, self.composed, study.study_name)
                    record = start_record(application, study, arguments)
                record_id = record.id
            config = self._make_search_config(checked, where, study.study_name, record_id)
            search = Search(
                study,
                config,
                record,
                folder,
                checked.base,
                self.composed,
                self.context,
                self.task,
                self.workers,
                joined,
            )
            search.run(arguments)
            fault = search.conclude()
        self.failures = [fault] if fault else []
        return study

    def _check(self, fixed: list[str], varied: dict[str, str]) -> "_Checked":
        """Check the space and an existing storage, and compose the configuration and one trial."""
        from dcase_sweep.sweep.optuna.architecture import count_trials_together
        from dcase_sweep.sweep.optuna.rehearsal import make_search_space, rehearse
        from dcase_sweep.sweep.optuna.seeds import list_seeds
        from dcase_sweep.utils.names import check_name

        application = self.application
        self.check_early(varied)
        base = self.compose(fixed)
        application.begin(base)
        seeds = list_seeds(self.seeds, base, varied)
        # Of several seeds, the configured one is checked already.
        last = application.check(self.compose([*fixed, f"seed={max(seeds)}"]) if seeds else base)
        name = check_name(str(self.study_name or application.name_study(base)), _NAME_KEY, _LONGEST_NAME)
        space = make_search_space(application, varied, base, self.parser, self.custom_search_space)
        objective = self.choose_objective()
        is_grid = rehearse(space, self.sampler, self.pruner, lambda more: self.compose([*fixed, *more]))
        together = count_trials_together(
            application, space, PreparedJob(base, last), seeds=max(1, len(seeds)), fused=self.fused
        )
        return _Checked(fixed, varied, base, name, space, objective, is_grid, seeds, together)

    def _sign(self, checked: "_Checked") -> "Signature":
        """Return what must not change when the study is continued."""
        from dcase_sweep.sweep.optuna.signature import drop_keys, make_signature

        application, base = self.application, checked.base
        return make_signature(
            drop_keys(application.describe(base), self.may_differ),
            checked.space.describe(),
            checked.objective,
            {**self.constraints, **application.limits},
            application.hash_sources(
                base, checked.varied, self.parser, lambda more: self.compose([*checked.fixed, *more])
            ),
            self.seeds,
        )

    def _make_search_config(self, checked: "_Checked", where: str, study: str, record_id: str) -> "SearchConfig":
        from dcase_sweep.sweep.optuna.search_config import SearchConfig

        return SearchConfig(
            application=self.application,
            storage=where if "://" in where else os.path.abspath(where),
            study=study,
            space=checked.space,
            objective=checked.objective,
            fixed=(*self.chosen, *checked.fixed),
            n_trials=self.n_trials,
            max_failed=self.max_failed,
            sampler=self.sampler,
            pruner=self.pruner,
            constraints=self.constraints,
            record_id=record_id,
            is_grid=checked.is_grid,
            max_retries=self.max_retries,
            grace_period=self.grace_period,
            time_limit=None if self.time_limit is None else parse_duration(self.time_limit),
            sampler_history=self.sampler_history,
            seeds=checked.seeds,
            fused=self.fused,
            together=checked.together,
        )

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
        from dcase_sweep.sweep.optuna.space import parse_parameter
        from dcase_sweep.sweep.optuna.storage import open_storage
        from dcase_sweep.utils.names import check_name

        if self.study_name is not None:
            check_name(str(self.study_name), _NAME_KEY, _LONGEST_NAME)
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
        varied = self.application.rename(self.list_params())
        fixed: list[str] = []
        for parsed in self.parser.parse_overrides(list(arguments)):
            key = parsed.get_key_element()
            assert parsed.input_line is not None
            if self.chooses_search(key):
                self.chosen.append(parsed.input_line)
                continue
            varied.pop(key, None)
            if parsed.is_sweep_override():
                varied[key] = parsed.input_line.partition("=")[2]
            else:
                fixed.append(parsed.input_line)
        return self.application.complete(fixed), varied

    def chooses_search(self, key: str) -> bool:
        """Whether an override selects the configuration of ``hydra.sweeper``; these are part of every composition."""
        return False

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Compose the configuration with these overrides."""
        return self.context.config_loader.load_sweep_config(self.composed, [*self.chosen, *overrides])


@dataclass(frozen=True, slots=True)
class _Checked:
    """A search whose command line and configuration are valid."""

    #: Overrides common to all trials, and the expressions of the varied keys.
    fixed: list[str]
    varied: dict[str, str]
    base: DictConfig
    #: The name of the study.
    name: str
    space: "Space"
    objective: "Objective"
    is_grid: bool
    #: The seeds of each trial, if there are several.
    seeds: tuple[int, ...]
    #: Largest number of trials that a worker trains together.
    together: int


def name_class(application: Application) -> str:
    """Return the full name of the class of an application."""
    return f"{type(application).__module__}.{type(application).__qualname__}"


def to_plain(value: Any) -> Any:
    """Convert OmegaConf nodes to dictionaries, lists and scalars."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
