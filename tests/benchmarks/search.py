"""What a search costs beside its trainings: `python -m tests.benchmarks.search [overhead] [idle] [pruning]`.

  overhead  a real search of the scene classifier, an epoch a trial: seconds a trial that are neither training nor
            evaluation: asking, composing, checking, MLflow, telling
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
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from tests.benchmarks.figures import Figure, record
from tests.benchmarks.measure import describe_machine, make_parser, print_table

#: Seconds of the sleeping trials: most are short, some are eight times as long, as with pruning.
DURATIONS = tuple(
    float(value) for value in np.random.default_rng(0).choice([0.5, 1.0, 4.0], size=24, p=[0.5, 0.3, 0.2])
)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("what", nargs="*", choices=["overhead", "idle", "pruning", []], help="default: all")
    parser.add_argument("--trials", type=int, default=20, help="of each search of `pruning` (default: 20)")
    parser.add_argument("--epochs", type=int, default=20, help="of each trial of `pruning` (default: 20)")
    options = parser.parse_args()
    data = ["data=tau2020", f"data.root={options.root.resolve()}"] if options.root else ["data=demo"]
    wanted = options.what or ["overhead", "idle", "pruning"]
    print(describe_machine())
    if "idle" in wanted:
        measure_idle()
    if "overhead" in wanted:
        measure_overhead(data)
    if "pruning" in wanted:
        measure_pruning(data, options.trials, options.epochs)


def _search(arguments: Sequence[str], folder: Path) -> "list[object]":
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
    study = optuna.load_study(study_name="s", storage=open_storage(str(folder / "mlruns" / "optuna.log")))
    return list(study.get_trials())


def measure_overhead(data: Sequence[str]) -> None:
    """From the start of the first trial that trains to the end of the last, less what they trained and predicted."""
    from dcase_sweep.sweep.optuna import study as records

    with tempfile.TemporaryDirectory() as folder:
        trials = _search([*data, "training.epochs=1", "hydra.sweeper.n_trials=8", "hardware.threads=1"], Path(folder))
        ran = [trial for trial in trials if records.kind(trial) == "finished"]  # type: ignore[arg-type]
        rejected = [trial for trial in trials if records.kind(trial) == "rejected"]  # type: ignore[arg-type]
        own = []
        for previous, trial in itertools.pairwise(ran):  # the first one pays for imports
            wall = (_at(trial.datetime_complete) - _at(previous.datetime_complete)).total_seconds()  # type: ignore[attr-defined]
            between = [r for r in rejected if previous.number < r.number < trial.number]  # type: ignore[attr-defined]
            spent = sum((_at(r.datetime_complete) - _at(r.datetime_start)).total_seconds() for r in between)  # type: ignore[attr-defined]
            own.append(wall - spent - trial.user_attrs[records.WORK])  # type: ignore[attr-defined]
        each = [(_at(r.datetime_complete) - _at(r.datetime_start)).total_seconds() for r in rejected]  # type: ignore[attr-defined]
    rows = [("search: its own cost", "median s", "largest s")]
    rows.append(("a trial, beside training and evaluation", f"{np.median(own):.2f}", f"{max(own):.2f}"))
    if each:
        rows.append((f"a rejected trial ({len(each)})", f"{np.median(each):.3f}", f"{max(each):.3f}"))
        record(Figure("a rejected trial", float(np.median(each)), "s", "smaller", 0.02))
    record(Figure("a trial, besides training and evaluation", float(np.median(own)), "s", "smaller", 0.15))
    print_table(rows)
    print("aimed at: at most 1 s a trial")


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
        kinds = [records.kind(trial) for trial in trials]  # type: ignore[arg-type]
        ran = [trial for trial, kind in zip(trials, kinds, strict=True) if kind in ("finished", "pruned")]
        seconds = sum(trial.user_attrs[records.SECONDS] for trial in ran)  # type: ignore[attr-defined]
        trained = sum(len(trial.intermediate_values) for trial in ran)  # type: ignore[attr-defined]
        best = max(trial.value for trial in trials if records.kind(trial) == "finished")  # type: ignore
        most = most or (trained, seconds)
        record(Figure(f"training time with pruner={pruner}", 100 * seconds / most[1], "%", "smaller"))
        figures = (str(trained), f"{trained / most[0]:.2f}", f"{seconds:.0f}", f"{seconds / most[1]:.2f}")
        rows.append((pruner, str(len(ran)), str(kinds.count("pruned")), *figures, f"{100 * best:.1f}"))
    print_table(rows)
    print("aimed at: the unpruned best, within noise, in at most half the training time")


if __name__ == "__main__":
    main()
