"""Conversion of a sampler's suggestions to a job that is composed, validated and within the limits."""

import logging
from pathlib import Path

import optuna
from omegaconf import open_dict
from optuna.trial import FrozenTrial, Trial

from dcase_sweep.sweep.composer import Composer
from dcase_sweep.sweep.job import PreparedJob
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.history import History
from dcase_sweep.sweep.optuna.reporter import TrialReporter
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.utils.errors import UserError

log = logging.getLogger(__name__)


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
        overrides = self.search_config.space.suggest(trial)
        self.history.admit(study, trial, overrides)
        job = self._compose(trial, overrides)
        for name, value in job.figures.items():
            trial.set_user_attr(name, value)
        for name, violation in job.violations.items():
            trial.set_constraint(name, violation)
        is_pruned = self.search_config.objective.is_single
        if records.RETRY_OF not in trial.user_attrs:
            return job, TrialReporter(trial, is_pruned=is_pruned)
        return self._resume(study, trial, job, is_pruned=is_pruned)

    def _compose(self, trial: Trial, overrides: list[str]) -> PreparedJob:
        application = self.search_config.application
        if self.threads is not None:
            trial.set_user_attr(records.THREADS, self.threads)
        more = application.describe_trial(
            self.search_config.study, trial.number, self.search_config.record_id, self.threads
        )
        config = self.composer.compose([*overrides, *more])
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = trial.number
        return application.prepare(config)

    def _resume(
        self, study: optuna.Study, trial: Trial, job: PreparedJob, *, is_pruned: bool
    ) -> tuple[PreparedJob, TrialReporter]:
        """Return a job that continues the interrupted attempt, if that left a checkpoint.

        The completed steps are also reported for this trial, for its pruner and figures.
        """
        trials = study.get_trials(deepcopy=False)
        earlier = records.tries(trials, trials[trial.number])[1:]
        # An attempt that was interrupted early has its first steps from the attempt before.
        reported = {step: value for each in reversed(earlier) for step, value in each.intermediate_values.items()}
        for one in earlier:
            folder = one.user_attrs.get(records.FOLDER)
            if not isinstance(folder, str):
                continue
            try:
                if not Path(folder).is_dir():
                    folder = self._fetch(job, one) or folder
                found = self.search_config.application.resume(job, folder)
            except UserError as error:
                log.info(f"trial {trial.number} does not continue trial {one.number}: {error}")
                continue
            if found is None:
                continue
            resumed, steps = found
            reporter = TrialReporter(trial, is_pruned=is_pruned, earlier=reported)
            if steps is not None:
                reporter.adopt(steps)
                trial.set_user_attr(records.CONTINUED, steps)
            return resumed, reporter
        if reported:
            log.info(f"trial {trial.number} begins again: nothing is left of its {len(reported)} steps")
        return job, TrialReporter(trial, is_pruned=is_pruned)

    def _fetch(self, job: PreparedJob, attempt: FrozenTrial) -> str | None:
        """Copy what an attempt on another machine has left in its record to a folder of this machine."""
        job_id = attempt.user_attrs.get(records.RUN)
        if not isinstance(job_id, str) or not job_id:
            return None
        return self.search_config.application.fetch_attempt(job, job_id)
