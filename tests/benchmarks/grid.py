"""How long a large grid is checked before its first job starts: `python -m tests.benchmarks.grid`.

Runs ``python -m dcase_sweep -m seed=range(N)`` up to the first line of its first job, in a temporary folder, and then
kills it. All jobs are composed and checked before the first one starts.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.figures import Figure, record
from tests.benchmarks.measure import describe_machine, print_table

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=[10, 5000], help="sizes of the grid (default: 10 5000)")
    options = parser.parse_args()
    print(describe_machine(), flush=True)
    rows: list[tuple[str, ...]] = [("jobs", "s to the first job")]
    for jobs in options.jobs:
        seconds = measure(jobs)
        record(Figure(f"{jobs} jobs: command to the first job", seconds, "s", "smaller"))
        rows.append((f"{jobs:,}", f"{seconds:.1f}"))
    print_table(rows)


def measure(jobs: int) -> float:
    """Seconds from the command to the first line of its first job."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "DCASE_SWEEP_CACHE": str(Path(folder) / "cache"),
        }
        words = ["-m", "dcase_sweep", "-m", f"seed=range({jobs})", "data=demo", "training.epochs=1", "logger=none"]
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        said = []
        try:
            for line in process.stdout:
                said.append(line)
                if line.startswith("dcase "):
                    return time.perf_counter() - began
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    raise SystemExit(f"no job has begun\n{''.join(said[-20:])}")


if __name__ == "__main__":
    main()
