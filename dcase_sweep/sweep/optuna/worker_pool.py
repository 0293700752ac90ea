"""The worker processes of a search, which are replaced when they die until the study is complete."""

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from dcase_sweep.sweep.gpu_sharing import sharing_gpus
from dcase_sweep.sweep.launchers import is_basic, is_batch_system, limit_workers
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.history import History
from dcase_sweep.sweep.optuna.launched import LaunchedProcesses, LaunchedWorkers, Launcher, Workers, count_left
from dcase_sweep.sweep.optuna.outcomes import too_many_failed
from dcase_sweep.sweep.optuna.owners import is_owned_by
from dcase_sweep.sweep.optuna.points import list_points
from dcase_sweep.sweep.optuna.processes import Death, Processes
from dcase_sweep.sweep.optuna.progress_table import ProgressTable
from dcase_sweep.sweep.optuna.recovery import Recovery, close_died, close_jobs
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.sweep.optuna.search_time import SearchTime
from dcase_sweep.sweep.optuna.tally import Tally
from dcase_sweep.sweep.optuna.worker import Worker
from dcase_sweep.sweep.shared_files import leaves_machine
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.text import printable
from dcase_sweep.utils.time_limit import find_deadline

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)

#: Seconds between checks of the study, and between checks for trials whose process has ended.
_BEAT, _RECOVER = 0.5, 5.0
#: Seconds within which workers leave a complete search.
_LEAVING = 15.0
#: The search ends after this many consecutive workers without a trial, plus one for each parallel worker.
_DEATHS = 4


@dataclass
class Deaths:
    """Counts consecutive workers that ended without a trial.

    Args:
        largest: the largest accepted number.
    """

    largest: int
    count: int = 0
    progress: int = -1

    def add(self, trials: "Sequence[FrozenTrial]") -> bool:
        """Count one more worker. Returns whether there are too many since the last progress of a trial."""
        progress = sum(1 + len(trial.intermediate_values) for trial in trials if records.kind(trial) in _ENDED)
        self.count = 1 if progress > self.progress else self.count + 1
        self.progress = max(progress, self.progress)
        return self.count >= self.largest


_ENDED = ("finished", "pruned", "rejected", "failed", "repeated", "interrupted")


@dataclass(slots=True)
class WorkerPool:
    """The workers of one study.

    Args:
        search_config: the settings of the search.
        study: the study.
        base: the configuration common to all trials.
        context: Hydra's context, to compose trials.
        config: the composed sweep.
        task: Hydra's task function.
        count: number of parallel workers.
        folder: folder of the sweep.
    """

    search_config: SearchConfig
    study: "optuna.Study"
    base: DictConfig
    context: HydraContext
    config: DictConfig
    task: TaskFunction
    count: int
    folder: Path
    history: History = field(init=False)
    _tally: Tally = field(init=False, default_factory=Tally)
    _deaths: Deaths = field(init=False)
    _recovery: Recovery = field(init=False)
    _time: SearchTime = field(init=False)

    def __post_init__(self) -> None:
        self.history = History(list_points(self.search_config.space))
        self.count = limit_workers(self.config, self.count)
        self._deaths = Deaths(_DEATHS + self.count)
        self._recovery = Recovery(self.study, self.search_config, _RECOVER)
        # Workers of a batch system have limits of their own.
        limit = None if is_batch_system(self.config) else self.search_config.time_limit
        self._time = SearchTime(find_deadline(limit))

    def work(self) -> None:
        """Keep workers running until there are enough trials, nothing is left to try, or the search is stopped."""
        threads = self.search_config.application.choose_threads(self.base, self.count)
        worker = Worker(self.search_config, self.context, self.config, self.task, threads)
        worker.is_watched = not is_batch_system(self.config)
        worker.deadline = self._time.limit.deadline if worker.is_watched else None
        worker.workers_here = self.count if is_batch_system(self.config) and not leaves_machine(self.config) else 1
        pause = threading.Event()
        is_waiting = False
        with self._share_gpus(), ProgressTable(self.study, self.search_config) as table:
            while not self._is_complete() and not self._is_out_of_time():
                left = self._count_left_workers()
                wanted = max(0, min(self.count - left, self._wanted()))
                if wanted:
                    self._run(self._start(worker, wanted, threads), table.update)
                elif not is_waiting:
                    whose = f"{pluralize(left, 'worker')} of an earlier command" if left else "another command"
                    log.info(f"waiting   for the trials of {whose} on this study")
                    is_waiting = True
                self._recover()
                table.update()
                if not wanted:
                    pause.wait(_BEAT)

    def _share_gpus(self) -> AbstractContextManager[None]:
        """Context for workers that are processes of this command; those of a batch system outlive it."""
        if is_batch_system(self.config) or leaves_machine(self.config):
            return nullcontext()
        return sharing_gpus(self.count, mps=self.search_config.application.choose_mps(self.base))

    def _is_complete(self) -> bool:
        trials = self._list_trials()
        found = self.history.count(trials)
        if records.is_over(self.study) or found["finished"] + found["pruned"] >= self.search_config.n_trials:
            return True
        return self.history.is_exhausted(trials) and not (found["running"] or found["waiting"])

    def _is_out_of_time(self) -> bool:
        shortage = self._time.find_shortage(self._list_trials())
        if shortage is not None:
            log.info(f"search    ends: {shortage}")
        return shortage is not None

    def _wanted(self) -> int:
        """Return the number of workers that have something to do."""
        trials = self._list_trials()
        if self.history.is_exhausted(trials) and not self.history.count(trials)["waiting"]:
            return 0
        return self._tally.missing(trials, self.search_config.n_trials)

    def _count_left_workers(self) -> int:
        """Return the number of workers that an earlier command has left running under its launcher.

        Workers on this machine, as those of ``join``, run beside them.
        """
        if not is_batch_system(self.config):
            return 0
        return count_left(self._list_trials(), self.search_config.grace_period)

    def _list_trials(self) -> "list[FrozenTrial]":
        return self.study.get_trials(deepcopy=False)

    def _start(self, worker: Worker, count: int, threads: int | None) -> Workers:
        """Start workers: processes on this machine, or jobs of a Hydra launcher.

        Hydra's own launcher would run jobs one after the other, so parallel workers are processes of ours.
        """
        folder = self.folder / "workers"
        if is_basic(self.config):
            return Processes(worker.work, count, folder, threads)
        launcher = Launcher(worker, self.context, self.config, self.search_config.fixed)
        grace_period = self.search_config.grace_period
        if not is_batch_system(self.config):
            return LaunchedProcesses(launcher, count, folder, threads, self._list_trials, grace_period)
        return LaunchedWorkers(launcher, count, self._list_trials, grace_period)

    def _run(self, workers: Workers, look: Callable[[], None]) -> None:
        """Watch workers until all have ended. If one dies, its trial is closed and the worker is replaced."""
        pause = threading.Event()
        ended = False
        idle = 0.0
        try:
            while workers.running and idle < _LEAVING:
                for number, death in workers.collect():
                    if death is None:
                        ended = True
                        if is_batch_system(self.config) and self._wanted() and not self._is_out_of_time():
                            self._count_death("it ended by itself", [])  # its job may have come to its time limit
                            if not records.is_over(self.study):
                                workers.start(number)
                        continue
                    if not self._close_trials(death):
                        self._count_death(death.how, workers.tail(number))
                    # Done before its successor asks for a trial, so that the trial of the dead worker is retried first.
                    self.recover_now(workers.pids.values())
                    is_replaced = not records.is_over(self.study) and self._wanted() > 0
                    log.info(f"worker    {number} {'is replaced' if is_replaced else 'has ended'}: {death.how}")
                    if is_replaced:
                        workers.start(number)
                self._recover(workers.pids.values())
                look()
                pause.wait(_BEAT)
                idle = idle + _BEAT if self._has_nothing_left(workers) else 0.0
        finally:
            workers.stop()
            look()
        if ended and self._wanted() and not records.is_over(self.study):
            self._count_death("it ended by itself", [])

    def _has_nothing_left(self, workers: Workers) -> bool:
        """Whether launchers wait for workers without a trial in a complete search; some may have ended unnoticed."""
        if not isinstance(workers, LaunchedProcesses) or not self._is_complete():
            return False
        return not self.history.count(self._list_trials())["running"]

    def _close_trials(self, death: Death) -> bool:
        """Close the trial of a worker that died, and its record. Returns whether it had one."""
        trials = self._list_trials()
        own = [trial for trial in trials if _is_of(trial, death)]
        running = [trial for trial in own if records.kind(trial) == "running"]
        for trial in running:
            if death.is_lost:
                status = "KILLED" if records.fail(self.study, trial, death.how, interrupted=True) else None
            else:
                status = close_died(self.study, trial, death.how)
            if status is None:
                continue
            close_jobs(self.search_config, [trial], status)
            what = "is tried again" if status == "KILLED" else "has failed: it ends its worker each time"
            log.info(f"trial     {trial.number} {what}")
        reason = too_many_failed(self.study, self.search_config.max_failed) if running else None
        if reason and not records.is_over(self.study):
            self.study.set_user_attr(records.STOPPED, reason)
        return bool(running) or any(records.kind(trial) == "interrupted" for trial in own)

    def _count_death(self, how: str, output: Sequence[str]) -> None:
        """Count a worker that died without a trial, so that a worker that always dies is not replaced forever."""
        if not self._deaths.add(self._list_trials()) or records.is_over(self.study):
            return
        reason = f"{self._deaths.count} workers in a row ended without a trial, the last one: {how}"
        self.study.set_user_attr(records.STOPPED, reason)
        for line in output:
            log.info(f"worker    {printable(line)}")

    def _recover(self, own: Collection[int] = ()) -> None:
        """Recover the trials of ended processes every few seconds, except those of ``own`` processes."""
        self._recovery.recover_if_due(own)

    def recover_now(self, own: Collection[int] = ()) -> None:
        """Close the trials of ended processes, with their records, and queue their retries."""
        self._recovery.recover(own)

    def retry_failed(self) -> None:
        """Retry the failed points of a grid, and those of another finite space if nothing else is left."""
        with records.claim(self.study._storage):
            trials = self._list_trials()
            if not self.search_config.is_grid and not self.history.is_exhausted(trials):
                return
            for parameters in self.history.failed(trials):
                self.study.enqueue_trial(parameters)


def _is_of(trial: "FrozenTrial", death: Death) -> bool:
    """Whether a trial is one of the worker that has died."""
    return is_owned_by(trial, death.pid) or trial.user_attrs.get(records.LAUNCHED, "") == death.label != ""
