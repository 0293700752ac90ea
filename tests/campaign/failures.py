"""Random failures of searches on two machines, and of grids: nothing may be lost, and what is repeated is counted."""

import json
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dcase_sweep.sweep.optuna import study as records
from tests.campaign.failing_grid import FailingGrid
from tests.campaign.failing_search import EPOCHS, GRACE, LAUNCHERS, TRIALS, FailingSearch, database
from tests.campaign.failure import Cost, Failure, find_overlaps, measure_costs, read_epochs
from tests.engines.hosts import can_isolate

#: At most so many failures of one project before it must come to its end.
_EACH = 12
#: A machine that has died is noticed within so many seconds of the end of its lease.
_OVERDUE = 60.0


@dataclass
class Findings:
    """What a campaign of failures came to."""

    failures: list[Failure] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    projects: int = 0
    commands: int = 0
    violations: list[str] = field(default_factory=list)


def run_failures(count: int = 100, seed: int = 0, only: str = "", output: Path | None = None) -> int:
    """Cause so many failures in all, in one project after the other, and print what each kind has cost.

    Returns:
        1 if anything was lost, repeated too often or reported wrongly.
    """
    if not can_isolate():
        print("skipped: needs the right to create namespaces of hosts and processes, which root has")
        return 0
    findings = Findings()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as name, database() as server:
        if server is None:
            print("skipped: searches in PostgreSQL, which is not installed with its driver")
        storages = [server, None] if server is not None else [None]
        kinds = [*((launcher, each) for launcher in LAUNCHERS for each in storages), None]
        while len(findings.failures) < count:
            number = findings.projects
            findings.projects += 1
            folder, rng = Path(name) / f"project-{number}", random.Random(1000 * seed + number)
            kind = kinds[number % len(kinds)]
            what = f"search, {kind[0]}, {'PostgreSQL' if kind[1] else 'journal'}" if kind else "grid"
            if only not in what:
                continue
            project = FailingSearch(folder, rng, *kind, folder.name) if kind else FailingGrid(folder, rng)
            before = time.perf_counter()
            project.run(min(_EACH, count - len(findings.failures)))
            costs = _look(project) if isinstance(project, FailingSearch) else project.costs
            _add(findings, what, costs, project)
            done = f"{len(project.failures)} failures, {len(project.violations)} violations"
            print(f"project {number} ({what}): {done}, {time.perf_counter() - before:.0f} s", flush=True)
    _print(findings, time.perf_counter() - began)
    if output is not None:
        output.write_text(json.dumps({"violations": findings.violations, "table": _table(findings)}, indent=1) + "\n")
    return 1 if findings.violations else 0


def _look(search: FailingSearch) -> list[Cost]:
    """Look at the trials of a search that has come to its end; returns what each failure has cost."""
    trials = search.trials()
    costs = measure_costs(trials, search.failures, GRACE)
    found = records.counts(trials)
    faults = search.violations
    if found["finished"] + found["pruned"] != TRIALS or found["running"]:
        faults.append(f"{dict(found)}, expected {TRIALS} finished")
    retried = Counter(each.user_attrs[records.RETRY_OF] for each in trials if records.RETRY_OF in each.user_attrs)
    faults += [f"trial {number} was retried {times} times" for number, times in retried.items() if times > 1]
    for trial in trials:
        if records.kind(trial) == "finished" and sorted(trial.intermediate_values) != list(range(EPOCHS)):
            faults.append(f"trial {trial.number} has the epochs {sorted(trial.intermediate_values)}")
        overlaps = find_overlaps(read_epochs(Path(str(trial.user_attrs.get(records.FOLDER))) / "epochs.txt"))
        if overlaps:
            faults.append(f"trial {trial.number} was run by two processes at a time: {overlaps}")
    for cost in costs:
        if cost.failure is None:
            error = trials[cost.trial].user_attrs.get(records.ERROR)
            faults.append(f"trial {cost.trial} was {cost.kind} without a failure: {error}")
    return costs


def _add(findings: Findings, what: str, costs: Sequence[Cost], project: FailingSearch | FailingGrid) -> None:
    faults = project.violations
    for cost in costs:
        if cost.repeated > 1:
            faults.append(f"{cost.failure} has repeated {cost.repeated} epochs of {cost.trial}")
        if cost.overdue > _OVERDUE:
            faults.append(f"trial {cost.trial} was closed {cost.overdue:.0f} s after its lease")
    findings.failures += project.failures
    findings.costs += costs
    findings.commands += project.commands
    findings.violations += [f"{what}: {each}" for each in faults]
    for fault in faults:
        print(f"VIOLATION {what}: {fault}", flush=True)


def _table(findings: Findings) -> list[dict[str, object]]:
    """One row for each kind of failure."""
    costs: dict[str, list[Cost]] = defaultdict(list)
    for cost in findings.costs:
        if cost.failure is not None:
            costs[cost.failure.what].append(cost)
    return [
        {
            "failure": what,
            "times": times,
            "interrupted": sum(cost.kind == "interrupted" for cost in costs[what]),
            "failed": sum(cost.kind == "failed" for cost in costs[what]),
            "epochs repeated": sum(cost.repeated for cost in costs[what]),
            "at most": max((cost.repeated for cost in costs[what]), default=0),
            "noticed after s": round(max((cost.noticed for cost in costs[what]), default=0.0), 1),
            "after lease s": round(max((cost.overdue for cost in costs[what]), default=0.0), 1),
        }
        for what, times in sorted(Counter(each.what for each in findings.failures).items())
    ]


def _print(findings: Findings, seconds: float) -> None:
    rows = _table(findings)
    names = list(rows[0]) if rows else []
    lines: Sequence[Sequence[str]] = [names, *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    for line in lines:
        print("  ".join(cell.ljust(width) if not column else cell.rjust(width)
                        for column, (cell, width) in enumerate(zip(line, widths, strict=True))))  # fmt: skip
    print(
        f"{len(findings.failures)} failures, {findings.projects} projects, {findings.commands} commands, "
        f"{seconds:.0f} s; {len(findings.violations)} violations"
    )
