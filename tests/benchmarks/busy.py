"""Training on a machine that another process keeps busy: `python -m tests.benchmarks.busy`.

`baseline_cnn` on random features, with and without ``GOMP_SPINCOUNT=1000``, which every command sets: threads of OpenMP
that wait for others give up the processor soon. Each training is a process of its own, alone and beside a process that
computes on one core. The sides take turns; medians are printed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.benchmarks.figures import Figure, record
from tests.benchmarks.measure import describe_machine, print_table, ratio

#: Clips that are trained on and validated.
SIZES = (208, 16)
#: Trains in a process, and writes the seconds of the epochs after the first.
_TRAIN = """
import tempfile
from pathlib import Path
from tests.benchmarks import gpu_data
from tests.benchmarks.fused_trainings import store, time_epochs, run_alone
with tempfile.TemporaryDirectory() as folder:
    features = store(gpu_data.random_features(({clips}, 40, 500), "cpu"), Path(folder))
    def make(seed):
        return gpu_data.scene_learner(features, {sizes}, "hardware=cpu", "training.epochs={epochs}", f"seed={{seed}}")
    print(time_epochs([Path(folder) / "run"], make, run_alone))
"""
_SPIN = "while True: pass"


def main() -> None:
    """Measure the four cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4, help="of each training, the first not counted (default: 4)")
    parser.add_argument("--rounds", type=int, default=3, help="of each case (default: 3)")
    options = parser.parse_args()
    print(describe_machine(), flush=True)
    found: dict[tuple[bool, bool], list[float]] = {}
    for _ in range(options.rounds):
        for is_busy in (False, True):
            for has_limit in (True, False):
                with _other_process(is_busy):
                    found.setdefault((is_busy, has_limit), []).append(_train(options.epochs, has_limit=has_limit))
    rows: list[tuple[str, ...]] = [("", "s an epoch with GOMP_SPINCOUNT=1000", "without")]
    for is_busy, name in ((False, "alone"), (True, "beside a busy process")):
        cells = [f"{statistics.median(found[is_busy, has_limit]):.2f}" for has_limit in (True, False)]
        rows.append((name, *cells))
        record(Figure(f"{name}: without, compared with", ratio(found[is_busy, False], found[is_busy, True]), "×"))
    print_table(rows)


def _train(epochs: int, *, has_limit: bool) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    if has_limit:
        environment["GOMP_SPINCOUNT"] = "1000"
    code = _TRAIN.format(clips=sum(SIZES), sizes=SIZES, epochs=epochs)
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


@contextmanager
def _other_process(is_wanted: bool) -> Iterator[None]:
    """Context in which another process computes on one core, if it is wanted."""
    if not is_wanted:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", _SPIN])
    try:
        time.sleep(0.2)
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
