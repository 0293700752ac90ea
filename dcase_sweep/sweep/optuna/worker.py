"""What one worker does: ask for a trial, prepare it, run it, tell, until there are enough."""

import gc
import logging
import os
import random
import time
from typing import Any

import optuna
from hydra.core.utils import run_job
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.trial import Trial, TrialState

from dcase_sweep.config import Experiment
from dcase_sweep.sweep.comparison import COLUMNS
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.history import History, Repeated, take_known
from dcase_sweep.sweep.optuna.owners import Heartbeat
from dcase_sweep.sweep.optuna.points import list_points
from dcase_sweep.sweep.optuna.processes import get_environment
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.sweep.optuna.settings import load_study
from dcase_sweep.sweep.optuna.trial_builder import ConstraintViolation, TrialBuilder
from dcase_sweep.sweep.optuna.trial_compose import Composer
from dcase_sweep.training.callbacks import StopTraining
from dcase_sweep.utils import console
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import mask_url, mask_word

log = logging.getLogger(__name__)

#: So many rejected trials in a row mean that the limits leave nothing to find.
_HOPELESS = 500
#: After so many repeated trials in a row an untried point is chosen; after so many more nothing new is expected.
_REPEATED, _NOTHING_NEW = 5, 200


class TrialCallback:
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
            Stop: if the trial is pruned, or is no longer this process's.
        """
        if self.metric is None or self.metric not in metrics:
            return
        try:
            self.trial.report(metrics[self.metric], epoch)
        except optuna.exceptions.UpdateFinishedTrialError:
            # Another command took this process for dead: it gave no sign of life for minutes.
            raise StopTraining("taken over by another command") from None
        if epoch + 1 < self.epochs and self.trial.should_prune():
            raise StopTraining(f"pruned after epoch {epoch + 1}")


class Worker:
    """Works on one study until it is complete; callable as Hydra's task function.

    Args:
        search_config: the search.
        context: Hydra's, to compose trials.
        config: the composed sweep, to compose trials from.
        threads: of each network's operators; None = as configured.
    """

    def __init__(
        self, search_config: SearchConfig, context: HydraContext, config: DictConfig, threads: int | None
    ) -> None:
        self.search_config = search_config
        self.context = context
        self.history = History(list_points(search_config.space))
        self.preparation = TrialBuilder(
            search_config, Composer(context, config, search_config.fixed), threads, self.history
        )

    def __call__(self, composed: DictConfig) -> int:
        """Hydra's way to begin: what a launcher composed is not needed; its processes share this machine's GPUs."""
        from hydra.core.hydra_config import HydraConfig

        number = int(HydraConfig.get().job.num)
        os.environ.update(get_environment(number, None))
        return self.work(number)

    def work(self, number: int) -> int:
        """Run trials until there are enough; returns how many this worker ran.

        Raises:
            UserError: if no configuration keeps the limits, or an objective is not among a run's metrics.
            Interrupted: after Ctrl-C, SIGTERM or SIGHUP; the trial that was running is kept as interrupted.
        """
        from dcase_sweep.utils.signals import interruptible

        console.be_quiet()
        _register()
        study = load_study(self.search_config, number)
        rng = random.Random(number)
        ran = rejected = repeated = 0
        with interruptible(), Heartbeat(load_study(self.search_config, number)) as heartbeat:
            while (
                self._goes_on(study, repeated, rng)
                and (trial := records.ask(study, self.search_config.n_trials)) is not None
            ):
                heartbeat.follow(trial)
                came_to = self._run(study, trial)
                heartbeat.follow(None)
                ran += came_to == "ran"
                rejected = rejected + 1 if came_to == "rejected" else 0
                repeated = repeated + 1 if came_to == "repeated" else 0
                if rejected >= _HOPELESS:
                    reason = f"{rejected} trials in a row were rejected; widen search.limits or the space"
                    study.set_user_attr(records.STOPPED, reason)
                    raise UserError(reason)
        return ran

    def _goes_on(self, study: optuna.Study, repeated: int, rng: random.Random) -> bool:
        """Whether there may be something new to try; after some repeated trials an untried point is given to the next.

        Args:
            study: the study.
            repeated: how many trials in a row repeated an earlier one.
            rng: chooses among the untried points.
        """
        trials = study.get_trials(deepcopy=False)
        found = records.counts(trials)
        if self.history.is_exhausted(trials):
            if found["waiting"]:
                return True
            if not found["running"]:
                study.set_user_attr(records.EXHAUSTED, "every configuration of the space was tried")
            return False  # what still runs elsewhere may be interrupted; then workers are begun again
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
        """One trial, told to the study whatever happens; whether it ran, was rejected or repeated an earlier one."""
        began = time.perf_counter()
        try:
            config, experiment = self.preparation.prepare(study, trial)
        except ConstraintViolation as rejected:
            for name, violation in rejected.violations.items():
                trial.set_constraint(name, violation)
            trial.set_user_attr(records.REJECTED, str(rejected))
            study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
            return "rejected"
        except Repeated as repeated:
            take_known(study, trial, repeated.earlier)
            return "rejected" if records.kind(repeated.earlier) == "rejected" else "repeated"
        except BaseException as error:
            self._close(study, trial, error)
            return "ran"
        try:
            outcome = self._experiment(trial, config, experiment)
        except BaseException as error:
            self._close(study, trial, error)
            return "ran"
        try:
            trial.set_user_attr(records.SECONDS, time.perf_counter() - began)
            self._tell(study, trial, outcome)
        except optuna.exceptions.UpdateFinishedTrialError:
            log.info(f"trial {trial.number} was taken over by another command")
        # What a trial leaves is freed now. What outlives the first one, the libraries', is looked at no more: it would
        # take most of a second each time.
        gc.collect()
        gc.freeze()
        return "ran"

    def _close(self, study: optuna.Study, trial: Trial, error: BaseException) -> None:
        """A trial that an error has ended; an interruption is raised again.

        Raises:
            BaseException: the error, if somebody asked for the end.
        """
        interrupted = not isinstance(error, Exception)
        records.fail(study, find_trial(study, trial), _line(error), interrupted=interrupted)
        if interrupted:
            raise error
        self._stop_if_hopeless(study)

    def _experiment(self, trial: Trial, config: DictConfig, experiment: Experiment) -> Any:
        """The trial's run, in a folder of its own, by Hydra's rules."""
        from dcase_sweep.jobs import run_composed

        folder = os.path.join(OmegaConf.select(config, "hydra.sweep.dir"), str(trial.number))
        trial.set_user_attr(records.FOLDER, os.path.abspath(folder))
        _mask(config)
        callback = TrialCallback(trial, self.search_config.objective.pruned_by, epochs=experiment.training.epochs)
        job = run_job(
            hydra_context=self.context,
            task_function=lambda composed: run_composed(composed, callback, experiment),
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        return job.return_value

    def _tell(self, study: optuna.Study, trial: Trial, outcome: Any) -> None:
        if outcome.status == "stopped":
            study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
            return
        if outcome.status != "finished":
            self._fail(study, trial, outcome.error or outcome.status)
            return
        missing = [name for name in self.search_config.objective.metrics if name not in outcome.metrics]
        if missing:
            import difflib

            near = difflib.get_close_matches(missing[0], outcome.metrics, n=3, cutoff=0.3)
            reason = f"search.objective.{missing[0]}: no such metric of a run; the nearest are {', '.join(near)}"
            study.set_user_attr(records.STOPPED, reason)
            records.fail(study, find_trial(study, trial), reason)
            raise UserError(reason)
        values = [outcome.metrics[name] for name in self.search_config.objective.metrics]
        if any(value != value for value in values):
            self._fail(study, trial, f"{self.search_config.objective.metrics[0]} is not a number")
            return
        shown = {name: outcome.metrics[name] for name, *_ in COLUMNS if name in outcome.metrics}
        trial.set_user_attr(records.METRICS, shown)
        if outcome.note:
            trial.set_user_attr(records.NOTE, outcome.note)
        times = (outcome.metrics.get(name, 0.0) for name in ("time/training_seconds", "time/evaluation_seconds"))
        trial.set_user_attr(records.WORK, sum(times))
        study.tell(trial, values, skip_if_finished=True)

    def _fail(self, study: optuna.Study, trial: Trial, error: str) -> None:
        records.fail(study, find_trial(study, trial), error)
        self._stop_if_hopeless(study)

    def _stop_if_hopeless(self, study: optuna.Study) -> None:
        reason = too_many_failed(study, self.search_config.max_failed)
        if reason:
            study.set_user_attr(records.STOPPED, reason)


def too_many_failed(study: optuna.Study, largest: float) -> str | None:
    """Why a search should end: the share of failed trials, from the third one on; None if it should not."""
    found = records.counts(study.get_trials(deepcopy=False))
    failed, ended = found["failed"], found["failed"] + found["finished"] + found["pruned"]
    if failed < 3 or failed <= largest * ended:
        return None
    return f"{failed} of {ended} trials failed, more than hydra.sweeper.max_failed={largest:g}"


def _mask(config: DictConfig) -> None:
    """Keep the passwords of a storage's URL out of the files that Hydra writes of a job."""
    with open_dict(config):
        if config.hydra.sweeper.get("storage"):
            config.hydra.sweeper.storage = mask_url(str(config.hydra.sweeper.storage))
        config.hydra.overrides.hydra = [mask_word(word) for word in config.hydra.overrides.hydra]


def find_trial(study: optuna.Study, trial: Trial) -> optuna.trial.FrozenTrial:
    """What the storage knows of a trial."""
    return study._storage.get_trial(trial._trial_id)


def _line(error: BaseException) -> str:
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text}" if not isinstance(error, (UserError, HydraException)) else text


def _register() -> None:
    """A process that a launcher made knows nothing of Hydra's state or of our groups yet."""
    from hydra import version
    from hydra.core.utils import setup_globals

    from dcase_sweep.config.compose import register_experiments, share_config_store

    version.setbase("1.3")
    setup_globals()
    share_config_store()
    register_experiments()
