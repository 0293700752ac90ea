"""Failures of a campaign, and what each has cost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.utils.processes import parse_identity

#: Seconds between clocks of different processes that are overlooked.
_SLACK = 2.0


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that was made to fail.

    Attributes:
        what: in words.
        time: in seconds since 1970.
        host: whose processes it hit; None for a database server.
        process: the number of the only process that it hit on that host; None = any.
        until: the end of a failure that lasts: a time limit ends a trial at some moment before it.
    """

    what: str
    time: float
    host: str | None = None
    process: int | None = None
    until: float | None = None

    @property
    def end(self) -> float:
        """The last moment at which it can have ended a trial."""
        return self.time if self.until is None else self.until


@dataclass(frozen=True, slots=True)
class Cost:
    """What became of a trial that a failure hit.

    Attributes:
        failure: the failure; None if there was none that explains it.
        trial: the number of the trial.
        kind: interrupted, to be tried again, or failed.
        repeated: epochs that it had begun and that were begun again.
        noticed: seconds from the failure until the trial was closed.
        overdue: seconds from the end of its lease until the trial was closed; negative if it was closed before.
    """

    failure: Failure | None
    trial: int
    kind: str
    repeated: int
    noticed: float
    overdue: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch that was begun."""

    number: int
    process: int
    host: str
    time: float


def read_epochs(path: Path) -> list[Epoch]:
    """The epochs of all attempts of a trial, in the order in which they were begun."""
    if not path.is_file():
        return []
    rows = [line.split() for line in path.read_text().splitlines()]
    return [Epoch(int(number), int(process), host, float(time)) for number, process, host, time in rows]


def measure_costs(trials: Sequence[FrozenTrial], failures: Sequence[Failure], grace_period: float) -> list[Cost]:
    """What each trial that did not come to its end has cost."""
    ended = [trial for trial in trials if records.kind(trial) in ("interrupted", "failed")]
    return [_measure(trial, failures, grace_period) for trial in ended]


def _measure(trial: FrozenTrial, failures: Sequence[Failure], grace_period: float) -> Cost:
    assert trial.datetime_start is not None
    assert trial.datetime_complete is not None
    began, closed = trial.datetime_start.timestamp(), trial.datetime_complete.timestamp()
    owner = parse_identity(str(trial.user_attrs.get(records.OWNER)))
    causes = [
        each
        for each in failures
        if began - _SLACK <= each.end
        and each.time <= closed + _SLACK
        and (owner is None or each.host in (owner.host, None))
        and (owner is None or each.process in (owner.number, None))
    ]
    # A database that fails ends no process, and is named only if nothing else has failed.
    cause = next((each for each in [*reversed(causes)] if each.host), causes[-1] if causes else None)
    epochs = read_epochs(Path(str(trial.user_attrs.get(records.FOLDER))) / "epochs.txt")
    own = [each for each in epochs if owner and _is_of(each, owner.number, owner.host, began, closed)]
    later = {each.number for each in epochs if own and each.time > own[-1].time and each not in own}
    lease = max(began, float(trial.user_attrs.get(records.ALIVE, 0.0))) + grace_period
    return Cost(
        cause,
        trial.number,
        records.kind(trial),
        len({each.number for each in own} & later),
        max(0.0, closed - (cause.end if cause else closed)),
        closed - lease,
    )


def _is_of(epoch: Epoch, process: int, host: str, began: float, closed: float) -> bool:
    return epoch.process == process and epoch.host == host and began - _SLACK <= epoch.time <= closed + _SLACK


def find_overlaps(epochs: Iterable[Epoch]) -> list[Epoch]:
    """Epochs of an attempt that another attempt has followed: two processes have worked on a trial at a time."""
    seen: dict[tuple[int, str], int] = {}
    order: list[tuple[int, str]] = []
    found = []
    for epoch in epochs:
        key = epoch.process, epoch.host
        if key in seen and order[-1] != key:
            found.append(epoch)
        seen[key] = epoch.number
        order.append(key)
    return found
