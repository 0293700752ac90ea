"""Every bad input of the corpus, each in a process of its own."""

import sqlite3
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from tests.campaign.cases import CaseResult, as_json, load_cases, run_case


def empty_database(folder: Path) -> Path:
    """A store of runs with its schema and nothing in it."""
    from dcase_sweep import tracking
    from dcase_sweep.config import Tracking

    tracking.open_store(Tracking(uri=f"sqlite:///{folder / 'mlflow.db'}", folder=str(folder), experiment="none"))
    # What the open store has not yet moved from its log into the file is in the copy, too.
    with closing(sqlite3.connect(folder / "mlflow.db")) as source, closing(sqlite3.connect(folder / "copy.db")) as copy:
        source.backup(copy)
    return folder / "copy.db"


def run_inputs(only: str = "", jobs: int = 2, output: Path | None = None) -> int:
    """Run the cases whose ``area/name`` holds the text, print each fault and the count; 1 if there is any fault.

    A case that took too long beside others is tried once more alone, since the clock of a busy machine says little.
    """
    chosen = [(area, case) for area, cases in load_cases().items() for case in cases if only in f"{area}/{case.name}"]
    with tempfile.TemporaryDirectory() as name:
        database = empty_database(Path(name))
        with ThreadPoolExecutor(jobs) as pool:
            results = list(pool.map(lambda pair: _told(run_case(*pair, database)), chosen))
        results = [
            _told(run_case(*pair, database)) if result.fault and result.fault.startswith("took ") else result
            for pair, result in zip(chosen, results, strict=True)
        ]
    if output is not None:
        output.write_text(as_json(results))
    faults = [result for result in results if result.fault]
    slowest = max(results, key=lambda result: result.seconds, default=None)
    print(f"{len(results) - len(faults)} of {len(results)} bad inputs answered in one clear line")
    if slowest is not None:
        print(f"slowest: {slowest.area}/{slowest.name}, {slowest.seconds:.1f} s")
    return 1 if faults or not results else 0


def _told(result: CaseResult) -> CaseResult:
    if result.fault:
        tail = "\n".join(f"    {line[:200]}" for line in result.output.splitlines()[-12:])
        print(f"FAULT {result.area}/{result.name}: {result.fault}\n{tail}", flush=True)
    return result
