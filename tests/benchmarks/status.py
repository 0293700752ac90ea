"""The time of ``python -m dcase_sweep status``: `python -m tests.benchmarks.status [--trials N] [--storage URL ...]`.

A study of 1,000 trials, with eight parameters, twenty epochs and the attributes of a real search each, in a journal, in
SQLite and in PostgreSQL, if it is installed; --storage names others, or servers in which the study is created and
deleted. Both times are of whole
processes: the command, and one that only imports what the command imports.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.figures import Figure, record
from tests.benchmarks.measure import describe_machine, print_table
from tests.benchmarks.studies import KINDS, add_trials, open_place

if TYPE_CHECKING:
    import optuna

NAME = "benchmark-of-status"
_IMPORTS = "import dcase_sweep.__main__, dcase_sweep.cli.status, dcase_sweep.sweep.optuna.overview, {}"
_ROUNDS = 5


def main() -> None:
    import argparse

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000, help="of the study (default: 1000)")
    parser.add_argument(
        "--storage",
        nargs="+",
        default=["journal", "sqlite", "postgresql"],
        help=f"of {', '.join(KINDS)}, or URLs (default: journal sqlite postgresql)",
    )
    options = parser.parse_args()
    print(describe_machine())
    rows = [["storage", "status, s", "imports alone, s", "difference, s", "status of all, s"]]
    for storage in options.storage:
        with tempfile.TemporaryDirectory() as folder, open_place(storage, Path(folder)) as where:
            if where is not None:
                rows.append(_measure(where, options.trials))
    print_table(rows)


def _measure(where: str, trials: int) -> list[str]:
    from dcase_sweep.utils.secrets import mask_url

    study = _create(where, trials)
    server = "sqlalchemy" if "://" in where and not where.startswith("sqlite") else "json"
    one = _time([sys.executable, "-m", "dcase_sweep", "status", NAME, f"storage={where}"])
    every = _time([sys.executable, "-m", "dcase_sweep", "status", f"storage={where}"])
    imports = _time([sys.executable, "-c", _IMPORTS.format(f"{server}, dcase_sweep.sweep.optuna.stored")])
    if server == "sqlalchemy":
        import optuna

        optuna.delete_study(study_name=NAME, storage=study._storage)
    kind = mask_url(where).partition("://")[0] if "://" in where else "journal"
    kind = kind.partition("+")[0]
    record(Figure(f"status of {trials:,} trials, {kind}", one, "s", "smaller", 1.0))
    record(Figure(f"status of {trials:,} trials, {kind}, without imports", one - imports, "s", "smaller"))
    return [kind, f"{one:.2f}", f"{imports:.2f}", f"{one - imports:.2f}", f"{every:.2f}"]


def _time(words: list[str]) -> float:
    """The median of the seconds that a command takes."""
    seconds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True, cwd=Path(__file__).resolve().parents[2])
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def _create(where: str, trials: int) -> "optuna.Study":
    import optuna
    from optuna.distributions import FloatDistribution
    from optuna.trial import TrialState, create_trial

    from dcase_sweep.sweep.optuna import study as records
    from dcase_sweep.utils.processes import this_process

    study = optuna.create_study(study_name=NAME, storage=records.open_storage(where), direction="maximize")
    study.set_user_attr(records.COMMAND, {"n_trials": 2 * trials})
    names = [f"model.blocks.{place}.filters" for place in range(8)]
    attributes = {
        records.OWNER: str(this_process()),
        records.ALIVE: time.time(),
        records.OVERRIDES: [f"{name}=12345.678" for name in names],
        records.FOLDER: "/home/user/project/multirun/2026-01-01/12-00-00-000000/1000",
        records.RUN: "0" * 32,
        records.METRICS: {f"test/metric_{place}": 0.5 for place in range(20)},
        records.SECONDS: 60.0,
    }
    add_trials(
        study,
        [
            create_trial(
                state=TrialState.COMPLETE,
                value=number / trials,
                params=dict.fromkeys(names, 0.5),
                distributions=dict.fromkeys(names, FloatDistribution(0, 1)),
                user_attrs=attributes,
                intermediate_values=dict.fromkeys(range(20), 0.5),
            )
            for number in range(trials)
        ],
    )
    return study


if __name__ == "__main__":
    main()
