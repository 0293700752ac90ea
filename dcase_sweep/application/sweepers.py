"""The sweepers of this package: a grid of experiments, or a search."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.types import HydraContext, TaskFunction
from hydra.utils import get_class
from omegaconf import DictConfig

from dcase_sweep.application.continued import choose_continuation
from dcase_sweep.application.experiments import Experiments
from dcase_sweep.sweep import grid
from dcase_sweep.sweep.application import Application
from dcase_sweep.sweep.optuna import sweeper
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable


class SweepFailed(Exception):
    """Raised at the end of a sweep in which something has failed.

    Args:
        failures: one line for each failure.
    """

    def __init__(self, failures: Sequence[str]) -> None:
        super().__init__("; ".join(failures))
        self.failures = tuple(failures)


def raises_failures(target: str) -> bool:
    """Whether a sweeper raises `SweepFailed` where it must, which others than those of this package do not.

    Args:
        target: the full name of its class.
    """
    return issubclass(get_class(target), (grid.GridSweeper, sweeper.OptunaSweeper))


class GridSweeper(grid.GridSweeper):
    """Runs all combinations; see `dcase_sweep.sweep.grid`.

    Args:
        max_batch_size: number of jobs that the launcher runs at a time; None = as many as it can.
        params: overrides for all sweeps, key → value.
        skip_finished: skip jobs that have finished with the same configuration, code and data.
        search: not supported; a grid has no search space.
    """

    def __init__(
        self,
        max_batch_size: int | None = None,
        params: dict[str, str] | None = None,
        skip_finished: bool = False,
        search: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(max_batch_size, params, skip_finished)
        self.search = search

    def make_application(self) -> Application:
        """Experiments."""
        return Experiments()

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store Hydra's context, the configuration folders and the task function."""
        from dcase_sweep.config.search_path import SearchPath

        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        assert isinstance(self._application, Experiments)
        self._application.path = SearchPath.of_settings(config.hydra)

    def sweep(self, arguments: list[str]) -> Any:
        """Run the jobs; each returns a ``Result``.

        Raises:
            SweepFailed: at the end, if a job has failed.
        """
        if self.search is not None:
            raise UserError("search: not supported by a grid, which runs all combinations; add hydra/sweeper=optuna")
        arguments, resumed = _take_sweep(arguments)
        assert isinstance(self._application, Experiments)
        self._application.continuation = choose_continuation(resumed, Path(self._config.hydra.sweep.dir))
        results = super().sweep(arguments)
        if self.failures:
            raise SweepFailed(self.failures)
        return results

    def describe_continuation(self, arguments: Sequence[str], folder: Path) -> str:
        """Return the command that continues the sweep by its folder."""
        from dcase_sweep.config.resumed import continuation_words
        from dcase_sweep.config.search_path import SearchPath

        try:
            words = continuation_words(Path(os.path.relpath(folder)), SearchPath.of_settings(self._config.hydra))
        except UserError:  # somebody has changed the file; the whole command says the same
            return super().describe_continuation(arguments, folder)
        return " ".join(["python -m dcase_sweep", *words])


def _take_sweep(arguments: list[str]) -> tuple[list[str], Path | None]:
    """Take the folder of the sweep that is continued out of the overrides; its jobs have their own folders."""
    from dcase_sweep.config.resumed import find_sweep

    folder = find_sweep(arguments)
    if folder is None:
        return arguments, None
    return [word for word in arguments if not word.lstrip("+").startswith("resume=")], folder


class OptunaSweeper(sweeper.OptunaSweeper):
    """Searches a space of experiments: ``python -m dcase_sweep -m hydra/sweeper=optuna search=scene_cnn``.

    The varied keys come from ``search.params`` and ``search.blocks``, from ``params`` as in Hydra's own Optuna plugin,
    and from the command line; the last source takes precedence.

    Args:
        search: ``objective`` (metric → maximize or minimize), ``limits`` (metric of the complexity → largest value),
            ``params`` (key → expression), ``blocks`` (part of a convolution block → expression).
        settings: the settings of `dcase_sweep.sweep.optuna.sweeper.OptunaSweeper`.
    """

    def __init__(self, search: Mapping[str, Any] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.search: Any = sweeper.to_plain(search) or {}

    def sweep(self, arguments: list[str]) -> Any:
        """Search until there are enough trials, and return the study.

        Raises:
            SweepFailed: if it ended early.
        """
        study = super().sweep(_take_sweep(arguments)[0])
        if self.failures:
            raise SweepFailed(self.failures)
        return study

    def check_settings(self) -> None:
        """Check the settings, including those of the search."""
        from dcase_sweep.application.search_settings import check_search

        super().check_settings()
        check_search(self.search)
        for name in ("objective", "direction"):
            if (given := getattr(self, name)) is not None:
                raise UserError(
                    f"hydra.sweeper.{name}={printable(given)}: of other applications; a search of experiments has "
                    "'+hydra.sweeper.search.objective={METRIC: maximize}', or minimize"
                )

    def make_application(self) -> Application:
        """Return the application with the limits of the search."""
        from dcase_sweep.application.search_settings import parse_limits
        from dcase_sweep.config.search_path import SearchPath

        made = Experiments(parse_limits(self.search.get("limits") or {}), self.search.get("blocks"))
        made.path = SearchPath.of_settings(self.composed.hydra)
        return made

    def list_params(self) -> dict[str, str]:
        """Return ``params`` together with those of the search."""
        return {**self.params, **(self.search.get("params") or {})}

    def chooses_search(self, key: str) -> bool:
        """Whether an override selects the search, which ``hydra.sweeper.search`` requires."""
        return key == "search"

    def check_early(self, varied: Mapping[str, str]) -> None:
        """Check everything that needs no slow import, including the expressions for blocks."""
        from dcase_sweep.sweep.optuna.space import parse_parameter

        super().check_early(varied)
        for key, text in (self.search.get("blocks") or {}).items():
            parse_parameter(key, text, self.parser)

    def check_trial(self, config: DictConfig) -> None:
        """Check the configuration of a trial, and that its run will have the objectives."""
        from dcase_sweep.application.objectives import check_names

        application = self.application
        assert isinstance(application, Experiments)
        assert application.objective is not None
        check_names("search.objective", application.objective.metrics, application.check(config))

    def choose_objective(self) -> Any:
        """Return the objective of the search, or the task's default."""
        from dcase_sweep.application.objectives import check_names
        from dcase_sweep.application.search_settings import find_pruning_metric, parse_objective
        from dcase_sweep.config import get_objective
        from dcase_sweep.sweep.optuna.signature import Objective

        application = self.application
        assert isinstance(application, Experiments)
        typed = list(self.composed.hydra.overrides.hydra)
        wanted = parse_objective(self.parser, typed, self.search.get("objective") or {})
        objective = Objective.parse(wanted or get_objective(application.base), "search.objective")
        check_names("search.objective" if wanted else "task.objective", objective.metrics, application.base)
        check_names("hydra.sweeper.constraints", self.constraints, application.base)
        application.metric = find_pruning_metric(objective)
        application.objective = objective
        return objective
