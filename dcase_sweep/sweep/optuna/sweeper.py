"""Hydra's sweeper for searches: Optuna asks, workers answer, whatever stops it can be continued."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from dcase_sweep.config import Experiment, build_front_end, check, check_written, flatten, plain
from dcase_sweep.config.command_line import repeat_command, with_model_of_task
from dcase_sweep.config.renamed import rename_keys
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.training.resume import comparable
from dcase_sweep.utils.errors import UserError

if TYPE_CHECKING:
    import optuna

    from dcase_sweep.sweep.optuna.search_config import SearchConfig
    from dcase_sweep.sweep.optuna.signature import Objective
    from dcase_sweep.sweep.optuna.space import Space

log = logging.getLogger(__name__)

#: Characters of a tag that every store of MLflow's takes.
_LONGEST_TAG = 5000
#: The longest name of a study; with the number of a trial it must fit where MLflow and databases keep names.
_LONGEST_NAME = 200
_NAME_KEY = "hydra.sweeper.study_name"


class OptunaSweeper(Sweeper):
    """Searches a space with Optuna: ``python -m dcase_sweep -m hydra/sweeper=optuna search=scene_cnn``.

    What varies comes from ``search.params`` and ``search.blocks``, from ``params`` as in Hydra's own Optuna plugin, and
    from the command line, where the last one named wins. The same command again continues the study.

    Args:
        n_trials: wanted in all; finished and pruned ones count, failed and rejected ones do not.
        workers: how many trials run at a time.
        study_name: None = made of the search, the model and the data.
        storage: a journal file or a database URL; None = a journal beside the local MLflow store.
        fresh: begin anew, beside what is there.
        max_failed: the search ends when more than this share of its trials has failed.
        sampler: of Optuna, by ``_target_`` and arguments.
        pruner: likewise.
        search: ``objective`` (metric → maximize or minimize), ``limits`` (metric of the complexity → largest value),
            ``params`` (key → expression), ``blocks`` (part of a convolution block → expression).
        params: further keys, as in ``hydra.sweeper.params``.
        max_retries: how often an interrupted trial is tried again, each time from its last epoch; None = no limit.
    """

    #: The search that this process ran, for the command's exit code.
    latest: "OptunaSweeper | None" = None

    def __init__(
        self,
        n_trials: int,
        workers: int,
        study_name: str | None,
        storage: str | None,
        fresh: bool,
        max_failed: float,
        sampler: Mapping[str, Any],
        pruner: Mapping[str, Any],
        search: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        max_retries: int | None = None,
    ) -> None:
        self.n_trials = n_trials
        self.workers = workers
        self.study_name = study_name
        self.storage = storage
        self.fresh = fresh
        self.max_failed = max_failed
        self.max_retries = max_retries
        self.sampler: dict[str, Any] = plain(sampler)
        self.pruner: dict[str, Any] = plain(pruner)
        self.wanted: dict[str, Any] = {} if search is None else plain(search)
        self.params: dict[str, str] = {} if params is None else plain(params)
        self.failures: list[str] = []
        self._chosen: list[str] = []

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's word of how to compose and what to run."""
        self._context = hydra_context
        self._config = config
        self._parser = OverridesParser.create(config_loader=hydra_context.config_loader)

    def sweep(self, arguments: list[str]) -> Any:
        """Search until there are enough trials; returns the study.

        Raises:
            UserError: for anything that can be known before the first trial.
        """
        from dcase_sweep.sweep.optuna import settings
        from dcase_sweep.sweep.optuna import study as records
        from dcase_sweep.sweep.optuna.inputs import check_inputs, parse_limits, parse_objective
        from dcase_sweep.sweep.optuna.signature import make_signature
        from dcase_sweep.sweep.sources import hash_search_sources
        from dcase_sweep.utils.names import check_name
        from dcase_sweep.utils.signals import interruptible

        OptunaSweeper.latest = self
        settings.be_plain()
        check_inputs(self, self._config)
        fixed, varied = self._split(arguments)
        self._check_early(varied)
        composed = self._compose(fixed)
        base = check(composed)
        name = check_name(self._name(base), _NAME_KEY, _LONGEST_NAME)
        space = self._space(varied, base, composed)
        typed = parse_objective(
            self._parser, list(self._config.hydra.overrides.hydra), self.wanted.get("objective") or {}
        )
        objective = records.Objective.parse(typed or {base.task.objective: "maximize"})
        limits = parse_limits(self.wanted.get("limits") or {})
        is_grid = self._rehearse(space, fixed)
        where = str(self.storage or settings.default_storage(base.tracking.folder))
        storage = records.open_storage(where)
        classes = self._classes(base) if limits else 0
        shared = comparable(flatten(base))
        sources = hash_search_sources(shared, varied, self._parser, lambda more: self._compose([*fixed, *more]))
        signature = make_signature(shared, space.describe(), objective, limits, sources)
        with interruptible():
            with records.claim(storage):
                study = records.open_study(storage, name, objective, signature, fresh=self.fresh)
                folder = self._make_folder()
                parent = self._start_parent(study, base, arguments)
            search_config = self._plan(
                where, study.study_name, space, objective, limits, fixed, parent.id, classes, is_grid
            )
            self._search(study, search_config, parent, base, folder, arguments)
            self._conclude(study, search_config, parent, folder, base, fixed)
        return study

    def _check_early(self, varied: Mapping[str, str]) -> None:
        """Check the name, the space and a storage that is there before PyTorch is loaded, which takes seconds."""
        from dcase_sweep.sweep.optuna.space import parse_parameter
        from dcase_sweep.sweep.optuna.storage import open_storage
        from dcase_sweep.utils.names import check_name

        if self.study_name is not None:
            check_name(str(self.study_name), _NAME_KEY, _LONGEST_NAME)
        for key, text in [*varied.items(), *(self.wanted.get("blocks") or {}).items()]:
            parse_parameter(key, text, self._parser)
        where = None if self.storage is None else str(self.storage)
        if where is not None and ("://" in where or os.path.lexists(where.replace("\0", ""))):
            open_storage(where)

    def _search(
        self,
        study: "optuna.Study",
        search_config: "SearchConfig",
        parent: Any,
        base: Experiment,
        folder: Path,
        arguments: list[str],
    ) -> None:
        """Take over what earlier commands left, and keep workers at work until the end."""
        from dcase_sweep.sweep.optuna import study as records
        from dcase_sweep.sweep.optuna.report import introduce
        from dcase_sweep.sweep.optuna.worker_pool import WorkerPool
        from dcase_sweep.utils.signals import Interrupted

        try:
            worker_pool = WorkerPool(search_config, study, base, self._context, self._config, self.workers, folder)
            worker_pool.close_runs(records.recover(study, search_config.max_retries), "KILLED")
            worker_pool.retry_failed()
            introduce(study, search_config, self.workers, folder)
            worker_pool.work()
        except BaseException as error:
            parent.give_up("KILLED" if isinstance(error, Interrupted) else "FAILED")
            command = repeat_command(self._config.hydra, arguments, is_sweep=True)
            log.info(f"interrupted; the same command continues: {command}")
            raise

    def _make_folder(self) -> Path:
        """The folder of the sweep, with the configuration that it was begun with."""
        from dcase_sweep.utils.secrets import mask_values

        folder = Path(self._config.hydra.sweep.dir)
        check_written("hydra.sweep.dir", folder)
        folder.mkdir(parents=True, exist_ok=True)
        shown = mask_values(OmegaConf.to_container(self._config, resolve=False))
        (folder / "multirun.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(shown)))
        return folder

    def _start_parent(self, study: "optuna.Study", base: Experiment, arguments: Sequence[str]) -> Any:
        """The MLflow run of the study; another one where it was lost."""
        from dcase_sweep import tracking
        from dcase_sweep.sweep.optuna import study as records
        from dcase_sweep.utils.secrets import mask_word

        known = study.user_attrs.get(records.PARENT)
        parent = tracking.start_run(
            base.tracking,
            name=study.study_name,
            tags={
                "dcase_sweep.sweep": " ".join(map(mask_word, arguments))[:_LONGEST_TAG],
                "dcase_sweep.study": study.study_name,
            },
            resume_id=known,
            code=Path.cwd(),
        )
        if parent.id != known:
            study.set_user_attr(records.PARENT, parent.id)
        return parent

    def _split(self, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """The overrides that all trials share, and the expressions of what varies."""
        varied = rename_keys(self.params | (self.wanted.get("params") or {}))
        fixed: list[str] = []
        for parsed in self._parser.parse_overrides(list(arguments)):
            key = parsed.get_key_element()
            if key == "search":
                # Overrides of hydra.sweeper.search need it wherever they are composed.
                self._chosen = [str(parsed.input_line)]
                continue
            varied.pop(key, None)
            assert parsed.input_line is not None
            if parsed.is_sweep_override():
                varied[key] = parsed.input_line.partition("=")[2]
            else:
                fixed.append(parsed.input_line)
        return with_model_of_task(fixed, SearchPath.of_settings(self._config.hydra)), varied

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        return self._context.config_loader.load_sweep_config(self._config, [*self._chosen, *overrides])

    def _space(self, varied: Mapping[str, str], base: Experiment, composed: DictConfig) -> "Space":
        from dcase_sweep.sweep.optuna.space import make_space

        model: Any = OmegaConf.to_container(composed.model, resolve=False)
        blocks, depth = model.get("blocks") or [], model.get("depth")
        shape = build_front_end(base).shape
        of_blocks = self.wanted.get("blocks")
        return make_space(varied, of_blocks, parser=self._parser, blocks=blocks, depth=depth, shape=shape)

    def _rehearse(self, space: "Space", fixed: Sequence[str]) -> bool:
        """Compose one random trial, so that a misspelt key or an impossible kind of value is told before any runs.

        Returns whether the sampler tries every combination.

        Raises:
            UserError: also for such a sampler and a continuous parameter.
        """
        import optuna

        from dcase_sweep.sweep.optuna.points import list_points
        from dcase_sweep.sweep.optuna.settings import is_grid, make, make_sampler

        sampler = make_sampler(self.sampler, worker=0, trials=0)
        make("pruner", self.pruner)
        if is_grid(sampler) and list_points(space) is None:
            raise UserError(
                "hydra/sweeper/sampler=grid: the space is continuous; expected choice(), range() or "
                "tag(int,interval()) for every key, or another sampler"
            )
        trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
        self._compose([*fixed, *space.suggest(trial)])
        return is_grid(sampler)

    def _classes(self, base: Experiment) -> int:
        """How many classes the data have: the head of a network is measured with them."""
        from dcase_sweep.tasks.features import load_features

        return len(load_features(base)[0].classes)

    def _name(self, base: Experiment) -> str:
        if self.study_name is not None:
            return str(self.study_name)
        choices = self._config.hydra.runtime.choices
        return "-".join([choices.get("search") or "search", str(choices.get("model")), base.data.name])

    def _plan(
        self,
        where: str,
        name: str,
        space: "Space",
        objective: "Objective",
        limits: Mapping[str, float],
        fixed: Sequence[str],
        parent: str,
        classes: int,
        is_grid: bool,
    ) -> "SearchConfig":
        from dcase_sweep.sweep.optuna.search_config import SearchConfig

        return SearchConfig(
            storage=where if "://" in where else os.path.abspath(where),
            study=name,
            space=space,
            objective=objective,
            limits=limits,
            fixed=(*self._chosen, *fixed),
            n_trials=self.n_trials,
            max_failed=self.max_failed,
            sampler=self.sampler,
            pruner=self.pruner,
            parent=parent,
            classes=classes,
            is_grid=is_grid,
            max_retries=self.max_retries,
        )

    def _conclude(
        self,
        study: "optuna.Study",
        search_config: "SearchConfig",
        parent: Any,
        folder: Path,
        base: Experiment,
        fixed: Sequence[str],
    ) -> None:
        from dcase_sweep.sweep.optuna import study as records
        from dcase_sweep.sweep.optuna.report import describe_end, report

        trials = study.get_trials(deepcopy=False)
        failed = [trial for trial in trials if records.kind(trial) == "failed"]
        line, fault = describe_end(study, search_config)
        self.failures = [fault] if fault else []

        def repeat(name: str) -> str:
            return repeat_command(self._config.hydra, [f"+experiment={name}"], more=folder)

        report(study, parent, folder, tracking=base.tracking, fixed=fixed, repeat=repeat)
        parent.end("FAILED" if fault else "FINISHED")
        if line:
            log.info(f"search    {line}")
        for trial in failed:
            log.info(f"failed    trial {trial.number}: {trial.user_attrs.get(records.ERROR)}")
        log.info(f"compare   {parent.store.command}")
