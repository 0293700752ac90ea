"""Hydra's basic sweep with what experiments need: checks first, a parent run, a comparison, an exit code."""

import itertools
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from dcase_sweep.config.command_line import repeat_command, with_model_of_task
from dcase_sweep.config.overrides import combinations
from dcase_sweep.config.renamed import rename_overrides
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.sweep.comparison import Comparison, Entry, compare, table, to_csv
from dcase_sweep.sweep.launchers import check_launcher, is_basic
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.secrets import mask_word, masked_yaml

log = logging.getLogger(__name__)


class GridSweeper(Sweeper):
    """Runs every combination through whichever launcher is configured.

    All jobs are composed and checked before the first one starts. Their MLflow runs are children of one parent run,
    which keeps the comparison. A job that fails does not stop the others; ``failures`` lists it.

    Args:
        max_batch_size: how many jobs the launcher is given at a time; None = all.
        params: overrides that every sweep begins with, key → value.
        skip_finished: do not run again what has finished with the same configuration, code and data; this is how an
            interrupted sweep is continued.
        search: refused; a grid has no search space.
    """

    #: The sweep that this process ran, for the command's exit code.
    latest: "GridSweeper | None" = None

    def __init__(
        self,
        max_batch_size: int | None = None,
        params: dict[str, str] | None = None,
        skip_finished: bool = False,
        search: dict[str, Any] | None = None,
    ) -> None:
        self.skip_finished = skip_finished
        self.search = search
        self.max_batch_size = max_batch_size
        self.params = params or {}
        self.failures: list[str] = []

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's word of how to compose and what to run."""
        self._context = hydra_context
        self._config = config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the jobs; each returns an ``Result``."""
        from dcase_sweep import tracking
        from dcase_sweep.config import check_written
        from dcase_sweep.utils.signals import interruptible

        GridSweeper.latest = self
        if self.search is not None:
            raise UserError("search: a grid runs every combination and searches nothing; add hydra/sweeper=optuna")
        self._check_settings()
        check_launcher(self._config)
        jobs = self._jobs(arguments)
        experiments = [self._checked(overrides) for overrides in jobs]
        folder = Path(self._config.hydra.sweep.dir)
        check_written("hydra.sweep.dir", folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "multirun.yaml", masked_yaml(self._config))
        settings = experiments[0].tracking
        with interruptible():
            parent = tracking.start_run(
                settings,
                name=settings.run_name or self._name(jobs),
                tags={"dcase_sweep.sweep": " ".join(map(mask_word, arguments))},
                code=Path.cwd(),
            )
            log.info(f"sweep     {len(jobs)} jobs, {folder}")
            if self.skip_finished:
                tracking.close_dead_runs(parent.store)  # what was killed before; of a local store this is done
            jobs, finished = self._without_finished(jobs, experiments)
            results: list[JobReturn] = []
            given = [f"++tracking.parent={parent.id}", f"++tracking.varying={_varying(jobs)}"]
            try:
                self._launch([[*overrides, *given] for overrides in jobs], results)
            except BaseException as error:  # what is done is worth telling, whatever ended the rest
                self._report(parent, jobs, results, folder, finished, "KILLED" if _is_stop(error) else "FAILED")
                skipping = [*arguments, *([] if self.skip_finished else ["hydra.sweeper.skip_finished=true"])]
                log.info(f"continue  {repeat_command(self._config.hydra, skipping, is_sweep=True)}")
                raise
            self._report(parent, jobs, results, folder, finished)
        return [results]

    def _check_settings(self) -> None:
        size = self.max_batch_size
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise UserError(f"hydra.sweeper.max_batch_size={size}: expected a number of jobs, at least 1, or null")
        if not isinstance(self.skip_finished, bool):
            raise UserError(f"hydra.sweeper.skip_finished={self.skip_finished}: expected true or false")
        if not isinstance(self.params, Mapping):
            raise UserError(f"hydra.sweeper.params={self.params}: expected keys with their values, or null")

    def _without_finished(
        self, jobs: list[list[str]], experiments: Sequence[Any]
    ) -> tuple[list[list[str]], list[Entry]]:
        """The jobs to run, and what those that need not be came to."""
        if not self.skip_finished:
            return jobs, []
        from dcase_sweep.sweep.finished import Finder

        finder = Finder()
        rest, entries = [], []
        for overrides, experiment in zip(jobs, experiments, strict=True):
            found = finder.find(experiment)
            if found is None:
                rest.append(overrides)
                continue
            log.info(f"skipped   {' '.join(map(mask_word, overrides))}: finished as {found.name} · {found.id}")
            entries.append(Entry(_values(overrides), "finished", found.metrics, found.seconds, found.note))
        return rest, entries

    def _jobs(self, arguments: Sequence[str]) -> list[list[str]]:
        """The overrides of each job: the product of all sweeps, the last one varying fastest."""
        parser = OverridesParser.create(config_loader=self._context.config_loader)
        defaults = rename_overrides([f"{key}={value}" for key, value in self.params.items()])
        path = SearchPath.of_settings(self._config.hydra)
        return [with_model_of_task(job, path) for job in combinations(parser, [*defaults, *arguments])]

    def _checked(self, overrides: Sequence[str]) -> Any:
        from dcase_sweep.config import check

        try:
            composed = self._context.config_loader.load_sweep_config(self._config, list(overrides))
            return check(composed)
        except UserError as error:
            raise UserError(f"job {' '.join(map(mask_word, overrides))}: {error}") from None

    def _launch(self, jobs: Sequence[Sequence[str]], results: list[JobReturn]) -> None:
        """Run the jobs and append what each came to, as far as one is over before the next begins."""
        # One after the other they can be given one by one, so that an interruption loses none that is over.
        size = self.max_batch_size or (1 if is_basic(self._config) else len(jobs))
        for start in range(0, len(jobs), size):
            results += self._launcher.launch(jobs[start : start + size], initial_job_idx=start)

    @staticmethod
    def _name(jobs: Sequence[Sequence[str]]) -> str:
        differing = _varying(jobs)
        return f"sweep over {', '.join(differing)}" if differing else "sweep"

    def _report(
        self,
        parent: Any,
        jobs: Sequence[Sequence[str]],
        results: Sequence[JobReturn],
        folder: Path,
        finished: Sequence[Entry] = (),
        status: str | None = None,
    ) -> None:
        """Compare the jobs that are over; the others count as not finished.

        Args:
            finished: jobs that were over before.
            status: of the parent run; None = what the jobs make of it.
        """
        entries, names = [], []
        for overrides, result in itertools.zip_longest(jobs, results):
            if result is None:
                entries.append(Entry(_values(overrides), "interrupted", {}))
                continue
            outcome = result._return_value
            if isinstance(outcome, BaseException):  # raised outside the task function, by a launcher for instance
                entries.append(Entry(_values(overrides), "failed", {}))
                names.append(f"{' '.join(map(mask_word, overrides))}: {type(outcome).__name__}: {outcome}")
                continue
            entries.append(Entry(_values(overrides), outcome.status, outcome.metrics, outcome.seconds, outcome.note))
            if outcome.status == "failed":
                names.append(f"{' '.join(map(mask_word, overrides))}: {outcome.error}")
        self.failures = names
        comparison = compare([*finished, *entries])
        _save(parent, comparison, folder)
        if status:
            parent.give_up(status)
        else:
            parent.end("FAILED" if names else "FINISHED")
        log.info(f"\n{table(comparison)}\n")
        done, wanted = len(results) - len(names) + len(finished), len(jobs) + len(finished)
        log.info(f"sweep     {done} of {wanted} jobs finished, {os.path.relpath(folder)}")
        log.info(f"compare   {parent.store.command}")


def _is_stop(error: BaseException) -> bool:
    """Whether somebody asked for the end, rather than something going wrong."""
    return not isinstance(error, Exception)


def _varying(jobs: Sequence[Sequence[str]]) -> list[str]:
    """The keys whose values differ between jobs."""
    keys = dict.fromkeys(key for job in jobs for key in _values(job))
    return [key for key in keys if len({_values(job).get(key) for job in jobs}) > 1]


def _values(overrides: Sequence[str]) -> dict[str, str]:
    pairs = (mask_word(override).lstrip("+").partition("=") for override in overrides)
    return {key: value.strip("'\"") for key, _, value in pairs}


def _save(parent: Any, comparison: Comparison, folder: Path) -> None:
    if comparison.notes:
        parent.set_tags({"mlflow.note.content": "\n\n".join(f"**{note}**" for note in comparison.notes)})
    for name, text in (("comparison.txt", table(comparison) + "\n"), ("comparison.csv", to_csv(comparison))):
        write_text(folder / name, text)
        parent.log_text(text, name)
