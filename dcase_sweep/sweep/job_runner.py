"""What the workers of a search call of an application: the part of `Application` that prepares and runs jobs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from omegaconf import DictConfig, OmegaConf

from dcase_sweep.sweep.job import SEED, PreparedJob
from dcase_sweep.sweep.outcomes import Outcome, read_metrics
from dcase_sweep.sweep.record import Record
from dcase_sweep.sweep.reporting import ConstraintViolation
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.overrides import escape_interpolation

if TYPE_CHECKING:
    from dcase_sweep.sweep.optuna.reporter import TrialReporter

Returned = TypeVar("Returned")


class JobRunner:
    """The methods of an `Application` that the workers of a search call."""

    def check(self, config: DictConfig) -> Any:
        """Check a composed configuration and return the object that `prepare` needs.

        Raises:
            UserError: if it is invalid.
        """
        return None

    def set_up_process(self, hydra_state: Any) -> None:
        """Restore the state of the command's process in a new worker process.

        Args:
            hydra_state: state of Hydra's singletons in the command's process.
        """
        from hydra.core.singleton import Singleton
        from hydra.core.utils import setup_globals

        setup_globals()
        Singleton.set_state(hydra_state)

    def describe_trial(self, study: str, number: int, record_id: str, threads: int | None) -> list[str]:
        """Return overrides that are added to a trial, in addition to those of the space."""
        return []

    def describe_seed(self, study: str, number: int, seed: int) -> list[str]:
        """Return overrides that are added to the job of one seed of a trial, after those of `describe_trial`."""
        return [f"{SEED}={seed}"]

    def start_trial(self, job: PreparedJob, number: int, seeds: Sequence[int], known_id: str | None = None) -> Record:
        """Start the record of a trial with several seeds, to which their jobs belong, or continue the one with this ID.

        Args:
            job: the prepared job of the trial.
            number: number of the trial.
            seeds: its seeds.
            known_id: ID of the record of its interrupted attempt.
        """
        return Record()

    def prepare(self, config: DictConfig) -> PreparedJob:
        """Validate a job before it runs.

        Raises:
            ConstraintViolation: if the job cannot run or exceeds a limit.
        """
        try:
            return PreparedJob(config, self.check(config))
        except UserError as error:
            raise ConstraintViolation(str(error)) from None

    def find_obstacle(self, job: PreparedJob) -> str | None:
        """Return the reason why jobs cannot run together with this one; None if they can.

        They differ from it in their seed, and in keys that `must_be_shared` allows to differ.
        """
        return "the application runs one job at a time"

    def must_be_shared(self, key: str, value: Any) -> bool:
        """Whether jobs that run together must have the same value of a key: because it decides their architecture."""
        return not isinstance(value, float)

    def run_together(self, runs: Mapping[str, Callable[[], Returned]]) -> list[Returned]:
        """Run jobs at the same time, and return the values of their functions in the same order.

        Args:
            runs: name → function that runs a job, and reports its trial if it is the last job of the trial.

        Raises:
            BaseException: an interruption, or what one of the functions has raised. It is raised in every job that has
                begun, too.
        """
        return [run() for run in runs.values()]

    def prepare_seed(self, config: DictConfig, job: PreparedJob) -> PreparedJob:
        """Prepare the job of one seed of a trial.

        Args:
            config: its configuration, which differs from that of the trial in the seed.
            job: the prepared job of the trial, which is within all limits.
        """
        return self.prepare(config)

    def resume(self, job: PreparedJob, folder: str) -> tuple[PreparedJob, int | None] | None:
        """Continue a job in the folder of its interrupted attempt.

        Returns:
            The job and the number of completed steps (None if only the job can determine it), or None if the job must
            start from the beginning.
        """
        wanted = [str(word) for word in job.config.hydra.overrides.task]
        if job.config.hydra.output_subdir is None or _read_overrides(job.config, folder) != wanted:
            return None
        job.config.hydra.sweep.subdir = escape_interpolation(folder)  # an absolute path replaces both parts
        return job, None

    def fetch_attempt(self, job: PreparedJob, job_id: str) -> str | None:
        """Copy what an interrupted attempt of a job has left in its record to this machine.

        Called if the attempt's folder is not on this machine.

        Args:
            job: the job that is to continue it.
            job_id: the ID of the attempt's record.

        Returns:
            The folder to continue from, or None if the record has nothing to continue from.
        """
        return None

    def run(self, composed: DictConfig, task: Callable[[DictConfig], Any], content: Any, trial: "TrialReporter") -> Any:
        """Run a job by calling Hydra's task function with its configuration.

        Args:
            composed: the configuration without Hydra's part.
            task: the function decorated with ``hydra.main``.
            content: the result of `prepare`.
            trial: receives reports; those of ``dcase_sweep.sweep.report`` reach it automatically.
        """
        return task(composed)

    def read_outcome(self, returned: Any) -> Outcome:
        """Return the outcome of a job from the return value of `run`.

        Raises:
            UserError: if a search cannot use the value. This ends the search.
        """
        return Outcome("finished", read_metrics(returned))


def _read_overrides(config: DictConfig, folder: str) -> list[str] | None:
    """Read the overrides of the job in a folder; None if there is no job."""
    path = Path(folder) / str(config.hydra.output_subdir) / "overrides.yaml"
    try:
        found = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except Exception:  # the folder contains no job of ours
        return None
    return [str(word) for word in found] if isinstance(found, list) else None
