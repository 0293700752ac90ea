"""What one worker does: ask for a trial, prepare it, run it, tell, until there are enough."""

import gc
import os
import time
from typing import Any

import optuna
from hydra.core.utils import run_job
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from optuna.trial import Trial, TrialState

from dcase_sweep import console
from dcase_sweep.config import Experiment
from dcase_sweep.errors import UserError
from dcase_sweep.sweep.compare import COLUMNS
from dcase_sweep.sweep.search import study as records
from dcase_sweep.sweep.search.composing import Composer
from dcase_sweep.sweep.search.plan import Plan
from dcase_sweep.sweep.search.preparing import Preparation, Rejected
from dcase_sweep.sweep.search.processes import environment_of
from dcase_sweep.sweep.search.settings import load_study
from dcase_sweep.watching import Stop

#: So many rejected trials in a row mean that the limits leave nothing to find.
_HOPELESS = 500


class TrialWatcher:
    """Hands a run's epochs to Optuna's pruner, and its identity to whoever must close it if it is killed.

    A trial that has come to its last epoch is not pruned: nothing would be saved, and its result lost.
    """

    def __init__(self, trial: Trial, metric: str | None, *, epochs: int) -> None:
        self.trial = trial
        self.metric = metric
        self.epochs = epochs

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
        if epoch + 1 < self.epochs and self.trial.should_prune():
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
        self.preparation = Preparation(plan, Composer(context, config, plan.fixed), threads)

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
            config, experiment = self.preparation.prepare(study, trial)
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

    def _experiment(self, trial: Trial, config: DictConfig, experiment: Experiment) -> Any:
        """The trial's run, in a folder of its own, by Hydra's rules."""
        from dcase_sweep.experiment import run_composed

        folder = os.path.join(OmegaConf.select(config, "hydra.sweep.dir"), str(trial.number))
        trial.set_user_attr(records.FOLDER, os.path.abspath(folder))
        watcher = TrialWatcher(trial, self.plan.objective.pruned_by, epochs=experiment.training.epochs)
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
