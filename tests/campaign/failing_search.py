"""A search on two machines that fail at random, repeated until it is complete."""

import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import optuna
import psutil

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.study import open_storage
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.processes import parse_identity
from tests.campaign.failure import Failure
from tests.engines.hosts import Host, start_host
from tests.engines.postgresql import PostgreSQL, find_binaries, start_postgresql

_ROOT = Path(__file__).resolve().parents[2]
_PROJECT = _ROOT / "tests" / "projects" / "resumable"
TRIALS, EPOCHS, GRACE = 20, 10, 10.0
LAUNCHERS = ("basic", "joblib", "submitit_local")
#: Seconds that a search may take with all its failures.
_PATIENCE = 900.0
#: The fraction of the commands that have a time limit, and the limit in seconds, from and to.
_LIMITED, _LIMIT = 0.3, (5.0, 15.0)
#: The exit code of a command that a signal has interrupted.
_SIGNALS = ("SIGKILL", "SIGTERM", "SIGHUP", "SIGUSR2")


@dataclass(slots=True)
class Machine:
    """A machine that runs the command of the search again and again until it is complete."""

    host: Host
    words: Sequence[str]
    folder: Path
    environment: dict[str, str]
    process: "subprocess.Popen[bytes] | None" = None
    #: The signal that the command was sent; "host" if all processes were killed.
    hit: str = ""
    #: When the batch system would kill the command, in seconds since 1970.
    deadline: float = math.inf
    #: When it is started next.
    begins: float = 0.0
    commands: int = 0

    @property
    def output(self) -> Path:
        """What the current command has printed."""
        return self.folder / f"{self.host.name}-{self.commands}.txt"

    def start(self, *more: str) -> None:
        """Start the command, with more words."""
        self.commands += 1
        self.hit = ""
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self.host.command(sys.executable, "train.py", *self.words, *more, folder=self.folder),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def find_command(self) -> psutil.Process | None:
        """The process of the command, as it is seen from outside; None if it is not running."""
        if self.process is None or self.process.poll() is not None:
            return None
        with suppress(psutil.Error):
            return next(iter(psutil.Process(self.process.pid).children()), None)
        return None

    def find_worker(self, number: int) -> psutil.Process | None:
        """The process that has this number on its machine."""
        # The command is a child of what has started it there, and an orphan one of the first process.
        roots = [self.host.first, *([self.process.pid] if self.process is not None else [])]
        for root in roots:
            with suppress(psutil.Error, OSError):
                for process in psutil.Process(root).children(recursive=True):
                    status = Path(f"/proc/{process.pid}/status").read_text()
                    if re.search(rf"^NSpid:.*\t{number}$", status, re.MULTILINE):
                        return process
        return None


@dataclass
class FailingSearch:
    """One search with failures.

    Args:
        folder: of the application.
        rng: draws what fails, and when.
        launcher: Hydra's launcher of the workers.
        server: the database of the study; None = a journal in the folder.
        study: the name of the study.
    """

    folder: Path
    rng: random.Random
    launcher: str
    server: PostgreSQL | None
    study: str
    failures: list[Failure] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    machines: dict[str, Machine] = field(default_factory=dict)
    commands: int = 0
    #: The largest number of failures.
    most: int = 0

    def run(self, count: int) -> None:
        """Cause up to so many failures, repeat the command until the search is complete, and repeat it once more."""
        self.most = count
        shutil.copytree(_PROJECT, self.folder, dirs_exist_ok=True)
        with self._started():
            deadline = time.monotonic() + _PATIENCE
            due = 0.0
            while not (self.is_complete() and all(each.process is None for each in self.machines.values())):
                if time.monotonic() > deadline:
                    self.violations.append(f"not complete after {_PATIENCE:.0f} s: {self._describe()}")
                    return
                for machine in self.machines.values():
                    self._look(machine)
                if time.monotonic() > due and len(self.failures) < count and not self.is_complete():
                    before = len(self.failures)
                    self._fail()
                    due = time.monotonic() + (self.rng.uniform(0.5, 4) if len(self.failures) > before else 0.3)
                time.sleep(0.1)
            self._repeat()

    @contextmanager
    def _started(self) -> Iterator[None]:
        with ExitStack() as stack:
            for name in ("north", "south"):
                host = start_host(name)
                self.machines[name] = Machine(host, self._words(), self.folder, self._environment())
                stack.callback(lambda name=name: self.machines[name].host.kill())  # type: ignore[misc]
            yield

    def _words(self) -> list[str]:
        words = ["-m", f"hydra.sweeper.n_trials={TRIALS}", f"hydra.sweeper.grace_period={GRACE:g}", f"epochs={EPOCHS}"]
        words += ["hydra.sweeper.workers=2", "hydra.sweeper.max_failed=1.0", f"hydra.sweeper.study_name={self.study}"]
        words += [] if self.launcher == "basic" else [f"hydra/launcher={self.launcher}"]
        return [*words, "hydra.launcher.n_jobs=2"] if self.launcher == "joblib" else words

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HYDRA_", "OPTUNA_"))}
        more = {"PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        return kept | more | ({"OPTUNA_STORAGE": self.server.url} if self.server else {})

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """All trials; none before the search has begun."""
        where = self.server.url if self.server else str(self.folder / "optuna.log")
        if self.server is None and not Path(where).is_file():
            return []
        deadline = time.monotonic() + 60
        while True:
            try:
                return optuna.load_study(study_name=self.study, storage=open_storage(where)).get_trials(deepcopy=False)
            except KeyError:
                return []
            except UserError:  # the server has just been started again
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def is_complete(self) -> bool:
        """Whether there are as many trials as wanted."""
        found = records.counts(self.trials())
        return found["finished"] + found["pruned"] >= TRIALS

    def _look(self, machine: Machine) -> None:
        """Look at the exit code of a command that has ended; start the next one if the search is not complete."""
        if machine.process is None:
            if not self.is_complete() and time.monotonic() > machine.begins:
                machine.start(*self._limit(machine))
                self.commands += 1
            return
        code = machine.process.poll()
        if code is None:
            self._enforce_limit(machine)
            return
        self._check_exit(machine, code)
        machine.process = None
        machine.begins = time.monotonic() + self.rng.uniform(0, 3)

    def _enforce_limit(self, machine: Machine) -> None:
        """Kill a command at its time limit, as batch systems do."""
        process = machine.find_command()
        if time.time() > machine.deadline and process is not None and not machine.hit:
            machine.hit = "SIGKILL"
            with suppress(psutil.Error):
                process.kill()

    def _limit(self, machine: Machine) -> list[str]:
        """Return the time limit of a command, which is one of the failures; most commands have none."""
        machine.deadline = math.inf
        if len(self.failures) >= self.most or self.rng.random() > _LIMITED:
            return []
        limit, now = self.rng.uniform(*_LIMIT), time.time()
        machine.deadline = now + limit
        self.failures.append(Failure("command time limit", now, machine.host.name, until=machine.deadline))
        return [f"hydra.sweeper.time_limit={limit:.1f}"]

    def _check_exit(self, machine: Machine, code: int) -> None:
        output = machine.output.read_text(errors="replace")
        number = getattr(signal, machine.hit, 0)
        allowed = {0: True, 1: False}  # whether the search is complete
        hit = {-signal.SIGKILL, 128 + signal.SIGKILL} if machine.hit == "host" else {-number, 128 + number}
        is_true = allowed.get(code) is self.is_complete() or (machine.hit and code in hit)
        if not is_true:
            what = f"after {machine.hit}" if machine.hit else "without a signal"
            self.violations.append(f"exit code {code} {what}: {self._describe()}\n{output[-2000:]}")
        if "Traceback (most recent call last)" in output:
            self.violations.append(f"a traceback:\n{output[-3000:]}")

    def _fail(self) -> None:
        """Cause one failure, if there is something that can fail now: a trial that runs, or a command."""
        if not any(map(is_running, self.trials())) and self.rng.random() < 0.9:
            return
        name = self.rng.choice(sorted(self.machines))
        machine = self.machines[name]
        kinds = ["worker", "worker", "worker", "command", "command", "host"]
        kind = self.rng.choice([*kinds, "connections", "restart"] if self.server else kinds)
        if kind == "worker":
            self._fail_worker(machine)
        elif kind == "command":
            self._fail_command(machine)
        elif kind == "host":
            self._fail_host(machine)
        elif self.server is not None:
            before = time.time()
            if kind == "connections":
                self.server.kill_backends()
            else:
                self.server.stop()
                self.server.start()
            self.failures.append(Failure(f"database {kind}", before))

    def _fail_worker(self, machine: Machine) -> None:
        owners = [parse_identity(str(each.user_attrs.get(records.OWNER))) for each in self.trials() if is_running(each)]
        numbers = [owner.number for owner in owners if owner is not None and owner.host == machine.host.name]
        process = machine.find_worker(self.rng.choice(numbers)) if numbers else None
        name = self.rng.choice(["SIGKILL", "SIGKILL", "SIGTERM", "SIGUSR2"])
        if process is None or process == machine.find_command():
            return
        number = int(Path(f"/proc/{process.pid}/status").read_text().partition("NSpid:")[2].splitlines()[0].split()[-1])
        before = time.time()
        with suppress(psutil.Error):
            process.send_signal(getattr(signal, name))
            self.failures.append(Failure(f"worker {name}", before, machine.host.name, number))

    def _fail_command(self, machine: Machine) -> None:
        process = machine.find_command()
        name = self.rng.choice(["SIGKILL", "SIGTERM", "SIGHUP", "SIGUSR2", "SIGUSR2"])
        if process is None or machine.hit:
            return
        machine.hit = name
        before = time.time()
        with suppress(psutil.Error):
            process.send_signal(getattr(signal, name))
            self.failures.append(Failure(f"command {name}", before, machine.host.name))

    def _fail_host(self, machine: Machine) -> None:
        name = machine.host.name
        machine.hit = "host"
        before = time.time()
        machine.host.kill()
        machine.host = start_host(name)
        self.failures.append(Failure("host", before, name))

    def _repeat(self) -> None:
        """A complete search has nothing left to do, and says so by exit code 0."""
        before = len(self.trials())
        machine = self.machines["north"]
        machine.start()
        self.commands += 1
        assert machine.process is not None
        code = machine.process.wait(_PATIENCE)
        self._check_exit(machine, code)
        machine.process = None
        if len(self.trials()) != before:
            self.violations.append(f"a complete search went on: {self._describe()}")

    def _describe(self) -> str:
        return ", ".join(f"{count} {kind}" for kind, count in sorted(records.counts(self.trials()).items()))


def is_running(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial is said to be running."""
    return records.kind(trial) == "running"


@contextmanager
def database() -> Iterator[PostgreSQL | None]:
    """A database server if one is installed, with its driver."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        yield None
        return
    if find_binaries() is None:
        yield None
        return
    with start_postgresql() as server:
        yield server
