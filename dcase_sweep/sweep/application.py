"""The interface between a sweep and the application whose jobs it runs.

`Application` itself works for every Hydra application whose task function returns a number, a list of numbers or a
dictionary of numbers. Other applications derive a class from it, override methods, and return it from a sweeper of
their own::

    class MySweeper(OptunaSweeper):
        def make_application(self) -> Application:
            return MyApplication()

Hydra finds a sweeper only if its class is defined in the namespace package ``hydra_plugins``.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from dcase_sweep.sweep import command
from dcase_sweep.sweep.job import SEED
from dcase_sweep.sweep.job import BestTrial as BestTrial
from dcase_sweep.sweep.job import Continuation as Continuation
from dcase_sweep.sweep.job import GridJob as GridJob
from dcase_sweep.sweep.job import PooledRow as PooledRow
from dcase_sweep.sweep.job import PreparedJob as PreparedJob
from dcase_sweep.sweep.job_runner import JobRunner
from dcase_sweep.sweep.job_runner import Returned as Returned
from dcase_sweep.sweep.outcomes import Outcome
from dcase_sweep.sweep.record import Record as Record
from dcase_sweep.utils.cpu import usable_cores

if TYPE_CHECKING:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from dcase_sweep.sweep.optuna.space import Space

#: The default journal of studies.
_JOURNAL = "optuna.log"


class Application(JobRunner):
    """The default application. Derive from it to extend the sweeps of an application.

    One instance is used by the command and sent to its worker processes, so it must be picklable. The methods that the
    workers call are those of `JobRunner`.
    """

    # Called by the command.

    def complete(self, overrides: list[str]) -> list[str]:
        """Return the overrides of a job, with those that they imply."""
        return overrides

    def rename(self, params: Mapping[str, str]) -> dict[str, str]:
        """Replace former names of keys in expressions."""
        return dict(params)

    def rename_stored(self, configuration: Mapping[str, Any]) -> Mapping[str, Any]:
        """Replace former names of keys in the flattened configuration of an earlier study."""
        return configuration

    def check_folder(self, key: str, folder: str | Path) -> None:
        """Check that a folder may be written to.

        Raises:
            UserError: if not, in one line with the key.
        """

    def begin(self, config: DictConfig) -> None:
        """Check the configuration common to all jobs. Called first, before anything is written.

        Raises:
            UserError: if it is invalid.
        """
        self.check(config)

    def load(self) -> None:
        """Load what is needed to prepare trials. Called once, after all checks."""

    def describe(self, config: DictConfig) -> dict[str, Any]:
        """Return the flattened configuration that must not change when a study is continued."""
        plain = OmegaConf.to_container(config, resolve=False)
        assert isinstance(plain, dict)
        return _flatten({key: value for key, value in plain.items() if key != "hydra"})

    def hash_sources(
        self,
        config: DictConfig,
        varied: Mapping[str, str],
        parser: "OverridesParser",
        compose: Callable[[Sequence[str]], DictConfig],
    ) -> Mapping[str, str]:
        """Hash the source of each piece of code that must not change when a study is continued.

        Args:
            config: the configuration common to all trials.
            varied: the expressions of the varied keys.
            parser: a parser of the expressions.
            compose: composes the configuration with further overrides.
        """
        return {}

    @property
    def limits(self) -> Mapping[str, float]:
        """Return further constraints, name → largest value. They are part of the study."""
        return {}

    def name_study(self, config: DictConfig) -> str:
        """Return the default name of a study."""
        return str(config.hydra.job.name)

    def locate_storage(self, config: DictConfig) -> str:
        """Return the default storage of a search: a journal or a database."""
        return _JOURNAL

    def choose_threads(self, config: DictConfig, workers: int) -> int | None:
        """Return the number of threads for each of several workers; None = the application's default."""
        return None if workers == 1 or "OMP_NUM_THREADS" in os.environ else max(1, usable_cores() // workers)

    def choose_mps(self, config: DictConfig) -> bool | None:
        """Return whether NVIDIA MPS is started where several workers share a GPU; None = jobs use no GPU."""
        return None

    def make_space(
        self, expressions: Mapping[str, str], config: DictConfig, parser: "OverridesParser"
    ) -> "Space | None":
        """Return the search space; None = keys that vary independently.

        Args:
            expressions: key → ``choice()``, ``range()`` or ``interval()``.
            config: the configuration common to all trials.
            parser: a parser of Hydra's grammar.

        Raises:
            UserError: for an invalid expression, or an empty space.
        """
        return None

    def start_record(
        self, name: str, arguments: Sequence[str], *, study: str | None = None, known_id: str | None = None
    ) -> Record:
        """Start the record of a sweep, or continue the one with this ID.

        Args:
            name: name of the sweep.
            arguments: overrides on the command line.
            study: name of the study, for a search.
            known_id: ID of the record of the sweep that is continued.
        """
        return Record()

    def find_record(self, record_id: str) -> str:
        """Return the ID of the record that another command has started, if jobs of this machine can belong to it."""
        return record_id

    def close_job(self, job_id: str, status: str) -> bool:
        """Close the record of a job whose process has ended; return False if no record has this ID."""
        return True

    def describe_continuation(self, config: DictConfig, arguments: Sequence[str]) -> str:
        """Return the command that continues a sweep."""
        return command.join(sys.argv[1:])

    def describe_repetition(self, config: DictConfig, best: BestTrial, folder: Path) -> str:
        """Return the command that repeats one of the best trials; of several seeds, the first."""
        hydra = [word for word in config.hydra.overrides.hydra if not word.lstrip("+").startswith(_OF_SWEEPS)]
        mode = [] if command.is_multirun() else ["hydra.mode=RUN"]
        overrides = [str(each) for each in best.overrides] if isinstance(best.overrides, list) else []
        seed = [f"{SEED}={each}" for each in best.seeds[:1]]
        return command.join([*command.places(), *best.fixed, *overrides, *seed, *hydra, *mode])

    def draws_figures(self, config: DictConfig) -> bool:
        """Whether the figures of a search are drawn.

        Args:
            config: the configuration common to all trials.
        """
        return True

    def describe_best(self, best: BestTrial) -> dict[str, str]:
        """Return further files for one of the best trials, name → text.

        Raises:
            UserError: if data of the trial in the storage must not be written to a file.
        """
        return {}

    # Called by grids.

    def find_finished(self, jobs: Sequence[Any]) -> list[tuple[str, Outcome] | None]:
        """For each result of `check`, return the name and outcome of an earlier identical job, or None."""
        return [None] * len(jobs)

    def continue_jobs(self, jobs: Sequence[Any], folder: Path) -> Continuation:
        """Find what earlier commands have left of these jobs in the folder of their sweep.

        Args:
            jobs: the results of `check`.
            folder: folder of the sweep.

        Raises:
            UserError: if the folder is that of other jobs.
        """
        return Continuation([()] * len(jobs))

    def find_result(self, job: Any, folder: Path) -> Any:
        """Return what a job has returned whose process was lost when it had finished; None if it had not.

        Args:
            job: the result of `check`.
            folder: folder of the job.
        """
        return None

    def find_progress(self, folder: Path) -> Any:
        """Return a value that changes with each step that the job in a folder has stored; None = not known."""
        return None

    def pool(self, jobs: Sequence[GridJob]) -> list[PooledRow]:
        """Return rows of the comparison for several jobs together, for example the folds of a cross-validation."""
        return []

    def describe_job(self, record_id: str, varying: Sequence[str]) -> list[str]:
        """Return overrides that are added to every job of a grid.

        Args:
            record_id: ID of the record of the sweep.
            varying: keys that differ between the jobs.
        """
        return []


#: Overrides without a meaning for a single run.
_OF_SWEEPS = ("hydra/sweeper", "hydra.sweeper.", "hydra/launcher", "hydra.launcher.", "hydra.sweep.", "hydra.mode=")


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten a configuration to dotted keys; a list is one value."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flatten(item, f"{prefix}.{key}" if prefix else str(key))
    return flat
