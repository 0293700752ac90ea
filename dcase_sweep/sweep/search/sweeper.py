"""Hydra's sweeper for searches: Optuna asks, workers answer, whatever stops it can be continued."""

import logging
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from dcase_sweep.config import Experiment, build, check, check_written, flatten, plain
from dcase_sweep.errors import UserError
from dcase_sweep.resumption import comparable
from dcase_sweep.sweep.launchers import MOST_PROCESSES, check_launcher, is_basic
from dcase_sweep.utils.machine import format_bytes, memory_bytes

if TYPE_CHECKING:
    import optuna

    from dcase_sweep.sweep.search.plan import Plan
    from dcase_sweep.sweep.search.space import Space
    from dcase_sweep.sweep.search.study import Objective

log = logging.getLogger(__name__)

#: Trials of one study; a journal of more takes minutes to read.
_MOST_TRIALS = 1_000_000
#: What a process takes that has loaded PyTorch and nothing else, beside what it shares.
_WORKER_BYTES = 256 * 2**20


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
    """

    #: The search that this process ran, for the command's exit code.
    latest: "OptunaSweeper | None" = None

    #: What is added to a trial's fixed overrides before they are composed.
    complete: Callable[[list[str]], list[str]] = staticmethod(lambda overrides: overrides)

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
    ) -> None:
        self.n_trials = n_trials
        self.workers = workers
        self.study_name = study_name
        self.storage = storage
        self.fresh = fresh
        self.max_failed = max_failed
        self.sampler: dict[str, Any] = plain(sampler)
        self.pruner: dict[str, Any] = plain(pruner)
        self.wanted: dict[str, Any] = plain(search) or {}
        self.params: dict[str, str] = plain(params) or {}
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
        from dcase_sweep import tracking
        from dcase_sweep.interruption import Interrupted, interruptible
        from dcase_sweep.sweep.search import settings
        from dcase_sweep.sweep.search import study as records
        from dcase_sweep.sweep.search.crew import Crew

        OptunaSweeper.latest = self
        settings.be_plain()
        self._check_numbers()
        fixed, varied = self._split(arguments)
        composed = self._compose(fixed)
        base = check(composed)
        space = self._space(varied, base, composed)
        objective = records.Objective.parse(self._objective() or {base.task.objective: "maximize"})
        limits = self._limits()
        self._rehearse(space, fixed)
        classes = self._classes(base) if limits else 0
        where = self.storage or settings.default_storage(base.tracking.folder)
        configuration = comparable(flatten(base))
        changing = {key for key in configuration if any(_covers(each, key) for each in space.describe())}
        shared = {key: value for key, value in configuration.items() if key not in changing}
        wanted = dict(zip(objective.metrics, objective.directions, strict=True))
        signature = records.Signature(space.describe(), wanted, limits, shared)
        storage = records.open_storage(where)
        study = records.open_study(storage, self._name(base), objective, signature, fresh=self.fresh)
        recovered = records.recover(study)
        folder = Path(self._config.hydra.sweep.dir)
        check_written("hydra.sweep.dir", folder)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._config, folder / "multirun.yaml")
        with interruptible():
            parent = tracking.start_run(
                base.tracking,
                name=study.study_name,
                tags={"dcase_sweep.sweep": " ".join(arguments), "dcase_sweep.study": study.study_name},
                resume_id=study.user_attrs.get(records.PARENT),
                code=Path.cwd(),
            )
            study.set_user_attr(records.PARENT, parent.id)
            plan = self._plan(where, study.study_name, space, objective, limits, fixed, parent.id, classes)
            crew = Crew(plan, study, base, self._context, self._config, self.workers, folder)
            crew.close_runs(recovered, "KILLED")
            self._introduce(study, where, folder)
            try:
                crew.work()
            except BaseException as error:
                parent.give_up("KILLED" if isinstance(error, Interrupted) else "FAILED")
                command = shlex.join(
                    ["python", "-m", "dcase_sweep", "-m", *self._config.hydra.overrides.hydra, *arguments]
                )
                log.info(f"interrupted; the same command continues: {command}")
                raise
            self._conclude(study, parent, folder, base, fixed)
        return study

    def _check_numbers(self) -> None:
        for name, value, most in (("n_trials", self.n_trials, _MOST_TRIALS), ("workers", self.workers, MOST_PROCESSES)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UserError(f"hydra.sweeper.{name}={value}: expected a whole number of at least 1")
            if value > most:
                raise UserError(f"hydra.sweeper.{name}={value}: expected at most {most:,}")
        check_launcher(self._config)
        self._check_memory()
        if not isinstance(self.max_failed, int | float) or not 0 <= self.max_failed <= 1:
            raise UserError(f"hydra.sweeper.max_failed={self.max_failed}: expected a share from 0 to 1")
        unknown = sorted(set(self.wanted) - {"objective", "limits", "params", "blocks"})
        if unknown:
            raise UserError(f"search.{unknown[0]}: no such key; expected objective, limits, params or blocks")

    def _check_memory(self) -> None:
        """Refuse more workers on this machine than its memory holds."""
        memory, needed = memory_bytes(), self.workers * _WORKER_BYTES
        if is_basic(self._config) and memory is not None and needed > memory:
            raise UserError(
                f"hydra.sweeper.workers={self.workers}: {self.workers:,} processes take at least "
                f"{format_bytes(needed)}; this machine has {format_bytes(memory)} of memory; use fewer"
            )

    def _split(self, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """The overrides that all trials share, and the expressions of what varies."""
        varied = self.params | (self.wanted.get("params") or {})
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
        return self.complete(fixed), varied

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        return self._context.config_loader.load_sweep_config(self._config, [*self._chosen, *overrides])

    def _space(self, varied: Mapping[str, str], base: Experiment, composed: DictConfig) -> "Space":
        from dcase_sweep.sweep.search.space import make_space

        model: Any = OmegaConf.to_container(composed.model, resolve=False)
        blocks, depth = model.get("blocks") or [], model.get("depth")
        shape = build("front_end", base.front_end).shape
        of_blocks = self.wanted.get("blocks")
        return make_space(varied, of_blocks, parser=self._parser, blocks=blocks, depth=depth, shape=shape)

    def _objective(self) -> dict[str, str]:
        """What the search's file optimises; or what the command line does, which Hydra would add to the file's."""
        for parsed in reversed(self._parser.parse_overrides(list(self._config.hydra.overrides.hydra))):
            if parsed.get_key_element().lstrip("+") == "hydra.sweeper.search.objective":
                typed: Any = parsed.value()
                if isinstance(typed, dict):
                    return {str(metric): str(direction) for metric, direction in typed.items()}
        return self.wanted.get("objective") or {}

    def _limits(self) -> dict[str, float]:
        from dcase_sweep.sweep.search.limits import refuse_unknown

        limits = {name: value for name, value in (self.wanted.get("limits") or {}).items() if value is not None}
        for name, value in limits.items():
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not 0 < value < float("inf"):  # NaN, which every comparison denies, is not either
                raise UserError(f"search.limits.{name}={value}: expected a positive number, or null for no limit")
        refuse_unknown(limits)
        return {name: float(value) for name, value in limits.items()}

    def _rehearse(self, space: "Space", fixed: Sequence[str]) -> None:
        """Compose one random trial, so that a misspelt key or an impossible kind of value is told before any runs."""
        import optuna

        from dcase_sweep.sweep.search.settings import make, make_sampler

        make_sampler(self.sampler, worker=0, trials=0)
        make("pruner", self.pruner)
        trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
        self._compose([*fixed, *space.suggest(trial)])

    def _classes(self, base: Experiment) -> int:
        """How many classes the data have: the head of a network is measured with them."""
        from dcase_sweep.features import load_features

        return len(load_features(base)[0].classes)

    def _name(self, base: Experiment) -> str:
        if self.study_name:
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
    ) -> "Plan":
        from dcase_sweep.sweep.search.plan import Plan

        return Plan(
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
        )

    def _introduce(self, study: "optuna.Study", where: str, folder: Path) -> None:
        from dcase_sweep.sweep.search.study import counts, without_password

        found = counts(study.get_trials(deepcopy=False))
        known = ", ".join(
            f"{found[name]} {name}" for name in ("finished", "pruned", "failed", "rejected") if found[name]
        )
        known = f"continued with {known}" if known else "new"
        log.info(f"search    {study.study_name} ({known}), {self.n_trials} trials wanted, {self.workers} at a time")
        if found["waiting"]:
            log.info(
                f"search    {found['waiting']} interrupted: tried once more, first of all, from their last epoch on"
            )
        shown = without_password(where)
        log.info(f"storage   {shown} (optuna-dashboard {shown})")
        log.info(f"folder    {folder}")

    def _conclude(
        self, study: "optuna.Study", parent: Any, folder: Path, base: Experiment, fixed: Sequence[str]
    ) -> None:
        from dcase_sweep.sweep.search import study as records
        from dcase_sweep.sweep.search.report import report

        trials = study.get_trials(deepcopy=False)
        stopped = study.user_attrs.get(records.STOPPED)
        self.failures = [f"search stopped: {stopped}"] if stopped else []
        failed = [trial for trial in trials if records.kind(trial) == "failed"]
        report(study, parent, folder, tracking=base.tracking, fixed=fixed)
        parent.end("FAILED" if stopped else "FINISHED")
        for trial in failed:
            log.info(f"failed    trial {trial.number}: {trial.user_attrs.get(records.ERROR)}")
        log.info(f"compare   {parent.store.command}")


def _covers(key: str, other: str) -> bool:
    """Whether a key of the space, perhaps with ``*`` for a block's position, decides another key's value."""
    if "*" in key:
        return other.startswith(key.partition(".*")[0])
    return other == key or other.startswith(f"{key}.")
