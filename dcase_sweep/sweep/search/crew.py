"""Keeping workers at work until a study is complete, and closing what they leave when they die."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig

from dcase_sweep import tracking
from dcase_sweep.config import Experiment
from dcase_sweep.cores import usable_cores
from dcase_sweep.sweep.launchers import is_basic
from dcase_sweep.sweep.search import study as records
from dcase_sweep.sweep.search.live import Live
from dcase_sweep.sweep.search.plan import Plan
from dcase_sweep.sweep.search.processes import Processes
from dcase_sweep.sweep.search.worker import Worker, too_many_failed

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

#: Seconds between looks at the study.
_BEAT = 0.5


@dataclass(frozen=True, slots=True)
class Crew:
    """The workers of one study.

    Args:
        count: how many work at a time.
        folder: of the sweep.
    """

    plan: Plan
    study: "optuna.Study"
    base: Experiment
    context: HydraContext
    config: DictConfig
    count: int
    folder: Path

    def work(self) -> None:
        """Until there are enough trials, or the search is stopped."""
        threads = None
        if self.base.hardware.threads is None and self.base.hardware.accelerator == "cpu":
            threads = max(1, usable_cores() // self.count)
        worker = Worker(self.plan, self.context, self.config, threads)
        with Live(self.study, self.plan) as live:
            if is_basic(self.config):  # which runs one job after the other; workers are processes of ours instead
                self._run_processes(worker, threads, live.update)
            else:
                self._run_launcher(worker, live.update)

    def _run_processes(self, worker: Worker, threads: int | None, look: Callable[[], None]) -> None:
        """Local processes: one that dies has its trial closed at once and is replaced."""
        processes = Processes(worker.work, self.count, self.folder / "workers", threads)
        pause = threading.Event()
        try:
            while processes.running:
                for number, death in processes.collect():
                    if death is None:
                        continue
                    self._bury(death.pid, death.how)
                    if not self.study.user_attrs.get(records.STOPPED):
                        processes.start(number)
                look()
                pause.wait(_BEAT)
        finally:
            processes.stop()
            look()

    def _bury(self, pid: int, how: str) -> None:
        """Close the trial, and the MLflow run, of a worker that died."""
        owned = [
            trial
            for trial in self.study.get_trials(deepcopy=False)
            if records.kind(trial) == "running" and trial.user_attrs.get(records.OWNER, "").endswith(f":{pid}")
        ]
        for trial in owned:
            records.fail(self.study, trial, how)
        self.close_runs(owned, "FAILED")
        # A worker that dies without a trial would die again and again.
        reason = (
            too_many_failed(self.study, self.plan.max_failed) if owned else f"a worker ended without a trial: {how}"
        )
        if reason and not self.study.user_attrs.get(records.STOPPED):
            self.study.set_user_attr(records.STOPPED, reason)

    def _run_launcher(self, worker: Worker, look: Callable[[], None]) -> None:
        """Another launcher of Hydra's gets the workers as jobs, and the study is watched meanwhile."""
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.context, task_function=worker, config=self.config
        )
        jobs = [[*self.plan.fixed, f"hydra.sweep.subdir=workers/{number}"] for number in range(self.count)]
        done = threading.Event()

        def watch() -> None:
            while not done.wait(_BEAT):
                look()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            results = launcher.launch(jobs, initial_job_idx=0)
        finally:
            done.set()
            watcher.join()
            look()
        for result in results:
            _ = result.return_value  # raises what a worker raised

    def close_runs(self, trials: "Sequence[FrozenTrial]", status: str) -> None:
        """End the MLflow runs of trials whose process is gone."""
        for trial in trials:
            if trial.user_attrs.get(records.RUN):
                tracking.end_run(self.base.tracking, trial.user_attrs[records.RUN], status)
