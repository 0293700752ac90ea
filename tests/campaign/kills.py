"""Random kills of single runs, grids and searches: nothing may be lost, broken or left open."""

import itertools
import json
import random
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.campaign.inputs import empty_database
from tests.campaign.scenarios import SCENARIOS, Findings, Scenario
from tests.conftest import CommandLine, copy_database
from tests.warm import WarmServer

#: At most so many kills of one project before it must come to its end and is looked at.
_EACH = 6


def run_kills(count: int = 200, seed: int = 0, only: str = "", jobs: int = 2, output: Path | None = None) -> int:
    """Kill so many times in all, spread over the scenarios, and print what was found; 1 if anything was at fault."""
    chosen = [scenario for scenario in SCENARIOS if only in scenario.name]
    findings = Findings()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "empty").mkdir()
        database = empty_database(folder / "empty")
        numbers = itertools.count()
        lanes = [
            threading.Thread(target=_lane, args=(count, numbers, chosen, seed, folder, database, findings), daemon=True)
            for _ in range(jobs)
        ]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
    kills = sum(findings.kills.values())
    print(f"{kills} kills, {findings.commands} commands, {time.perf_counter() - began:.0f} s")
    for what, times in sorted(findings.kills.items()):
        print(f"  {times:4d} {what}")
    print(f"{sum(findings.completed.values())} projects came to their end; {len(findings.faults)} faults")
    if output is not None:
        found = {"kills": findings.kills, "projects": findings.completed, "faults": findings.faults}
        output.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if findings.faults or kills < count else 0


def _lane(
    count: int,
    numbers: Iterator[int],
    chosen: Sequence[type[Scenario]],
    seed: int,
    folder: Path,
    database: Path,
    findings: Findings,
) -> None:
    """One project after the other until there were enough kills.

    Commands are forked from a process that has imported what they need.
    """
    server = WarmServer(CommandLine(folder).environment())
    try:
        while (left := count - sum(findings.kills.values())) > 0:
            number = next(numbers)
            scenario = chosen[number % len(chosen)]
            project = folder / f"project-{number}"
            project.mkdir()
            copy_database(database, project / "mlruns")
            rng = random.Random(1000 * seed + number)
            try:
                scenario(CommandLine(project, server), findings, rng).run(min(_EACH, left))
            except Exception as error:
                findings.faults.append(f"{scenario.name}: {type(error).__name__}: {error}")
                print(f"FAULT {findings.faults[-1]}", flush=True)
            print(f"{sum(findings.kills.values())} kills: {scenario.name} in project {number} done", flush=True)
    finally:
        server.close()
