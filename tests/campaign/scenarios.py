"""Commands that are killed again and again, and what must be true once each has come to its end."""

import os
import random
import re
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil

from tests.conftest import TINY, CommandLine
from tests.layout import make_tau

#: An experiment of a second or two, long enough to be hit in the middle.
EPOCHS = 24
KILL, TERM, HUP = signal.SIGKILL, signal.SIGTERM, signal.SIGHUP


@dataclass
class Findings:
    """What a campaign of kills came to."""

    kills: Counter[str] = field(default_factory=Counter)
    commands: int = 0
    completed: Counter[str] = field(default_factory=Counter)
    #: Anything that must not be, in words.
    faults: list[str] = field(default_factory=list)


@dataclass
class Scenario:
    """One command that is killed and repeated until it ends by itself.

    Args:
        line: runs commands in the folder of the scenario.
        findings: filled as it goes.
        rng: draws moments, victims and signals.
    """

    line: CommandLine
    findings: Findings
    rng: random.Random
    name = "scenario"
    #: Seconds after which the command is hit, from and to.
    window = (0.3, 8.0)

    def arguments(self) -> list[str]:
        """The command line that is started now."""
        raise NotImplementedError

    def is_complete(self) -> bool:
        """Whether a command that was hit had nothing left to do."""
        return False

    def check(self) -> None:
        """Add a fault for everything that is not as it must be at the end."""

    def fault(self, text: str) -> None:
        """Note a fault."""
        self.findings.faults.append(f"{self.name}: {text}")
        print(f"FAULT {self.findings.faults[-1]}", flush=True)

    def run(self, kills: int) -> None:
        """Kill so many times, then let the command end, and look at what there is."""
        left = kills
        for _ in range(4 * kills + 4):
            code, output, hit = self._attempt(left > 0)
            left -= hit
            self.findings.commands += 1
            if "Traceback (most recent call last)" in output:
                self.fault(f"a traceback:\n{output[-3000:]}")
            if code == 0 or self.is_complete():
                break
            if not hit:
                self.fault(f"exit code {code} without a kill:\n{output[-3000:]}")
                return
        else:
            self.fault("the command never came to its end")
            return
        self.line("runs", "--close-dead")
        self._check_store()
        self.check()
        self.findings.completed[self.name] += 1

    def _attempt(self, may_kill: bool) -> tuple[int, str, int]:
        """Start the command; hit it or one of its workers, perhaps more than once; returns how often."""
        process = self.line.start(*self.arguments())
        hits = 0
        while may_kill:
            deadline = time.monotonic() + self.rng.uniform(*self.window)
            while time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.02)
            if process.poll() is not None:
                break
            victims, number = self.choose(process.pid)
            kin = _family(process.pid)
            for victim in victims:
                with suppress(ProcessLookupError):
                    os.kill(victim, number)
            hits += 1
            self.findings.kills[f"{self.name} {signal.Signals(number).name}"] += 1
            if process.pid in victims:
                _wait_for(lambda kin=kin: not any(map(_is_running, kin)))  # type: ignore[misc]
                break
        output, _ = process.communicate(timeout=300)
        assert process.returncode is not None
        return process.returncode, output, hits

    def choose(self, pid: int) -> tuple[list[int], signal.Signals]:
        """Which processes are hit by which signal."""
        return [pid], self.rng.choice([KILL, KILL, TERM, HUP])

    def runs(self) -> list[Any]:
        """Every run of the store."""
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{self.line.folder}/mlruns/mlflow.db")
        experiments = [each.experiment_id for each in client.search_experiments()]
        return list(client.search_runs(experiments, max_results=5000))

    def check_history(self, run_id: str) -> None:
        """Every epoch of a run is logged once."""
        with sqlite3.connect(self.line.folder / "mlruns" / "mlflow.db") as database:
            rows = database.execute("select step from metrics where key = 'train/loss' and run_uuid = ?", (run_id,))
            steps = sorted(step for (step,) in rows)
        if steps != list(range(EPOCHS)):
            self.fault(f"run {run_id} has the epochs {steps}")

    def _check_store(self) -> None:
        database = self.line.folder / "mlruns" / "mlflow.db"
        with sqlite3.connect(database) as opened:
            state = opened.execute("pragma integrity_check").fetchone()[0]
        if state != "ok":
            self.fault(f"{database}: {state}")
        for run in self.runs():
            if run.info.status in ("RUNNING", "SCHEDULED"):
                self.fault(f"run {run.info.run_id} ({run.info.run_name}) is left {run.info.status}")
            if run.info.status == "FINISHED" and "train/loss" in run.data.metrics:
                self.check_history(run.info.run_id)

    def tiny(self, *more: str) -> list[str]:
        """Overrides of a small experiment."""
        root = self.line.folder / "tau"
        if not root.is_dir():
            make_tau(root)
        return ["data=tau2020", f"data.root={root}", *TINY, f"training.epochs={EPOCHS}", *more]


class SingleRun(Scenario):
    """One training, resumed from its last epoch."""

    name = "single run"
    window = (0.3, 4.0)

    def arguments(self) -> list[str]:
        """The run anew, or its continuation where it has come to an epoch."""
        folders = sorted((self.line.folder / "outputs").glob("*/*"))
        resumable = [folder for folder in folders if (folder / "checkpoints" / "last.ckpt").is_file()]
        return self.tiny(*([f"resume={resumable[-1]}"] if resumable else []))

    def is_complete(self) -> bool:
        """Whether the run was finished before the signal came."""
        database = self.line.folder / "mlruns" / "mlflow.db"
        return database.is_file() and any(run.info.status == "FINISHED" for run in self.runs())

    def check(self) -> None:
        """The scores are those of a training that nothing interrupted."""
        finished = [run for run in self.runs() if run.info.status == "FINISHED"]
        if len(finished) != 1:
            self.fault(f"{len(finished)} finished runs, expected one")
        whole = self.line(*self.tiny("hydra.run.dir=whole", "tracking.experiment=whole"))
        assert "run " in whole
        scores = [path for path in (self.line.folder / "outputs").glob("*/*/scores.csv")]
        if not any(path.read_text() == (self.line.folder / "whole" / "scores.csv").read_text() for path in scores):
            self.fault("the scores differ from those of an uninterrupted training")


class FirstCommand(SingleRun):
    """The first command of a new project: no store of runs, no features."""

    name = "first command"
    window = (0.05, 3.0)

    def run(self, kills: int) -> None:
        """As any run, after what the campaign's folder came with is gone."""
        for path in (self.line.folder / "mlruns").glob("*"):
            path.unlink()
        super().run(kills)


class Grid(Scenario):
    """A sweep of three jobs that leaves out what is finished."""

    name = "grid"
    window = (0.5, 6.0)

    def arguments(self) -> list[str]:
        """The same command each time."""
        return ["-m", *self.tiny("seed=0,1,2", "hydra.sweeper.skip_finished=true")]

    def check(self) -> None:
        """Each seed is finished, once."""
        seeds = Counter(
            run.data.params["seed"]
            for run in self.runs()
            if run.info.status == "FINISHED" and "seed" in run.data.params
        )
        if seeds != {"0": 1, "1": 1, "2": 1}:
            self.fault(f"finished runs by seed: {dict(seeds)}, expected one each")


class Search(Scenario):
    """A search of six trials by two workers; the command or one of the workers is hit."""

    name = "search"
    window = (2.0, 20.0)
    trials = 6

    def arguments(self) -> list[str]:
        """The same command each time."""
        space = ["hydra/sweeper=optuna", "model.units=tag(int,interval(8,32))", "optimizer.lr=interval(1e-4,1e-2)"]
        wanted = [f"hydra.sweeper.n_trials={self.trials}", "hydra.sweeper.workers=2", "hydra.sweeper.study_name=s"]
        return ["-m", *self.tiny(*space, *wanted, "hydra.sweeper.max_failed=1.0", "hydra/sweeper/pruner=none")]

    def choose(self, pid: int) -> tuple[list[int], signal.Signals]:
        """The command alone, a worker alone, or all at once as an ended machine would."""
        workers = _workers(pid)
        victim = self.rng.choice(["command", "worker", "worker", "all"])
        if victim == "worker" and workers:
            return [self.rng.choice(workers)], self.rng.choice([KILL, KILL, TERM])
        if victim == "all":
            return [pid, *_family(pid)], KILL
        return [pid], self.rng.choice([KILL, KILL, TERM, HUP])

    def check(self) -> None:
        """There are as many finished trials as wanted, each with the run that it names."""
        import optuna

        from dcase_sweep.sweep.optuna.study import open_storage

        storage = open_storage(str(self.line.folder / "mlruns" / "optuna.log"))
        trials = optuna.load_study(study_name="s", storage=storage).get_trials()
        finished = [trial for trial in trials if trial.state == optuna.trial.TrialState.COMPLETE]
        running = [trial.number for trial in trials if trial.state == optuna.trial.TrialState.RUNNING]
        if len(finished) != self.trials or running:
            self.fault(f"{len(finished)} finished trials, expected {self.trials}; running for ever: {running}")
        status = {run.info.run_id: run.info.status for run in self.runs()}
        for trial in finished:
            if status.get(trial.user_attrs.get("run_id")) != "FINISHED":
                self.fault(f"trial {trial.number} is finished, its run is {status.get(trial.user_attrs.get('run_id'))}")
            if len(trial.intermediate_values) != EPOCHS:
                self.fault(f"trial {trial.number} reported {len(trial.intermediate_values)} of {EPOCHS} epochs")


SCENARIOS: tuple[type[Scenario], ...] = (SingleRun, FirstCommand, Grid, Search)


def _family(pid: int) -> list[int]:
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))]
    return [pid]


def _workers(pid: int) -> list[int]:
    """The processes of a search's workers; not those that help Python to start them."""
    with suppress(psutil.Error):
        children = psutil.Process(pid).children(recursive=True)
        return [child.pid for child in children if re.search("spawn_main", " ".join(child.cmdline()))]
    return []


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _wait_for(condition: Callable[[], bool], patience: float = 60.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"still running after {patience:g} s")
        time.sleep(0.05)
