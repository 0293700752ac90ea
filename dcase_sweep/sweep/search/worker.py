"""What one worker does: ask for a trial, compose it, check it, run it, tell, until there are enough."""

import gc
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import optuna
from hydra.core.utils import run_job
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.trial import Trial, TrialState

from dcase_sweep import console
from dcase_sweep.config import Experiment, check
from dcase_sweep.errors import UserError
from dcase_sweep.sweep.compare import COLUMNS
from dcase_sweep.sweep.search import study as records
from dcase_sweep.sweep.search.composing import Composer
from dcase_sweep.sweep.search.processes import environment_of
from dcase_sweep.sweep.search.settings import load_study
from dcase_sweep.sweep.search.space import Space
from dcase_sweep.watching import Stop

log = logging.getLogger(__name__)

#: So many rejected trials in a row mean that the limits leave nothing to find.
_HOPELESS = 500


@dataclass(frozen=True, slots=True)
class Plan:
    """What all workers of a search need to know; it can be sent to other processes."""

    storage: str
    study: str
    space: Space
    objective: records.Objective
    #: Metric of the network's complexity → largest value.
    limits: Mapping[str, float]
    #: Overrides that all trials share.
    fixed: tuple[str, ...]
    n_trials: int
    #: Largest share of failed trials.
    max_failed: float
    #: Configurations of the sampler and the pruner.
    sampler: dict[str, Any]
    pruner: dict[str, Any]
    #: The MLflow run of the study.
    parent: str
    #: How many classes the networks tell apart; known from the data.
    classes: int


class Rejected(Exception):
    """A trial that breaks a hard limit, or cannot be built; it is not trained.

    Args:
        reason: in words.
        violations: by how much each limit is exceeded; more than 0 is not allowed.
    """

    def __init__(self, reason: str, violations: Mapping[str, float]) -> None:
        super().__init__(reason)
        self.violations = violations


class TrialWatcher:
    """Hands a run's epochs to Optuna's pruner, and its identity to whoever must close it if it is killed."""

    def __init__(self, trial: Trial, metric: str | None) -> None:
        self.trial = trial
        self.metric = metric

    def on_start(self, run_id: str) -> None:
        """Remember the MLflow run."""
        self.trial.set_user_attr(records.RUN, run_id)

    def on_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Report the epoch and stop if the pruner wants no more.

        Raises:
            Stop: if the trial is pruned.
        """
        if self.metric is None or self.metric not in metrics:
            return
        self.trial.report(metrics[self.metric], epoch)
        if self.trial.should_prune():
            raise Stop(f"pruned after epoch {epoch + 1}")


class Worker:
    """Works on one study until it is complete; callable as Hydra's task function.

    Args:
        plan: the search.
        context: Hydra's, to compose trials.
        config: the composed sweep, to compose trials from.
        threads: of each network's operators; None = as configured.
    """

    def __init__(self, plan: Plan, context: HydraContext, config: DictConfig, threads: int | None) -> None:
        self.plan = plan
        self.context = context
        self.config = config
        self.threads = threads
        self.composer = Composer(context, config, plan.fixed)

    def __call__(self, composed: DictConfig) -> int:
        """Hydra's way to begin: what a launcher composed is not needed; its processes share this machine's GPUs."""
        from hydra.core.hydra_config import HydraConfig

        number = int(HydraConfig.get().job.num)
        os.environ.update(environment_of(number, None))
        return self.work(number)

    def work(self, number: int) -> int:
        """Run trials until there are enough; returns how many this worker ran.

        Raises:
            UserError: if no configuration keeps the limits, or an objective is not among a run's metrics.
            Interrupted: after Ctrl-C or SIGTERM; the trial that was running is kept as interrupted.
        """
        from dcase_sweep.interruption import interruptible

        console.be_quiet()
        _register()
        study = load_study(self.plan, number)
        ran = rejected = 0
        with interruptible():
            while (trial := records.ask(study, self.plan.n_trials)) is not None:
                if self._run(study, trial):
                    ran, rejected = ran + 1, 0
                else:
                    rejected += 1
                if rejected >= _HOPELESS:
                    reason = f"{rejected} trials in a row were rejected; widen search.limits or the space"
                    study.set_user_attr(records.STOPPED, reason)
                    raise UserError(reason)
        return ran

    def _run(self, study: optuna.Study, trial: Trial) -> bool:
        """One trial, told to the study whatever happens; False if it was rejected."""
        began = time.perf_counter()
        try:
            overrides = self.plan.space.suggest(trial)
            trial.set_user_attr(records.OVERRIDES, overrides)
            config, experiment = self._compose(trial, overrides)
            if records.RETRY_OF in trial.user_attrs:
                experiment = self._continued(study, trial, config, experiment)
        except Rejected as rejected:
            for name, violation in rejected.violations.items():
                trial.set_constraint(name, violation)
            trial.set_user_attr(records.REJECTED, str(rejected))
            study.tell(trial, state=TrialState.PRUNED)
            return False
        except (Exception, KeyboardInterrupt) as error:
            self._fail(study, trial, f"{type(error).__name__}: {error}")
            return True
        try:
            outcome = self._experiment(trial, config, experiment)
        except BaseException as error:
            interrupted = not isinstance(error, Exception)
            records.fail(study, trial_of(study, trial), _line(error), interrupted=interrupted)
            if interrupted:
                raise
            self._stop_if_hopeless(study)
            return True
        trial.set_user_attr(records.SECONDS, time.perf_counter() - began)
        self._tell(study, trial, outcome)
        # What a trial leaves is freed now. What outlives the first one, the libraries', is looked at no more: it would
        # take most of a second each time.
        gc.collect()
        gc.freeze()
        return True

    def _compose(self, trial: Trial, overrides: list[str]) -> tuple[DictConfig, Experiment]:
        """The trial's configuration, checked and within the limits, and its values.

        Raises:
            Rejected: otherwise.
        """
        lines = list(overrides)
        if self.threads is not None:
            trial.set_user_attr(records.THREADS, self.threads)
            lines.append(f"++hardware.threads={self.threads}")
        lines += [f"++tracking.parent={self.plan.parent}", f"++tracking.run_name='{self.plan.study} #{trial.number}'"]
        config = self.composer.compose(lines)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = trial.number
            config.hydra.job_logging.root.handlers = ["file"]
        try:
            experiment = check(config)
        except UserError as error:
            raise Rejected(str(error), {"configuration": 1.0}) from None
        self._check_limits(trial, experiment)
        return config, experiment

    def _continued(self, study: optuna.Study, trial: Trial, config: DictConfig, experiment: Experiment) -> Experiment:
        """The experiment from the last epoch of the try that was interrupted, where that has left one.

        The epochs that are done are this trial's too: its pruner and its figures know them.
        """
        from dcase_sweep.resumption import find_resumable

        earlier = study.get_trials(deepcopy=False)[trial.user_attrs[records.RETRY_OF]]
        folder = earlier.user_attrs.get(records.FOLDER)
        if folder is None:
            return experiment
        attempt = replace(experiment, resume=folder)
        try:
            found = find_resumable(attempt)
        except UserError as error:
            log.info(f"trial {trial.number} begins anew: {error}")
            return experiment
        assert found is not None
        for epoch, value in earlier.intermediate_values.items():
            if epoch < found.epochs:
                trial.report(value, epoch)
        trial.set_user_attr(records.CONTINUED, found.epochs)
        config.resume = folder
        return attempt

    def _check_limits(self, trial: Trial, experiment: Experiment) -> None:
        if not self.plan.limits:
            return
        from dcase_sweep.sweep.search.limits import measure

        found = measure(experiment, self.plan.classes, self.plan.limits)
        for name, value in found.items():
            trial.set_user_attr(name, value)
        # Relative, so that kilobytes and millions of products weigh alike.
        violations = {name: found[name] / limit - 1 for name, limit in self.plan.limits.items()}
        broken = {name: f"{found[name]:.5g} > {self.plan.limits[name]:.5g}" for name in found if violations[name] > 0}
        if broken:
            raise Rejected("; ".join(f"{name} {what}" for name, what in broken.items()), violations)
        for name, violation in violations.items():
            trial.set_constraint(name, violation)

    def _experiment(self, trial: Trial, config: DictConfig, experiment: Experiment) -> Any:
        """The trial's run, in a folder of its own, by Hydra's rules."""
        from dcase_sweep.experiment import run_composed

        folder = os.path.join(OmegaConf.select(config, "hydra.sweep.dir"), str(trial.number))
        trial.set_user_attr(records.FOLDER, os.path.abspath(folder))
        watcher = TrialWatcher(trial, self.plan.objective.pruned_by)
        job = run_job(
            hydra_context=self.context,
            task_function=lambda composed: run_composed(composed, watcher, experiment),
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        return job.return_value

    def _tell(self, study: optuna.Study, trial: Trial, outcome: Any) -> None:
        if outcome.status == "stopped":
            study.tell(trial, state=TrialState.PRUNED)
            return
        if outcome.status != "finished":
            self._fail(study, trial, outcome.error or outcome.status)
            return
        missing = [name for name in self.plan.objective.metrics if name not in outcome.metrics]
        if missing:
            import difflib

            near = difflib.get_close_matches(missing[0], outcome.metrics, n=3, cutoff=0.3)
            reason = f"search.objective.{missing[0]}: no such metric of a run; the nearest are {', '.join(near)}"
            study.set_user_attr(records.STOPPED, reason)
            records.fail(study, trial_of(study, trial), reason)
            raise UserError(reason)
        values = [outcome.metrics[name] for name in self.plan.objective.metrics]
        if any(value != value for value in values):
            self._fail(study, trial, f"{self.plan.objective.metrics[0]} is not a number")
            return
        shown = {name: outcome.metrics[name] for name, *_ in COLUMNS if name in outcome.metrics}
        trial.set_user_attr(records.METRICS, shown)
        if outcome.note:
            trial.set_user_attr(records.NOTE, outcome.note)
        times = (outcome.metrics.get(name, 0.0) for name in ("time/training_seconds", "time/evaluation_seconds"))
        trial.set_user_attr(records.WORK, sum(times))
        study.tell(trial, values)

    def _fail(self, study: optuna.Study, trial: Trial, error: str) -> None:
        records.fail(study, trial_of(study, trial), error)
        self._stop_if_hopeless(study)

    def _stop_if_hopeless(self, study: optuna.Study) -> None:
        reason = too_many_failed(study, self.plan.max_failed)
        if reason:
            study.set_user_attr(records.STOPPED, reason)


def too_many_failed(study: optuna.Study, largest: float) -> str | None:
    """Why a search should end: the share of failed trials, from the third one on; None if it should not."""
    found = records.counts(study.get_trials(deepcopy=False))
    failed, ended = found["failed"], found["failed"] + found["finished"] + found["pruned"]
    if failed < 3 or failed <= largest * ended:
        return None
    return f"{failed} of {ended} trials failed, more than hydra.sweeper.max_failed={largest:g}"


def trial_of(study: optuna.Study, trial: Trial) -> optuna.trial.FrozenTrial:
    """What the storage knows of a trial."""
    return study._storage.get_trial(trial._trial_id)


def _line(error: BaseException) -> str:
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text}" if not isinstance(error, (UserError, HydraException)) else text


def _register() -> None:
    """A process that a launcher made knows nothing of Hydra's state or of our groups yet."""
    from hydra import version
    from hydra.core.utils import setup_globals

    from dcase_sweep.experiment import register_experiments, register_sweepers, share_config_store

    version.setbase("1.3")
    setup_globals()
    share_config_store()
    register_experiments()
    register_sweepers()
