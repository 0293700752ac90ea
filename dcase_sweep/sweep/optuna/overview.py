"""The state of a search: how many trials there are of each kind, on which hosts, how fast, and for how long yet."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dcase_sweep.sweep.optuna import owners
from dcase_sweep.sweep.optuna.attributes import EXHAUSTED, OWNER, STOPPED
from dcase_sweep.sweep.optuna.seeds import read_spread
from dcase_sweep.sweep.optuna.stored_study import StoredStudy, StoredTrial
from dcase_sweep.utils.processes import parse_identity

#: The speed is that of so many trials of a host, the newest ones.
_NEWEST = 50
DONE = ("finished", "pruned")


@dataclass(frozen=True, slots=True)
class Best:
    """The best value of one objective, in the first trial that has it.

    Attributes:
        metric: name of the objective.
        value: its value, the mean of the seeds if the trial has several.
        trial: number of the trial.
        spread: the standard deviation over the seeds; None for one seed.
    """

    metric: str
    value: float
    trial: int
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class HostOverview:
    """The trials of one host.

    Attributes:
        host: its name.
        counts: number of trials of each kind; ``lost`` are those that are marked as running, but nobody runs.
        trials_per_hour: finished and pruned trials in an hour in which it worked; None before the first one.
        last: seconds since 1970 of its last sign of life: the end of a trial, or now if one is running.
    """

    host: str
    counts: Counter[str]
    trials_per_hour: float | None
    last: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of a search.

    Attributes:
        study: its name.
        state: ``complete``, ``running``, ``stopped``, ``exhausted`` or ``idle``: incomplete, and nobody works on it.
        reason: why it was stopped, or is exhausted.
        wanted: the total of finished and pruned trials; None if it is not stored.
        counts: number of trials of each kind; ``lost`` as for a host.
        best: for each objective.
        trials_per_hour: sum over the hosts that work now, or over all if none does; None before the first trial.
        remaining: seconds until the end at that speed; None if it is not known, or nobody works.
        hosts: by their names.
    """

    study: str
    state: str
    reason: str
    wanted: int | None
    counts: Counter[str]
    best: Sequence[Best] = ()
    trials_per_hour: float | None = None
    remaining: float | None = None
    hosts: Sequence[HostOverview] = field(default_factory=tuple)

    @property
    def done(self) -> int:
        """The number of finished and pruned trials."""
        return sum(self.counts[kind] for kind in DONE)


def summarize(study: StoredStudy, now: float | None = None) -> Overview:
    """Summarize a study.

    Args:
        study: the study with its trials.
        now: seconds since 1970; None = the present.
    """
    now = time.time() if now is None else now
    period = float(study.get_setting("grace_period", (int, float), owners.GRACE_PERIOD))
    kinds = [_kind(trial, now, period) for trial in study.trials]
    hosts = _summarize_hosts(study.trials, kinds, now)
    counts = Counter(kinds)
    wanted = study.get_setting("n_trials", (int,), None)
    done = sum(counts[kind] for kind in DONE)
    state, reason = _find_state(study, counts, done, wanted)
    working = [host for host in hosts if host.counts["running"]]
    rates = [host.trials_per_hour for host in working or hosts if host.trials_per_hour]
    rate = sum(rates) if rates else None
    left = None if wanted is None else max(0, wanted - done)
    is_known = bool(working) and rate is not None and left is not None
    return Overview(
        study=study.name,
        state=state,
        reason=reason,
        wanted=wanted,
        counts=counts,
        best=_find_best(study),
        trials_per_hour=rate,
        remaining=left / rate * 3600 if is_known and left and rate else 0.0 if state == "complete" else None,
        hosts=hosts,
    )


def _kind(trial: StoredTrial, now: float, grace_period: float) -> str:
    is_lost = trial.state == "RUNNING" and owners.is_gone(trial, now, grace_period)
    return "lost" if is_lost else trial.kind


def _find_state(study: StoredStudy, counts: Counter[str], done: int, wanted: int | None) -> tuple[str, str]:
    if wanted is not None and done >= wanted:
        return "complete", ""
    for name, state in ((STOPPED, "stopped"), (EXHAUSTED, "exhausted")):
        if study.user_attrs.get(name):
            return state, str(study.user_attrs[name])
    return "running" if counts["running"] else "idle", ""


def _find_best(study: StoredStudy) -> list[Best]:
    finished = [trial for trial in study.trials if trial.kind == "finished" and trial.is_feasible]
    names = study.metrics if len(study.metrics) == len(study.directions) else []
    found = []
    for place, direction in enumerate(study.directions):
        valued = [trial for trial in finished if len(trial.values) > place and trial.values[place] is not None]
        if valued:
            choose: Any = max if direction == "maximize" else min
            best = choose(valued, key=lambda trial, place=place: trial.values[place])
            name = names[place] if names else f"objective {place + 1}"
            found.append(Best(name, best.values[place], best.number, read_spread(best.user_attrs).get(name)))
    return found


def _summarize_hosts(trials: Sequence[StoredTrial], kinds: Sequence[str], now: float) -> list[HostOverview]:
    groups: dict[str, list[tuple[StoredTrial, str]]] = {}
    for trial, kind in zip(trials, kinds, strict=True):
        owner = parse_identity(str(trial.user_attrs.get(OWNER, "")))
        if owner is not None:
            groups.setdefault(owner.host, []).append((trial, kind))
    hosts = []
    for host, group in sorted(groups.items()):
        ends = [trial.ended for trial, _ in group if trial.ended is not None]
        is_working = any(kind == "running" for _, kind in group)
        last = now if is_working else max(ends, default=None)
        done = [trial for trial, kind in group if kind in DONE]
        hosts.append(HostOverview(host, Counter(kind for _, kind in group), _measure_rate(done), last))
    return hosts


def _measure_rate(trials: Sequence[StoredTrial]) -> float | None:
    """Trials an hour, while at least one of them ran: pauses between two commands are not counted."""
    spans = [(trial.started, trial.ended) for trial in trials if trial.started is not None and trial.ended is not None]
    newest = sorted(sorted(spans, key=lambda span: span[1])[-_NEWEST:])
    seconds, until = 0.0, 0.0
    for started, ended in newest:
        seconds += max(0.0, ended - max(started, until))
        until = max(until, ended)
    return len(newest) / seconds * 3600 if seconds > 0 else None
