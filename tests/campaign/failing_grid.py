"""A grid whose command fails at random, repeated until it is complete."""

import random
import signal
import time
from itertools import pairwise
from pathlib import Path

from tests.campaign.failure import Cost, Epoch, Failure, find_overlaps, read_epochs
from tests.campaign.inputs import empty_database
from tests.campaign.scenarios import EPOCHS, Findings, Grid
from tests.conftest import CommandLine, copy_database
from tests.warm import WarmServer

_SEEDS = (0, 1, 2)
_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)
_NOTING = '+callbacks.noting={_target_:tests.campaign.noting.NoteEpochs,path:"epochs-${seed}.txt"}'


class FailingGrid(Grid):
    """Three trainings in one folder, which the same command continues."""

    window = (0.5, 5.0)

    def __init__(self, folder: Path, rng: random.Random) -> None:
        folder.mkdir()
        (folder / "empty").mkdir()
        copy_database(empty_database(folder / "empty"), folder / "mlruns")
        self._server = WarmServer(CommandLine(folder).environment())
        super().__init__(CommandLine(folder, self._server), Findings(), rng)
        self.failures: list[Failure] = []
        self.costs: list[Cost] = []

    @property
    def violations(self) -> list[str]:
        """What must not have been."""
        return self.findings.faults

    @property
    def commands(self) -> int:
        """How many commands were started."""
        return self.findings.commands

    def run(self, kills: int) -> None:
        """Cause so many failures, then let the command end, and look at what there is."""
        try:
            super().run(kills)
        finally:
            self._server.close()

    def arguments(self) -> list[str]:
        """The same command each time."""
        seeds = ",".join(map(str, _SEEDS))
        return ["-m", *self.tiny(f"seed={seeds}", "hydra.sweeper.skip_finished=true", "hydra.sweep.dir=sweep", _NOTING)]

    def choose(self, pid: int) -> tuple[list[int], signal.Signals]:
        """The command, by any of the signals that end one."""
        number = self.rng.choice(_SIGNALS)
        self.failures.append(Failure(f"grid {number.name}", time.time()))
        return [pid], number

    def _attempt(self, may_kill: bool) -> tuple[int, str, int]:
        code, output, hits = super()._attempt(may_kill)
        number = int(getattr(signal, self.failures[-1].what.removeprefix("grid "))) if hits else 0
        if hits and code not in (0, -number, 128 + number):
            self.fault(f"exit code {code} after {self.failures[-1].what}:\n{output[-2000:]}")
        return code, output, hits

    def check(self) -> None:
        """Each seed is finished once, and each failure has cost one epoch at most."""
        super().check()
        for seed in _SEEDS:
            epochs = read_epochs(self.line.folder / f"epochs-{seed}.txt")
            if {each.number for each in epochs} != set(range(EPOCHS)):
                self.fault(f"seed {seed} has the epochs {sorted({each.number for each in epochs})}")
            if find_overlaps(epochs):
                self.fault(f"seed {seed} was trained by two processes at a time")
            attempts: list[list[Epoch]] = []
            for epoch in epochs:
                if not attempts or attempts[-1][-1].process != epoch.process:
                    attempts.append([])
                attempts[-1].append(epoch)
            self.costs += [self._measure(seed, first, second) for first, second in pairwise(attempts)]

    def _measure(self, seed: int, first: list[Epoch], second: list[Epoch]) -> Cost:
        cause = next((each for each in reversed(self.failures) if each.time < second[0].time), None)
        repeated = len({each.number for each in first} & {each.number for each in second})
        return Cost(cause, seed, "interrupted", repeated, 0.0, 0.0)
