"""A worker of a search. It prepares, runs and reports trials until there are enough."""

import logging
import os
import random
from collections.abc import Sequence

import optuna
from hydra.core.singleton import Singleton
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from optuna.trial import FrozenTrial, Trial

from dcase_sweep.sweep.composer import Composer
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.further_trials import FurtherTrials
from dcase_sweep.sweep.optuna.history import History
from dcase_sweep.sweep.optuna.outcomes import describe_error
from dcase_sweep.sweep.optuna.owners import HEARTBEATS, Heartbeat
from dcase_sweep.sweep.optuna.points import list_points
from dcase_sweep.sweep.optuna.processes import get_environment
from dcase_sweep.sweep.optuna.recovery import Recovery
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.sweep.optuna.search_time import SearchTime
from dcase_sweep.sweep.optuna.settings import load_study
from dcase_sweep.sweep.optuna.tally import Tally
from dcase_sweep.sweep.optuna.trial_builder import TrialBuilder
from dcase_sweep.sweep.optuna.trial_runner import TrialRunner
from dcase_sweep.sweep.stored_jobs import mask_saved_configurations
from dcase_sweep.utils import console
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.signals import report_time_limit
from dcase_sweep.utils.text import printable
from dcase_sweep.utils.time_limit import find_deadline, limit_process

log = logging.getLogger(__name__)

#: After this many consecutive rejected trials the limits are assumed to exclude everything.
_HOPELESS = 500
#: Number of characters of the reason that is shown then.
_LONGEST_REASON = 200
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
            Interrupted: after Ctrl-C, SIGTERM or another signal that asks for an end. The running trials are stored as
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
        runner = TrialRunner(study, self.builder, self.context, self.task, self._time)
        further = FurtherTrials(study, self.search_config, self.history, self._tally, rng)
        ran = rejected = repeated = 0
        beats = Heartbeat(study, self.search_config.grace_period / HEARTBEATS)
        with interruptible(), limit_process(deadline), beats as heartbeat:
            while (
                self._goes_on(study, repeated, rng, recovery)
                and (trial := records.ask(study, self.search_config.n_trials, self._tally)) is not None
            ):
                ends = self._run(trial, runner, further, heartbeat)
                heartbeat.follow()
                ran += ends.count("ran")
                rejected = _count_in_a_row("rejected", ends, rejected)
                repeated = _count_in_a_row("repeated", ends, repeated)
                if rejected >= _HOPELESS:
                    why = _find_rejection(study.get_trials(deepcopy=False))
                    reason = f"{rejected} trials in a row were rejected; widen the limits or the space; the last: {why}"
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

    def _run(self, trial: Trial, runner: TrialRunner, further: FurtherTrials, heartbeat: Heartbeat) -> list[str]:
        """Run a trial, together with further ones of its architecture. Returns how each has ended, one after the other.

        Those that are rejected or repeat a known one cost no place among them.
        """
        asked = [trial]
        self._begin(trial)
        heartbeat.follow(trial)
        first = runner.build(trial)
        if isinstance(first, str):
            return [first]
        group, ends, in_vain = [first], [], 0
        with runner.interrupting(asked):
            shared = further.find_shared(first)
            while shared is not None and len(group) < self.search_config.together and in_vain < 2 * _REPEATED:
                another = further.ask(shared, chooses=in_vain >= _REPEATED)
                if another is None:
                    break
                asked.append(another)
                self._begin(another)
                heartbeat.follow(*asked)
                built = runner.build(another)
                if isinstance(built, str):
                    ends.append(built)
                    in_vain += 1
                else:
                    group.append(built)
                    in_vain = 0
        return [*ends, *runner.run(group)]

    def _begin(self, trial: Trial) -> None:
        if self.label:
            trial.set_user_attr(records.LAUNCHED, self.label)


def _find_rejection(trials: Sequence[FrozenTrial]) -> str:
    """Return why the last rejected trial was rejected."""
    found = (trial.user_attrs.get(records.REJECTED) for trial in reversed(trials))
    return printable(next(filter(None, found), "no reason is known"), _LONGEST_REASON)


def _count_in_a_row(kind: str, ends: Sequence[str], before: int) -> int:
    """Return how many of the latest trials have all ended in one way.

    Args:
        kind: how.
        ends: how trials have ended.
        before: how many had ended in this way before them.
    """
    count = before
    for end in ends:
        count = count + 1 if end == kind else 0
    return count
