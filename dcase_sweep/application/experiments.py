"""Experiments of this package as the jobs of a sweep."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from dcase_sweep.application.continued import Continues
from dcase_sweep.application.described import DescribedExperiments
from dcase_sweep.application.outcomes import make_outcome
from dcase_sweep.sweep.application import Record, Returned
from dcase_sweep.sweep.job import Continuation, GridJob, PooledRow, PreparedJob
from dcase_sweep.sweep.outcomes import Outcome
from dcase_sweep.sweep.reporting import ConstraintViolation
from dcase_sweep.utils.errors import UserError

if TYPE_CHECKING:
    from dcase_sweep.config import Experiment, Tracking
    from dcase_sweep.config.repeated import RepeatedCheck
    from dcase_sweep.result import Result
    from dcase_sweep.sweep.optuna.reporter import TrialReporter
    from dcase_sweep.sweep.optuna.signature import Objective

log = logging.getLogger(__name__)


class Experiments(DescribedExperiments):
    """The application for sweeps of this package's experiments.

    Args:
        limits: metric of the complexity → largest value; null values are ignored.
        blocks: part of a convolution block → expression, for a search of block-wise parameters.
    """

    def __init__(self, limits: Mapping[str, float] | None = None, blocks: Mapping[str, str] | None = None) -> None:
        from dcase_sweep.config.search_path import SearchPath

        super().__init__(blocks)
        self._limits = dict(limits or {})
        #: The metric of an epoch by which trials are pruned, set by the sweeper; None = no pruning.
        self.metric: str | None = None
        #: What a search optimizes, set by the sweeper.
        self.objective: Objective | None = None
        #: Folders of the user's own configuration, set by the sweeper.
        self.path = SearchPath()
        #: Whether and how the sweep of a folder is continued, set by the sweeper; None = the folder has no sweep.
        self.continuation: Continues | None = None
        #: The results of the finished jobs of a command that was requeued.
        self._finished: list[tuple[str, Outcome] | None] = []
        self._check: RepeatedCheck | None = None
        self._tracking: Tracking | None = None
        #: The folder of the sweep, once it is checked.
        self._folder: Path | None = None
        self._classes = 0

    def __getstate__(self) -> dict[str, Any]:
        """Exclude the shared experiment and what has been checked: workers validate each trial's own."""
        return self.__dict__ | {"_base": None, "_check": None}

    @property
    def limits(self) -> Mapping[str, float]:
        """The limits on complexity."""
        return self._limits

    def complete(self, overrides: list[str]) -> list[str]:
        """Add the default model of a task if no model is chosen."""
        from dcase_sweep.config.command_line import with_model_of_task

        return with_model_of_task(overrides, self.path)

    def rename(self, params: Mapping[str, str]) -> dict[str, str]:
        """Replace former names of keys. A former key of an augmentation also chooses this augmentation."""
        from dcase_sweep.config.renamed import rename_overrides

        words = rename_overrides([f"{key}={text}" for key, text in params.items()])
        return {key: text for key, _, text in (word.partition("=") for word in words)}

    def rename_stored(self, configuration: Mapping[str, Any]) -> Mapping[str, Any]:
        """Replace former names of keys, and remove keys that no longer exist and those that may differ."""
        from dcase_sweep.config.renamed import rename_keys
        from dcase_sweep.training.resume import comparable

        return comparable(rename_keys(configuration, quiet=True))

    def check_folder(self, key: str, folder: str | Path) -> None:
        """Check that a folder does not belong to the operating system."""
        from dcase_sweep.config import check_written

        check_written(key, folder)
        if key == "hydra.sweep.dir":
            self._folder = Path(folder)

    def check(self, config: DictConfig) -> "Experiment":
        """Validate a configuration and return it as an experiment."""
        if self._check is None:
            from dcase_sweep.config.repeated import RepeatedCheck

            self._check = RepeatedCheck()
        return self._check.check(config)

    def begin(self, config: DictConfig) -> None:
        """Check the configuration common to all jobs."""
        from dcase_sweep import tracking
        from dcase_sweep.sweep.shared_files import warn_about_file

        self._base = self.check(config)
        self._tracking = settings = self._base.tracking
        if tracking.logs_to_mlflow(self._base.logger) and tracking.is_local(settings):
            where, remedy = tracking.resolve_uri(settings), "a server: mlflow server, tracking.uri=http://HOST:5000"
            warn_about_file(config, "tracking.uri", where, remedy)

    def load(self) -> None:
        """Determine the number of classes of the data, if a limit depends on it."""
        if self._limits:
            from dcase_sweep.tasks.features import load_features

            self._classes = len(load_features(self.base)[0].classes)

    def start_record(
        self, name: str, arguments: Sequence[str], *, study: str | None = None, known_id: str | None = None
    ) -> Record:
        """Start the MLflow parent run of the jobs; without MLflow logging nothing is recorded."""
        from dcase_sweep import tracking
        from dcase_sweep.application.record import start_record

        if not tracking.logs_to_mlflow(self.base.logger):
            return Record()
        settings = self.base.tracking
        shown = name if study is not None else settings.run_name or name
        return start_record(settings, shown, arguments, study=study, known_id=known_id, folder=self._folder)

    def find_record(self, record_id: str) -> str:
        """Return the ID of the MLflow parent run if it is in the store of this machine; a note says that it is not."""
        from dcase_sweep import tracking

        if not record_id or not tracking.logs_to_mlflow(self.base.logger):
            return ""
        store = tracking.open_store(self.base.tracking)
        if tracking.has_run(store, record_id):
            return record_id
        log.info(f"note      the runs of these trials have no parent: {record_id[:32]} is not in {store.uri}")
        return ""

    def close_job(self, job_id: str, status: str) -> bool:
        """Close the MLflow run of a job."""
        from dcase_sweep import tracking

        assert self._tracking is not None, "begin() comes first"
        return not job_id or tracking.end_run(self._tracking, job_id, status)

    def find_finished(self, jobs: Sequence[Any]) -> list[tuple[str, Outcome] | None]:
        """Find the finished run of each experiment, with the same configuration, data and code."""
        from dcase_sweep import tracking
        from dcase_sweep.application.finished import find_finished

        if self._finished:  # in its folder, by the command that was requeued
            return self._finished
        if self.continuation is not None and not tracking.logs_to_mlflow(self.base.logger):
            return [None] * len(jobs)  # a job that has finished is evaluated again from its last epoch
        return find_finished(self.base, jobs)

    def continue_jobs(self, jobs: Sequence["Experiment"], folder: Path) -> Continuation:
        """Find the checkpoints of the jobs of a sweep that is continued."""
        if self.continuation is None:
            return super().continue_jobs(jobs, folder)
        from dcase_sweep.application.continued import check_ended, continue_jobs, find_results
        from dcase_sweep.application.left_jobs import wait_for_jobs

        check_ended(folder, self.continuation)
        if wait_for_jobs(folder) and self.continuation is Continues.FOUND:
            self.continuation = Continues.ATTACHED
        continuation = continue_jobs(jobs, folder, self.continuation)
        if self.continuation in (Continues.REQUEUED, Continues.ATTACHED):
            self._finished = find_results(jobs, folder)
        return replace(continuation, skips_finished=self.continuation is not Continues.FOUND)

    def find_result(self, job: "Experiment", folder: Path) -> "Result | None":
        """Return the result of a run that has finished in a folder."""
        from dcase_sweep.application.left_jobs import has_result

        if not has_result(folder):
            return None
        from dcase_sweep.runner.folder import read_result  # imports the libraries for training

        return read_result(job, folder)

    def find_progress(self, folder: Path) -> Any:
        """Return when the last epoch in a folder was stored."""
        from dcase_sweep.application.left_jobs import find_last_epoch

        return find_last_epoch(folder)

    def pool(self, jobs: Sequence[GridJob]) -> list[PooledRow]:
        """Return a row for the folds of each cross-validation, evaluated together."""
        from dcase_sweep.application.folds import pool_folds

        return pool_folds(jobs)

    def start_trial(self, job: PreparedJob, number: int, seeds: Sequence[int], known_id: str | None = None) -> Record:
        """Start the MLflow run of a trial, the parent of the runs of its seeds."""
        from dcase_sweep import tracking
        from dcase_sweep.application.trial_record import start_trial_record

        if not tracking.logs_to_mlflow(job.content.logger):
            return Record()
        return start_trial_record(job, number, seeds, known_id)

    def prepare(self, config: DictConfig) -> PreparedJob:
        """Check a trial: its values, the memory that it needs, and its limits."""
        from dcase_sweep.complexity.capacity import check_capacity

        config.hydra.job_logging.root.handlers = ["file"]
        try:
            experiment = self.check(config)
            # The complexity of the network with these classes is also limited and logged, so it is computed once.
            check_capacity(experiment, self._classes or 2)
        except UserError as error:
            raise ConstraintViolation(str(error)) from None
        if not self._limits:
            return PreparedJob(config, experiment)
        from dcase_sweep.application.limits import check_limits

        figures, violations = check_limits(experiment, self._classes, self._limits)
        return PreparedJob(config, experiment, figures, violations)

    def find_obstacle(self, job: PreparedJob) -> str | None:
        """Return the reason why trainings cannot be computed together with this one, if it is known before."""
        from dcase_sweep.application.together import find_obstacle

        return find_obstacle(job.content)

    def must_be_shared(self, key: str, value: Any) -> bool:
        """Whether experiments that are trained together must have the same value of a key."""
        from dcase_sweep.application.together import must_be_shared

        return must_be_shared(key, value)

    def run_together(self, runs: Mapping[str, Callable[[], Returned]]) -> list[Returned]:
        """Run experiments up to their trainings, and these together."""
        from dcase_sweep.application.together import run_together

        return run_together(runs, "hydra.sweeper.fused")

    def prepare_seed(self, config: DictConfig, job: PreparedJob) -> PreparedJob:
        """Check the job of one seed, which needs what the trial needs: it is not measured again."""
        config.hydra.job_logging.root.handlers = ["file"]
        return replace(job, config=config, content=self.check(config))

    def resume(self, job: PreparedJob, folder: str) -> tuple[PreparedJob, int | None] | None:
        """Continue the run in a folder from its last epoch.

        Raises:
            UserError: if the folder has no checkpoint, or one of another experiment.
        """
        from dcase_sweep.application.continued import resume_trial

        return resume_trial(job, folder)

    def fetch_attempt(self, job: PreparedJob, job_id: str) -> str | None:
        """Copy the last checkpoint among the artifacts of a run to the folder of the job that continues it."""
        from dcase_sweep.application.continued import fetch_checkpoint

        return fetch_checkpoint(job, job_id)

    def run(self, composed: DictConfig, task: Callable[[DictConfig], Any], content: Any, trial: "TrialReporter") -> Any:
        """Run the validated experiment."""
        from dcase_sweep.application.callback import TrialCallback
        from dcase_sweep.jobs import run_composed

        callback = TrialCallback(
            trial,
            self.metric,
            epochs=content.training.epochs,
            objective=self.objective.metrics if self.objective else (),
        )
        return run_composed(composed, callback, content)

    def read_outcome(self, returned: "Result") -> Outcome:
        """Return the outcome of an experiment."""
        if returned.status == "stopped":
            return Outcome("pruned")
        if returned.status == "interrupted":
            return Outcome("interrupted", error=returned.error)
        if returned.status != "finished":
            return Outcome("failed", error=returned.error or returned.status)
        return make_outcome(returned.metrics, returned.note, returned.seconds, returned.columns, returned.folder)
