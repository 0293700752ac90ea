"""What a search costs beside its trainings: `python -m tests.benchmarks.search [overhead] [idle] [pruning]`.

  overhead  a real search of the scene classifier, an epoch a trial: seconds a trial that are neither training nor
            evaluation: asking, composing, checking, MLflow, telling. `--before` names the number of trials that the
            study has already, or several; `--storage` where it is stored
  idle      two workers, trials that sleep for times of very different lengths: the share of the workers' time in which
            they wait, beside batches of two of the same trials, each waited for as Hydra's Optuna plugin does
  pruning   the same trials, drawn at random from one seed, on the demo recordings without a pruner, with the median
            one, which ends about half of the trials after a quarter of their epochs at the earliest and so cannot
            halve the time, and by successive halving: the best validation accuracy, the epochs and the seconds in all

Without a name all three are measured. `--root` names recordings in TAU's layout for the first and the last; without it
the demo recordings are used.
"""

import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np

from tests.benchmarks.figures import Figure, record
from tests.benchmarks.measure import describe_machine, make_parser, print_table
from tests.benchmarks.studies import add_trials, make_trials

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

#: Seconds of the sleeping trials: most are short, some are eight times as long, as with pruning.
DURATIONS = tuple(
    float(value) for value in np.random.default_rng(0).choice([0.5, 1.0, 4.0], size=24, p=[0.5, 0.3, 0.2])
)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("what", nargs="*", choices=["overhead", "idle", "pruning", []], help="default: all")
    parser.add_argument("--trials", type=int, default=20, help="of each search of `pruning` (default: 20)")
    parser.add_argument("--epochs", type=int, default=20, help="of each trial of `pruning` (default: 20)")
    parser.add_argument("--before", nargs="+", type=int, default=[0], help="trials of the study of `overhead`, earlier")
    parser.add_argument(
        "--storage", nargs="+", choices=["journal", "sqlite"], default=["journal"], help="of `overhead`"
    )
    options = parser.parse_args()
    data = ["data=tau2020", f"data.root={options.root.resolve()}"] if options.root else ["data=demo"]
    wanted = options.what or ["overhead", "idle", "pruning"]
    print(describe_machine())
    if "idle" in wanted:
        measure_idle()
    if "overhead" in wanted:
        measure_overhead(data, options.before, options.storage)
    if "pruning" in wanted:
        measure_pruning(data, options.trials, options.epochs)


def _search(arguments: Sequence[str], folder: Path, storage: str = "journal") -> "list[FrozenTrial]":
    """The trials of a real search in a folder of its own."""
    import optuna

    from dcase_sweep.__main__ import main as command
    from dcase_sweep.sweep.optuna.study import open_storage

    before = Path.cwd()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    try:
        code = command(["search=scene_cnn", "hydra.sweeper.study_name=s", *arguments])
    finally:
        os.chdir(before)
    if code:
        raise SystemExit(f"the search ended with exit code {code}")
    where = folder / "mlruns" / "optuna.log" if storage == "journal" else f"sqlite:///{folder}/mlruns/optuna.db"
    return list(optuna.load_study(study_name="s", storage=open_storage(str(where))).get_trials())


@contextmanager
def _earlier_trials(size: int) -> Iterator[None]:
    """Let a search begin with trials in its study, drawn at random from its space."""
    from dcase_sweep.sweep.optuna import study as records
    from dcase_sweep.sweep.optuna.search import Search

    run = Search.run

    def run_later(search: Search, arguments: Sequence[str]) -> None:
        trials = make_trials(size, search.config.space.suggest)
        add_trials(search.study, trials)
        n_trials = search.config.n_trials + sum(map(records.is_counted, trials))
        run(replace(search, config=replace(search.config, n_trials=n_trials)), arguments)

    with mock.patch.object(Search, "run", run_later) if size else nullcontext():
        yield


def measure_overhead(data: Sequence[str], before: Sequence[int], storages: Sequence[str]) -> None:
    """From the start of the first trial that trains to the end of the last, less what they trained and predicted."""
    rows = [("search: its own cost", "trials before", "median s", "largest s")]
    for storage, size in itertools.product(storages, before):
        own, rejected = _measure_own(data, size, storage)
        shown = "" if storages == ["journal"] else f" ({storage})"
        of = f" after {size:,} trials" if size else ""
        median = float(np.median(own))
        label = f"a trial, besides training and evaluation{shown}"
        rows.append((label, f"{size:,}", f"{median:.3f}", f"{max(own):.3f}"))
        record(Figure(f"{label}{of}", median, "s", "smaller", 0.15))
        if rejected:
            median, label = float(np.median(rejected)), f"a rejected trial{shown}"
            rows.append((f"{label}: {len(rejected)}", f"{size:,}", f"{median:.3f}", f"{max(rejected):.3f}"))
            record(Figure(f"{label}{of}", median, "s", "smaller", 0.02))
    print_table(rows)
    print("aimed at: at most 0.15 s a trial and 0.02 s a rejected one, however many there are")


def _measure_own(data: Sequence[str], before: int, storage: str) -> tuple[list[float], list[float]]:
    """Return the own seconds of trials that ran, and those of rejected ones, without the first, which pays for imports.

    Args:
        data: overrides for the recordings.
        before: the number of trials that the study has already.
        storage: its kind.
    """
    from dcase_sweep.sweep.optuna import study as records

    with tempfile.TemporaryDirectory() as folder, _earlier_trials(before):
        wanted = ["training.epochs=1", "hydra.sweeper.n_trials=8", "hardware.threads=1"]
        if storage == "sqlite":
            wanted.append("hydra.sweeper.storage=sqlite:///mlruns/optuna.db")
        trials = _search([*data, *wanted], Path(folder), storage)[before:]
    ran = [trial for trial in trials if records.kind(trial) == "finished"]
    rejected = [trial for trial in trials[1:] if records.kind(trial) == "rejected"]
    own = []
    for previous, trial in itertools.pairwise(ran):
        wall = (_at(trial.datetime_complete) - _at(previous.datetime_complete)).total_seconds()
        between = [each for each in rejected if previous.number < each.number < trial.number]
        own.append(wall - sum(map(_seconds, between)) - trial.user_attrs[records.WORK])
    return own, [_seconds(each) for each in rejected]


def _seconds(trial: "FrozenTrial") -> float:
    return (_at(trial.datetime_complete) - _at(trial.datetime_start)).total_seconds()


def _at(moment: datetime | None) -> datetime:
    assert moment is not None
    return moment


def _sleep_through(where: str) -> None:
    """A worker's loop over trials that only sleep."""
    import optuna

    from dcase_sweep.sweep.optuna.study import ask, open_storage

    study = optuna.load_study(study_name="s", storage=open_storage(where))
    while (trial := ask(study, len(DURATIONS))) is not None:
        time.sleep(DURATIONS[trial.number % len(DURATIONS)])
        study.tell(trial, 0.0)


class Sleeper:
    """Picklable work for one of our worker processes."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __call__(self, number: int) -> None:
        _sleep_through(self.where)


def measure_idle() -> None:
    """From the first trial's start to the last one's end, how long two workers did not sleep for a trial."""
    import optuna

    from dcase_sweep.sweep.optuna.processes import Processes
    from dcase_sweep.sweep.optuna.study import open_storage

    with tempfile.TemporaryDirectory() as folder:
        where = str(Path(folder) / "optuna.log")
        study = optuna.create_study(study_name="s", storage=open_storage(where))
        processes = Processes(Sleeper(where), 2, Path(folder) / "workers", threads=1)
        while processes.running:
            processes.collect()
            time.sleep(0.05)
        trials = [trial for trial in study.get_trials() if trial.value is not None]
        began = min(_at(trial.datetime_start) for trial in trials)
        ours = (max(_at(trial.datetime_complete) for trial in trials) - began).total_seconds()
    batches = sum(max(DURATIONS[start : start + 2]) for start in range(0, len(DURATIONS), 2))
    asleep = sum(DURATIONS)
    rows = [("24 trials of 0.5 to 4 s, two workers", "s", "idle")]
    rows.append(("a worker asks when it is free", f"{ours:.1f}", f"{100 * (1 - asleep / (2 * ours)):.1f} %"))
    rows.append(("batches of two, each waited for", f"{batches:.1f}", f"{100 * (1 - asleep / (2 * batches)):.1f} %"))
    record(Figure("idle time of two workers", 100 * (1 - asleep / (2 * ours)), "%", "smaller", 5.0))
    print_table(rows)
    print("aimed at: less than 5 % idle")


def measure_pruning(data: Sequence[str], n_trials: int, epochs: int) -> None:
    """Searches that differ in their pruner alone: at random, all three try the same configurations."""
    from dcase_sweep.sweep.optuna import study as records

    rows = [("pruner", "trials", "pruned", "epochs", "share", "s", "share", "best validation %")]
    most: tuple[int, float] | None = None
    for pruner in ("none", "median", "successive_halving"):
        with tempfile.TemporaryDirectory() as folder:
            more = [f"training.epochs={epochs}", f"hydra.sweeper.n_trials={n_trials}", "hardware.threads=1"]
            arguments = [*data, *more]
            chosen = [f"hydra/sweeper/pruner={pruner}", "hydra/sweeper/sampler=random"]
            trials = _search([*arguments, *chosen], Path(folder))
        kinds = [records.kind(trial) for trial in trials]
        ran = [trial for trial, kind in zip(trials, kinds, strict=True) if kind in ("finished", "pruned")]
        seconds = sum(trial.user_attrs[records.SECONDS] for trial in ran)
        trained = sum(len(trial.intermediate_values) for trial in ran)
        best = max(trial.values[0] for trial in trials if records.kind(trial) == "finished")
        most = most or (trained, seconds)
        record(Figure(f"training time with pruner={pruner}", 100 * seconds / most[1], "%", "smaller"))
        figures = (str(trained), f"{trained / most[0]:.2f}", f"{seconds:.0f}", f"{seconds / most[1]:.2f}")
        rows.append((pruner, str(len(ran)), str(kinds.count("pruned")), *figures, f"{100 * best:.1f}"))
    print_table(rows)
    print("aimed at: the unpruned best, within noise, in at most half the training time")


if __name__ == "__main__":
    main()
