"""What a sweep asks of the application whose jobs it runs.

`Application` as it stands serves every Hydra application whose task function returns a number, a list of numbers or a
dictionary of numbers. An application with more to say derives a class from it, overrides what differs, and gives it to
a sweeper of its own::

    class MySweeper(OptunaSweeper):
        def make_application(self) -> Application:
            return MyApplication()

Hydra finds a sweeper only if its class is defined in the namespace package ``hydra_plugins``.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from dcase_sweep.sweep import command
from dcase_sweep.sweep.outcomes import Outcome, read_metrics
from dcase_sweep.sweep.record import Record as Record
from dcase_sweep.sweep.reporting import ConstraintViolation
from dcase_sweep.utils.cpu import usable_cores
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.overrides import escape_interpolation
from dcase_sweep.utils.secrets import mask_word

if TYPE_CHECKING:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from dcase_sweep.sweep.optuna.reporter import TrialReporter
    from dcase_sweep.sweep.optuna.space import Space

#: The journal of studies where nothing else is configured.
_JOURNAL = "optuna.log"


@dataclass(frozen=True, slots=True)
class PreparedJob:
    """One job, composed and checked."""

    config: DictConfig
    #: What the application made of it, for `Application.run`.
    content: Any = None
    #: Figures known before the job runs; they are kept with the trial.
    figures: Mapping[str, float] = field(default_factory=dict)
    #: Constraint → by how much it is exceeded; 0 or less for each, or `prepare` refuses the job.
    violations: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GridJob:
    """One job of a grid."""

    overrides: list[str]
    #: What `Application.check` made of its configuration.
    content: Any = None
    #: What came of it; None while it is not over.
    outcome: Outcome | None = None

    @property
    def values(self) -> dict[str, str]:
        """Its overrides by their keys, passwords masked."""
        pairs = (mask_word(override).lstrip("+").partition("=") for override in self.overrides)
        return {key: value.strip("'\"") for key, _, value in pairs}


@dataclass(frozen=True, slots=True)
class Pooled:
    """What several jobs of a grid came to together: another row of its comparison.

    Attributes:
        values: of the row, key → what it shows.
        outcome: of the jobs together.
        report: for people; empty if there is nothing more to say than the row does.
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
    #: Overrides that all trials share, and those of this one as the storage has them. A storage is not trusted.
    fixed: tuple[str, ...]
    overrides: Any
    threads: Any
    metrics: Mapping[str, float]
    notes: tuple[str, ...]
    folder: str


class Application:
    """Any Hydra application; derive from it where an application has more to say.

    One instance serves the command that sweeps and is sent to its worker processes, so it must be possible to pickle.
    """

    # What the command asks.

    def complete(self, overrides: list[str]) -> list[str]:
        """The overrides of a job with those that follow from them."""
        return overrides

    def rename(self, params: Mapping[str, str]) -> dict[str, str]:
        """Keys with their expressions, former names of keys replaced."""
        return dict(params)

    def rename_stored(self, configuration: Mapping[str, Any]) -> Mapping[str, Any]:
        """The flattened configuration of an earlier study, former names of keys replaced."""
        return configuration

    def check_folder(self, key: str, folder: str | Path) -> None:
        """Refuse a folder that must not be written to.

        Raises:
            UserError: in one line with the key.
        """

    def check(self, config: DictConfig) -> Any:
        """Check a composed configuration; returns what the application makes of it.

        Raises:
            UserError: if it is invalid.
        """
        return None

    def begin(self, config: DictConfig) -> None:
        """Look at the configuration that all jobs share; called before anything is written, and first of all.

        Raises:
            UserError: if it is invalid.
        """
        self.check(config)

    def load(self) -> None:
        """Read what the trials of a search need to be prepared; called once, when everything else has been checked."""

    def describe(self, config: DictConfig) -> dict[str, Any]:
        """The flattened configuration that must stay as it is while a study goes on."""
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
        """Of each piece of code that must stay as it is while a study goes on, a hash of its source.

        Args:
            config: what all trials share.
            varied: the expressions of what varies.
            parser: of the expressions.
            compose: makes the configuration with further overrides.
        """
        return {}

    @property
    def limits(self) -> Mapping[str, float]:
        """Constraints of the application's own, name → largest value; a study keeps them."""
        return {}

    def name_study(self, config: DictConfig) -> str:
        """The name of a study that was given none."""
        return str(config.hydra.job.name)

    def locate_storage(self, config: DictConfig) -> str:
        """The journal or the database of a search that was given none."""
        return _JOURNAL

    def choose_threads(self, config: DictConfig, workers: int) -> int | None:
        """How many threads each of several workers may use; None = as the application chooses."""
        return None if workers == 1 or "OMP_NUM_THREADS" in os.environ else max(1, usable_cores() // workers)

    def make_space(
        self, expressions: Mapping[str, str], config: DictConfig, parser: "OverridesParser"
    ) -> "Space | None":
        """The space that is searched; None = keys that vary independently.

        Args:
            expressions: key → ``choice()``, ``range()`` or ``interval()``.
            config: what all trials share.
            parser: of Hydra's grammar.

        Raises:
            UserError: for an expression that is none, or an empty space.
        """
        return None

    def start_record(
        self, name: str, arguments: Sequence[str], *, study: str | None = None, known_id: str | None = None
    ) -> Record:
        """Begin the record of a sweep, or take up the one of this id.

        Args:
            name: of the sweep.
            arguments: the overrides on the command line.
            study: of a search.
            known_id: of the record, where the sweep is continued.
        """
        return Record()

    def close_job(self, job_id: str, status: str) -> bool:
        """End the record of a job whose process is gone; False if there is none of this id."""
        return True

    def describe_continuation(self, config: DictConfig, arguments: Sequence[str]) -> str:
        """The command that continues a sweep."""
        return command.join(sys.argv[1:])

    def describe_repetition(self, config: DictConfig, best: BestTrial, folder: Path) -> str:
        """The command that runs one of the best trials again."""
        hydra = [word for word in config.hydra.overrides.hydra if not word.lstrip("+").startswith(_OF_SWEEPS)]
        mode = [] if command.is_multirun() else ["hydra.mode=RUN"]
        overrides = [str(each) for each in best.overrides] if isinstance(best.overrides, list) else []
        return command.join([*command.places(), *best.fixed, *overrides, *hydra, *mode])

    def describe_best(self, best: BestTrial) -> dict[str, str]:
        """Further files for one of the best trials, name → text.

        Raises:
            UserError: if what the storage holds of the trial must not become a file.
        """
        return {}

    # What a grid asks besides.

    def find_finished(self, jobs: Sequence[Any]) -> list[tuple[str, Outcome] | None]:
        """For what `check` made of each job, the name and the outcome of an earlier job that was the same, or None."""
        return [None] * len(jobs)

    def pool(self, jobs: Sequence[GridJob]) -> list[Pooled]:
        """Further rows of the comparison, of several jobs together, as the folds of a cross-validation."""
        return []

    def describe_job(self, record_id: str, varying: Sequence[str]) -> list[str]:
        """Overrides that every job of a grid gets, besides its own.

        Args:
            record_id: of the record of the sweep.
            varying: keys that differ between its jobs.
        """
        return []

    # What a worker of a search asks.

    def set_up_process(self, hydra_state: Any) -> None:
        """Make a process that was just started know what the command's process knew.

        Args:
            hydra_state: of Hydra's singletons there.
        """
        from hydra.core.singleton import Singleton
        from hydra.core.utils import setup_globals

        setup_globals()
        Singleton.set_state(hydra_state)

    def describe_trial(self, study: str, number: int, record_id: str, threads: int | None) -> list[str]:
        """Overrides that a trial gets besides those of the space."""
        return []

    def prepare(self, config: DictConfig) -> PreparedJob:
        """Check a job before it runs.

        Raises:
            ConstraintViolation: if it cannot run, or breaks a limit.
        """
        try:
            return PreparedJob(config, self.check(config))
        except UserError as error:
            raise ConstraintViolation(str(error)) from None

    def resume(self, job: PreparedJob, folder: str) -> tuple[PreparedJob, int | None] | None:
        """Let a job go on in the folder of the try that was interrupted.

        Returns:
            the job, and how many steps are done, None where only the job itself will know; or None where it must begin
            from the start.
        """
        wanted = [str(word) for word in job.config.hydra.overrides.task]
        if job.config.hydra.output_subdir is None or _read_overrides(job.config, folder) != wanted:
            return None
        job.config.hydra.sweep.subdir = escape_interpolation(folder)  # an absolute path takes the place of both parts
        return job, None

    def run(self, composed: DictConfig, task: Callable[[DictConfig], Any], content: Any, trial: "TrialReporter") -> Any:
        """Run a job: call the task function of Hydra's with its configuration.

        Args:
            composed: without Hydra's part.
            task: the function that ``hydra.main`` decorates.
            content: what `prepare` made of the configuration.
            trial: takes reports; those of ``dcase_sweep.sweep.report`` reach it by themselves.
        """
        return task(composed)

    def read_outcome(self, returned: Any) -> Outcome:
        """What came of a job, from what `run` returned.

        Raises:
            UserError: if it is nothing that a search could use; it ends the search.
        """
        return Outcome("finished", read_metrics(returned))


#: Overrides that a single run has no use for.
_OF_SWEEPS = ("hydra/sweeper", "hydra.sweeper.", "hydra/launcher", "hydra.launcher.", "hydra.sweep.", "hydra.mode=")


def _read_overrides(config: DictConfig, folder: str) -> list[str] | None:
    """What the job in a folder was composed of; None where there is no job."""
    path = Path(folder) / str(config.hydra.output_subdir) / "overrides.yaml"
    try:
        found = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except Exception:  # whatever lies there is no job of ours
        return None
    return [str(word) for word in found] if isinstance(found, list) else None


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted keys and their values; a list is one value."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flatten(item, f"{prefix}.{key}" if prefix else str(key))
    return flat
