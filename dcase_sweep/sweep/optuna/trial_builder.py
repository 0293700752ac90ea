"""Conversion of a sampler's suggestions to a job that is composed, validated and within the limits."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.trial import FrozenTrial, Trial

from dcase_sweep.sweep.composer import Composer
from dcase_sweep.sweep.job import PreparedJob
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.history import History
from dcase_sweep.sweep.optuna.reporter import TrialReporter
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.sweep.optuna.seeds import check_suggested
from dcase_sweep.sweep.optuna.together import together
from dcase_sweep.utils.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An interrupted attempt of a job: the number of its trial, its folder, and the ID of its record, if it has one."""

    number: int
    folder: str
    job_id: str = ""


class TrialBuilder:
    """Builds the jobs of trials without running them.

    Args:
        search_config: the settings of the search.
        composer: composes the configurations.
        threads: CPU threads of each job; None = as configured.
        history: the trials of the study.
    """

    def __init__(self, search_config: SearchConfig, composer: Composer, threads: int | None, history: History) -> None:
        self.search_config = search_config
        self.composer = composer
        self.threads = threads
        self.history = history

    def build(self, study: optuna.Study, trial: Trial) -> tuple[PreparedJob, TrialReporter]:
        """Return the job of a trial and its reporter. A retried trial continues its interrupted attempt.

        Raises:
            ConstraintViolation: if the job cannot be built or exceeds a limit.
            Repeated: if the result of the configuration is known, or it is running.
        """
        with together(study._storage):
            overrides = self.search_config.space.suggest(trial)
        if self.search_config.seeds:
            check_suggested(overrides)
        self.history.admit(study, trial, overrides)
        if self.threads is not None:
            trial.set_user_attr(records.THREADS, self.threads)
        application = self.search_config.application
        job = application.prepare(self._compose(trial, overrides, self.search_config.record_id))
        with together(study._storage):
            for name, violation in job.violations.items():
                trial.set_constraint(name, violation)
            for name, value in job.figures.items():
                trial.set_user_attr(name, value)
        is_pruned = self.search_config.objective.is_single
        if self.search_config.seeds or records.RETRY_OF not in trial.user_attrs:
            return job, TrialReporter(trial, is_pruned=is_pruned)
        return self._resume(study, trial, job, is_pruned=is_pruned)

    def build_seed(self, trial: Trial, job: PreparedJob, seed: int, record_id: str) -> PreparedJob:
        """Return the job of one seed of a trial, with a folder of its own in that of the trial.

        Args:
            trial: the trial.
            job: the prepared job of the trial.
            seed: the seed.
            record_id: ID of the record that the job belongs to.
        """
        application = self.search_config.application
        more = application.describe_seed(self.search_config.study, trial.number, seed)
        config = self._compose(trial, trial.user_attrs[records.OVERRIDES], record_id, more)
        folder = OmegaConf.to_container(config.hydra.sweep, resolve=False)["subdir"]  # type: ignore[index,call-overload]
        with open_dict(config):
            config.hydra.sweep.subdir = f"{folder}/seed_{seed}"
        return application.prepare_seed(config, job)

    def _compose(self, trial: Trial, overrides: Sequence[str], record_id: str, more: Sequence[str] = ()) -> DictConfig:
        described = self.search_config.application.describe_trial(
            self.search_config.study, trial.number, record_id, self.threads
        )
        config = self.composer.compose([*overrides, *described, *more])
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = trial.number
        return config

    def _resume(
        self, study: optuna.Study, trial: Trial, job: PreparedJob, *, is_pruned: bool
    ) -> tuple[PreparedJob, TrialReporter]:
        """Return a job that continues the interrupted attempt, if that left a checkpoint.

        The completed steps are also reported for this trial, for its pruner and figures.
        """
        earlier = self.list_attempts(study, trial)
        reported = list_reported(earlier)
        found = self.find_start(trial.number, job, [*filter(None, map(_read_attempt, earlier))])
        if found is None:
            if reported:
                log.info(f"trial {trial.number} begins again: nothing is left of its {len(reported)} steps")
            return job, TrialReporter(trial, is_pruned=is_pruned)
        resumed, steps = found
        reporter = TrialReporter(trial, is_pruned=is_pruned, earlier=reported)
        if steps is not None:
            reporter.adopt(steps)
            trial.set_user_attr(records.CONTINUED, steps)
        return resumed, reporter

    def list_attempts(self, study: optuna.Study, trial: Trial) -> list[FrozenTrial]:
        """Return the interrupted attempts of a trial, the newest first."""
        if records.RETRY_OF not in trial.user_attrs:
            return []
        trials = study.get_trials(deepcopy=False)
        return records.tries(trials, trials[trial.number])[1:]

    def find_start(
        self, number: int, job: PreparedJob, attempts: Sequence[Attempt]
    ) -> tuple[PreparedJob, int | None] | None:
        """Return a job that continues one of its attempts, and its number of completed steps, if that is known.

        Args:
            number: number of the trial.
            job: the job, as it would begin.
            attempts: its attempts, the newest first.

        Returns:
            None if none of them has left anything to continue from.
        """
        application = self.search_config.application
        for one in attempts:
            folder = one.folder
            try:
                if not Path(folder).is_dir() and one.job_id:  # it ran on another machine
                    folder = application.fetch_attempt(job, one.job_id) or folder
                found = application.resume(job, folder)
            except UserError as error:
                log.info(f"trial {number} does not continue trial {one.number}: {error}")
                continue
            if found is not None:
                return found
        return None


def list_reported(attempts: Sequence[FrozenTrial]) -> dict[int, float]:
    """Return step → value of the attempts of a trial, which are given with the newest first.

    An attempt that was interrupted early has its first steps from the attempt before.
    """
    return {step: value for each in reversed(attempts) for step, value in each.intermediate_values.items()}


def _read_attempt(trial: FrozenTrial) -> Attempt | None:
    """Return what the storage says of an attempt; None if it did not begin."""
    folder, job_id = (trial.user_attrs.get(name) for name in (records.FOLDER, records.RUN))
    return Attempt(trial.number, folder, job_id if isinstance(job_id, str) else "") if isinstance(folder, str) else None
