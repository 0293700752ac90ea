"""Runs the trials of one worker, alone or several together, and reports how each has ended."""

import gc
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import optuna
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.trial import Trial, TrialState

from dcase_sweep.sweep.hydra_job import run_job
from dcase_sweep.sweep.job import PreparedJob
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.attributes import EPOCH
from dcase_sweep.sweep.optuna.history import Repeated, take_known
from dcase_sweep.sweep.optuna.outcomes import describe_error, tell_outcome, too_many_failed
from dcase_sweep.sweep.optuna.recovery import close_died
from dcase_sweep.sweep.optuna.reporter import TrialReporter
from dcase_sweep.sweep.optuna.search_time import SearchTime
from dcase_sweep.sweep.optuna.seeded_trial import SeededTrial
from dcase_sweep.sweep.optuna.together import together
from dcase_sweep.sweep.optuna.trial_builder import TrialBuilder
from dcase_sweep.sweep.outcomes import Outcome
from dcase_sweep.sweep.reporting import ConstraintViolation, TrialPruned, reporting_to
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import mask_url, mask_word

log = logging.getLogger(__name__)

#: The error of a trial that another one of its group has ended.
_WITH_OTHERS = "interrupted with the trials that ran together"


@dataclass(frozen=True, slots=True)
class BuiltTrial:
    """A trial whose job is ready to run.

    Attributes:
        trial: the trial.
        job: its job.
        reporter: receives the reports of the job.
        seconds: how long it took to build it.
    """

    trial: Trial
    job: PreparedJob
    reporter: TrialReporter
    seconds: float


class TrialRunner:
    """Builds, runs and reports trials.

    How a trial has ended is ``ran``, ``rejected`` or ``repeated``; a failed one has run.

    Args:
        study: the study.
        builder: builds the jobs of trials.
        context: Hydra's context.
        task: Hydra's task function, which runs a job.
        limit: the end of the available time.
    """

    def __init__(
        self, study: optuna.Study, builder: TrialBuilder, context: HydraContext, task: TaskFunction, limit: SearchTime
    ) -> None:
        self._study = study
        self._builder = builder
        self._config = builder.search_config
        self._context = context
        self._task = task
        self._time = limit
        #: Whether something has ended all trials that run together.
        self._is_over = False

    def build(self, trial: Trial) -> BuiltTrial | str:
        """Return a trial with its job, or how it has ended without one."""
        began = time.perf_counter()
        try:
            job, reporter = self._builder.build(self._study, trial)
        except ConstraintViolation as violation:
            return self._reject(trial, violation)
        except Repeated as repeated:
            take_known(self._study, trial, repeated.earlier)
            return "rejected" if records.kind(repeated.earlier) == "rejected" else "repeated"
        except BaseException as error:
            self._close(trial, error)
            return "ran"
        return BuiltTrial(trial, job, reporter, time.perf_counter() - began)

    def run(self, group: Sequence[BuiltTrial]) -> list[str]:
        """Run trials, several of them together, and report each when it ends. Returns how each has ended.

        Raises:
            BaseException: an interruption, or an error that means that no trial can be used. No trial is left running.
        """
        ends = self._run_together(group) if len(group) > 1 else [self._run_alone(built) for built in group]
        # Free the memory of a trial now. Objects that outlive the first trial belong to libraries; scanning them again
        # would take most of a second each time.
        gc.collect()
        gc.freeze()
        return ends

    @contextmanager
    def interrupting(self, trials: Sequence[Trial]) -> Iterator[None]:
        """Context whose exception interrupts those of the trials that have not ended."""
        try:
            yield
        except BaseException as error:
            for trial in trials:
                self._interrupt(trial, error)
            raise

    def _run_alone(self, built: BuiltTrial) -> str:
        if self._config.seeds:
            return self._end(built, lambda: self._make_seeded(built).run(built.job))
        return self._end(built, lambda: self._run_job(built.trial, built.job, built.reporter))

    def _run_together(self, group: Sequence[BuiltTrial]) -> list[str]:
        """Run trials whose jobs take turns. The last job of a trial ends it, while the others go on."""
        self._is_over = False
        ends: dict[int, str] = {}
        seeded: list[SeededTrial] = []
        runs: dict[str, Callable[[], None]] = {}

        def end(built: BuiltTrial, get_outcome: Callable[[], Outcome]) -> None:
            try:
                ends[built.trial.number] = self._end(built, get_outcome)
            except BaseException:
                self._is_over = True  # the application ends the others
                raise
            if records.find_trial(self._study, built.trial).state != TrialState.COMPLETE:
                gc.collect()  # its network, while the others go on; what they use is not to be frozen

        try:
            with self.interrupting([built.trial for built in group]):
                for built in group:
                    if self._config.seeds:
                        seeded.append(self._make_seeded(built))
                        runs |= seeded[-1].list_runs(built.job, partial(end, built))
                    else:
                        run = partial(self._run_job, built.trial, built.job, built.reporter)
                        runs[f"{built.trial.number}"] = partial(end, built, run)
                with _logging_to_output():
                    self._config.application.run_together(runs)
        except BaseException as error:
            for each in seeded:
                each.give_up(error)
            raise
        return [ends[built.trial.number] for built in group]

    def _end(self, built: BuiltTrial, get_outcome: Callable[[], Outcome]) -> str:
        """Report how a trial has ended. Returns whether it ran or was rejected."""
        trial, began = built.trial, time.perf_counter()
        try:
            outcome = get_outcome()
        except ConstraintViolation as violation:
            return self._reject(trial, violation)
        except BaseException as error:
            if not self._is_over or not isinstance(error, (Exception, SystemExit)):
                self._close(trial, error)
            else:  # of the trial that ends all
                self._interrupt(trial, error)
                if isinstance(error, SystemExit):
                    raise
            return "ran"
        try:
            built.reporter.adopt_rest()
            trial.set_user_attr(records.SECONDS, built.seconds + time.perf_counter() - began)
            if self._is_over and outcome.status == "failed":  # of the exception that ends all
                outcome = Outcome("interrupted", error=_WITH_OTHERS)
            tell_outcome(self._study, trial, outcome, self._config)
        except optuna.exceptions.UpdateFinishedTrialError:
            log.info(f"trial {trial.number} was taken over by another command")
        return "ran"

    def _interrupt(self, trial: Trial, error: BaseException) -> None:
        """Close a trial as interrupted, unless it has ended: by a signal, or by what has ended another one."""
        reason = _WITH_OTHERS if isinstance(error, (Exception, SystemExit)) else describe_error(error)
        records.fail(self._study, records.find_trial(self._study, trial), reason, interrupted=True)

    def _close(self, trial: Trial, error: BaseException) -> None:
        """Close a trial that ended with an error.

        Raises:
            BaseException: the error itself, if it is an interruption or means that no trial can be used.
        """
        found = records.find_trial(self._study, trial)
        if isinstance(error, SystemExit):
            close_died(self._study, found, describe_error(error))
            raise error if error.code else SystemExit(1)  # a worker that was ended is no success
        interrupted = not isinstance(error, Exception)
        records.fail(self._study, found, describe_error(error), interrupted=interrupted)
        if interrupted:
            raise error
        reason = too_many_failed(self._study, self._config.max_failed)
        if reason:
            self._study.set_user_attr(records.STOPPED, reason)

    def _reject(self, trial: Trial, violation: ConstraintViolation) -> str:
        """Close a trial whose configuration is not allowed."""
        with together(self._study._storage):
            for name, exceeded in violation.violations.items():
                trial.set_constraint(name, exceeded)
            for name, value in violation.figures.items():
                trial.set_user_attr(name, value)
            trial.set_user_attr(records.REJECTED, str(violation))
        self._study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        return "rejected"

    def _make_seeded(self, built: BuiltTrial) -> SeededTrial:
        return SeededTrial(
            self._study,
            built.trial,
            self._builder,
            partial(self._run_job, built.trial),
            lambda: self._time.find_shortage(self._study.get_trials(deepcopy=False)),
        )

    def _run_job(self, trial: Trial, job: PreparedJob, reporter: TrialReporter) -> Outcome:
        """Run the trial's job in its own folder, as Hydra does.

        Raises:
            ConstraintViolation: if the job rejects its configuration.
            Exception: any error of the job.
        """
        application = self._config.application
        errors: list[Exception] = []

        def run(composed: DictConfig) -> Any:
            try:
                reporter.set_folder(_folder(job.config))
                reporter.begin()
                with reporting_to(reporter):
                    return application.run(composed, self._task, job.content, reporter)
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
            returned = run_job(self._context, run, job.config)
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


@contextmanager
def _logging_to_output() -> Iterator[None]:
    """Context in which lines about several jobs are printed. Those of one job are written to its own file."""
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers[:] = [logging.StreamHandler(sys.stdout)]
    try:
        yield
    finally:
        root.handlers[:] = before


def _folder(config: DictConfig) -> str:
    return str(OmegaConf.select(config, "hydra.runtime.output_dir"))


def _mask(config: DictConfig) -> None:
    """Mask passwords of the storage's URL in the files that Hydra writes for a job."""
    with open_dict(config):
        if config.hydra.sweeper.get("storage"):
            config.hydra.sweeper.storage = mask_url(str(config.hydra.sweeper.storage))
        config.hydra.overrides.hydra = [mask_word(word) for word in config.hydra.overrides.hydra]
