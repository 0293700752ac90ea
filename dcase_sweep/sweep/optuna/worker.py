"""A worker of a search. It prepares, runs and reports trials until there are enough."""

import gc
import logging
import os
import random
import time
from contextlib import suppress
from typing import Any

import optuna
from hydra.core.singleton import Singleton
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.trial import Trial, TrialState

from dcase_sweep.sweep.composer import Composer
from dcase_sweep.sweep.hydra_job import run_job
from dcase_sweep.sweep.job import PreparedJob
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.attributes import EPOCH
from dcase_sweep.sweep.optuna.history import History, Repeated, take_known
from dcase_sweep.sweep.optuna.outcomes import describe_error, tell_outcome, too_many_failed
from dcase_sweep.sweep.optuna.owners import HEARTBEATS, Heartbeat
from dcase_sweep.sweep.optuna.points import list_points
from dcase_sweep.sweep.optuna.processes import get_environment
from dcase_sweep.sweep.optuna.recovery import Recovery, close_died
from dcase_sweep.sweep.optuna.reporter import TrialReporter
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.sweep.optuna.search_time import SearchTime
from dcase_sweep.sweep.optuna.seeded_trial import SeededTrial
from dcase_sweep.sweep.optuna.settings import load_study
from dcase_sweep.sweep.optuna.tally import Tally
from dcase_sweep.sweep.optuna.trial_builder import TrialBuilder
from dcase_sweep.sweep.outcomes import Outcome
from dcase_sweep.sweep.reporting import ConstraintViolation, TrialPruned, reporting_to
from dcase_sweep.sweep.stored_jobs import mask_saved_configurations
from dcase_sweep.utils import console
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import mask_url, mask_word
from dcase_sweep.utils.signals import report_time_limit
from dcase_sweep.utils.time_limit import find_deadline, limit_process

log = logging.getLogger(__name__)

#: After this many consecutive rejected trials the limits are assumed to exclude everything.
_HOPELESS = 500
#: After this many consecutive repeated trials an untried point is chosen. After as many again, the search ends.
_REPEATED, _NOTHING_NEW = 5, 200
#: Seconds between looks for the trials of lost workers, where no command does.
_RECOVER = 30.0


class Worker:
    """Works on a study until it is complete. Callable as Hydra's task function.

    Args:
        search_config: the settings of the search.
        context: Hydra's context, to compose trials.
        config: the composed sweep, to compose trials from.
        task: Hydra's task function, which runs a job.
        threads: CPU threads of each job; None = as configured.
    """

    def __init__(
        self,
        search_config: SearchConfig,
        context: HydraContext,
        config: DictConfig,
        task: TaskFunction,
        threads: int | None,
    ) -> None:
        self.search_config = search_config
        self.context = context
        self.config = config
        self.task = task
        self.history = History(list_points(search_config.space))
        self._tally = Tally()
        self.builder = TrialBuilder(
            search_config, Composer(context, config, search_config.fixed), threads, self.history
        )
        #: The state of Hydra's singletons in the command's process.
        self.hydra_state = Singleton.get_state()
        #: The name of a launched worker, which its trials are signed with.
        self.label = ""
        #: When this worker must have ended, in seconds since 1970; None = as its own process finds.
        self.deadline: float | None = None
        #: Whether the command that has started this process closes the trials of its workers that die.
        self.is_watched = False
        #: How many workers of a launcher use the GPUs of this machine, unless their processes have theirs already.
        self.workers_here = 1
        self._time = SearchTime(None)

    def __call__(self, composed: DictConfig) -> int | str:
        """Run a worker from a Hydra launcher. Its configuration is not used; its processes share the GPUs.

        Returns:
            The number of its trials, or its error in one line.
        """
        from hydra.core.hydra_config import HydraConfig

        settings = HydraConfig.get()
        number = int(settings.job.num)
        mask_saved_configurations(settings, composed)
        os.environ.update(get_environment(number, None, self.workers_here))
        try:
            return self.work(number)
        except Exception as error:
            log.exception("the worker has ended with an error")
            return describe_error(error)

    def work(self, number: int) -> int:
        """Run trials until there are enough. Returns how many this worker ran.

        Args:
            number: number of the worker among those of its command.

        Raises:
            UserError: if no configuration is within the limits, or an objective is not among a job's metrics.
            Interrupted: after Ctrl-C, SIGTERM or another signal that asks for an end. The running trial is stored as
                interrupted.
        """
        from dcase_sweep.utils.signals import interruptible

        console.be_quiet()
        deadline = self.deadline if self.deadline is not None else find_deadline(self.search_config.time_limit)
        self._time = SearchTime(deadline)
        self.search_config.application.set_up_process(self.hydra_state)
        study, unique = load_study(self.search_config)
        rng = random.Random(unique)
        recovery = None if self.is_watched else Recovery(study, self.search_config, _RECOVER)
        ran = rejected = repeated = 0
        beats = Heartbeat(study, self.search_config.grace_period / HEARTBEATS)
        with interruptible(), limit_process(deadline), beats as heartbeat:
            while (
                self._goes_on(study, repeated, rng, recovery)
                and (trial := records.ask(study, self.search_config.n_trials, self._tally)) is not None
            ):
                if self.label:
                    trial.set_user_attr(records.LAUNCHED, self.label)
                heartbeat.follow(trial)
                came_to = self._run(study, trial)
                heartbeat.follow(None)
                ran += came_to == "ran"
                rejected = rejected + 1 if came_to == "rejected" else 0
                repeated = repeated + 1 if came_to == "repeated" else 0
                if rejected >= _HOPELESS:
                    reason = f"{rejected} trials in a row were rejected; widen the limits or the space"
                    study.set_user_attr(records.STOPPED, reason)
                    raise UserError(reason)
        return ran

    def _goes_on(
        self, study: optuna.Study, repeated: int, rng: random.Random, recovery: Recovery | None = None
    ) -> bool:
        """Whether there may be something new to try. After some repeated trials an untried point is queued.

        Args:
            study: the study.
            repeated: number of consecutive trials that repeated an earlier one.
            rng: random number generator for untried points.
            recovery: recovers the trials of lost workers; None = the command does.
        """
        if recovery is not None:
            recovery.recover_if_due()
        trials = study.get_trials(deepcopy=False)
        shortage = self._time.find_shortage(trials)
        if shortage is not None:
            log.info(f"worker    ends: {shortage}")
            report_time_limit()
            return False
        found = self.history.count(trials)
        if self.history.is_exhausted(trials):
            if found["waiting"]:
                return True
            if not found["running"]:
                study.set_user_attr(records.EXHAUSTED, "every configuration of the space was tried")
            return False  # trials of other workers may be interrupted; then workers are started again
        if repeated >= _NOTHING_NEW:
            reason = f"the last {repeated} suggestions repeated what was tried"
            study.set_user_attr(records.EXHAUSTED, reason)
            return False
        if repeated >= (1 if self.search_config.is_grid else _REPEATED) and not found["waiting"]:
            untried = self.history.find_untried(trials, rng)
            if untried is not None:
                study.enqueue_trial(untried)
        return True

    def _run(self, study: optuna.Study, trial: Trial) -> str:
        """Run one trial and report it to the study. Returns whether it ran, was rejected or was repeated."""
        began = time.perf_counter()
        try:
            job, reporter = self.builder.build(study, trial)
        except ConstraintViolation as violation:
            return _reject(study, trial, violation)
        except Repeated as repeated:
            take_known(study, trial, repeated.earlier)
            return "rejected" if records.kind(repeated.earlier) == "rejected" else "repeated"
        except BaseException as error:
            self._close(study, trial, error)
            return "ran"
        try:
            outcome = (
                self._run_seeds(study, trial, job) if self.search_config.seeds else self._run_job(trial, job, reporter)
            )
        except ConstraintViolation as violation:
            return _reject(study, trial, violation)
        except BaseException as error:
            self._close(study, trial, error)
            return "ran"
        try:
            reporter.adopt_rest()
            trial.set_user_attr(records.SECONDS, time.perf_counter() - began)
            tell_outcome(study, trial, outcome, self.search_config)
        except optuna.exceptions.UpdateFinishedTrialError:
            log.info(f"trial {trial.number} was taken over by another command")
        # Free the memory of a trial now. Objects that outlive the first trial belong to libraries; scanning them again
        # would take most of a second each time.
        gc.collect()
        gc.freeze()
        return "ran"

    def _close(self, study: optuna.Study, trial: Trial, error: BaseException) -> None:
        """Close a trial that ended with an error.

        Raises:
            BaseException: the error itself, if it is an interruption or means that no trial can be used.
        """
        found = records.find_trial(study, trial)
        if isinstance(error, SystemExit):
            close_died(study, found, describe_error(error))
            raise error if error.code else SystemExit(1)  # a worker that was ended is no success
        interrupted = not isinstance(error, Exception)
        records.fail(study, found, describe_error(error), interrupted=interrupted)
        if interrupted:
            raise error
        reason = too_many_failed(study, self.search_config.max_failed)
        if reason:
            study.set_user_attr(records.STOPPED, reason)

    def _run_seeds(self, study: optuna.Study, trial: Trial, job: PreparedJob) -> Outcome:
        """Run the jobs of a trial with several seeds."""
        return SeededTrial(
            study,
            trial,
            self.builder,
            lambda job, reporter: self._run_job(trial, job, reporter),
            lambda: self._time.find_shortage(study.get_trials(deepcopy=False)),
        ).run(job)

    def _run_job(self, trial: Trial, job: PreparedJob, reporter: TrialReporter) -> Outcome:
        """Run the trial's job in its own folder, as Hydra does.

        Raises:
            ConstraintViolation: if the job rejects its configuration.
            Exception: any error of the job.
        """
        application = self.search_config.application
        errors: list[Exception] = []

        def run(composed: DictConfig) -> Any:
            reporter.set_folder(_folder(job.config))
            try:
                with reporting_to(reporter):
                    return application.run(composed, self.task, job.content, reporter)
            except Exception as error:
                errors.append(error)
                raise
            finally:
                if self._time.is_limited and reporter.longest_step:
                    with suppress(optuna.exceptions.UpdateFinishedTrialError):
                        longest = max(reporter.longest_step, trial.user_attrs.get(EPOCH, 0.0))  # of all seeds
                        trial.set_user_attr(EPOCH, longest)

        _mask(job.config)
        try:
            returned = run_job(self.context, run, job.config)
        except Exception:
            if not errors:
                raise
        if not errors:
            try:
                return application.read_outcome(returned)
            except UserError as error:
                trial.study.set_user_attr(records.STOPPED, str(error))
                raise
        if isinstance(errors[0], (TrialPruned, optuna.TrialPruned)):
            return Outcome("pruned")
        if not isinstance(errors[0], ConstraintViolation):
            log.error(f"trial {trial.number} failed", exc_info=errors[0])
        raise errors[0]


def _folder(config: DictConfig) -> str:
    return str(OmegaConf.select(config, "hydra.runtime.output_dir"))


def _reject(study: optuna.Study, trial: Trial, violation: ConstraintViolation) -> str:
    """Close a trial whose configuration is not allowed."""
    for name, value in violation.figures.items():
        trial.set_user_attr(name, value)
    for name, exceeded in violation.violations.items():
        trial.set_constraint(name, exceeded)
    trial.set_user_attr(records.REJECTED, str(violation))
    study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
    return "rejected"


def _mask(config: DictConfig) -> None:
    """Mask passwords of the storage's URL in the files that Hydra writes for a job."""
    with open_dict(config):
        if config.hydra.sweeper.get("storage"):
            config.hydra.sweeper.storage = mask_url(str(config.hydra.sweeper.storage))
        config.hydra.overrides.hydra = [mask_word(word) for word in config.hydra.overrides.hydra]
