"""What a trial of a search costs as its study grows: `python -m tests.benchmarks scale [PART ...]`.

  ask      seconds of a worker to ask for a trial, and to find that its configuration is new
  tell     to store its attributes, 20 epochs and its result
  suggest  of TPE to draw its 13 values
  display  to print a line of it and to draw the table
  report   the final figures, the table of trials and the description of the best
  open     a worker opens the study: seconds, and memory in MB
  compose  a job of a grid of as many jobs, composed and checked

The trials are filled in: finished, pruned and rejected ones with the values of `search=scene_cnn`. Each figure is the
median over some trials, in ms of the processor, unless another unit stands beside it. For a database server it is the
time of the clock, because the server works too. `--storage` chooses `journal`, `sqlite`, `postgresql` or `mariadb`,
whose servers are started, or the URL of an empty database; `--trials` the sizes.
"""

import argparse
import gc
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.benchmarks.figures import Figure, record
from tests.benchmarks.measure import describe_machine, print_table
from tests.benchmarks.studies import EPOCHS, KINDS, distributions, fill, make_overrides, open_place

if TYPE_CHECKING:
    import optuna

PARTS = ("ask", "tell", "suggest", "display", "report", "open", "compose")
SIZES = (10, 100, 1_000, 3_000, 6_000, 10_000)
#: The parts that should take the same time for any number of trials.
_FLAT = ("ask", "tell", "display")
#: What is aimed at for 10,000 trials, by part: its unit, and the largest value.
_AIMS = {"suggest": ("ms", 60.0), "open s": ("s", 2.0), "open MB": ("MB", 100.0), "report": ("s", 10.0)}
#: Trials over which the median is taken.
REPEATS = 15
#: The sampler of `hydra/sweeper/sampler=tpe`, and the number of trials that it learns from.
_SAMPLER = {
    "_target_": "optuna.samplers.TPESampler",
    "seed": 0,
    "n_startup_trials": 10,
    **{"multivariate": True, "group": True, "constant_liar": True},
}
HISTORY: int | None = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument(
        "--storage",
        nargs="+",
        default=["journal", "sqlite", "postgresql"],
        help=f"of {', '.join(KINDS)}, or a URL (default: journal sqlite postgresql)",
    )
    parser.add_argument("--trials", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--history", type=int, default=1000, help="hydra.sweeper.sampler_history; 0 = all trials")
    options = parser.parse_args()
    global HISTORY
    HISTORY = options.history or None
    parts = options.parts or list(PARTS)
    print(describe_machine())
    for storage in options.storage:
        if set(parts) - {"compose"}:
            measure_studies(storage, options.trials, [part for part in parts if part != "compose"])
    if "compose" in parts:
        measure_grid(options.trials)


def measure_studies(storage: str, sizes: Sequence[int], parts: Sequence[str]) -> None:
    """Print a row for each size of a study."""
    from dcase_sweep.sweep.optuna.settings import silence_optuna

    silence_optuna()
    shown = [*parts]
    if "open" in parts:
        shown[shown.index("open") : shown.index("open") + 1] = ["open s", "open MB"]
    kind = storage.partition(":")[0].partition("+")[0]
    rows = [(f"{kind}: trials", *(_with_unit(part) for part in shown))]
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder, open_place(storage, Path(folder)) as where:
            if where is None:
                return
            name = f"scale-{size}-{os.getpid()}"
            fill(where, name, size)
            found = measure_study(where, name, size, parts, Path(folder))
            rows.append((f"{size:,}", *(found[part] for part in shown)))
            print("  ".join(rows[-1]), file=sys.stderr)
    print_table(rows)
    _record(kind, sizes, {part: [float(row[column]) for row in rows[1:]] for column, part in enumerate(shown, 1)})


def _record(kind: str, sizes: Sequence[int], found: dict[str, list[float]]) -> None:
    """Record how parts grow from the smallest to the largest study, and what is aimed at for the largest one."""
    largest = f"at {sizes[-1]:,} trials"
    for part in _FLAT:
        if part in found and len(sizes) > 1:
            ratio = found[part][-1] / found[part][0] if found[part][0] else float("nan")
            record(Figure(f"{kind}: {part} {largest} beside {sizes[0]:,}", ratio, "×", "smaller"))
    for part, (unit, aim) in _AIMS.items():
        if part in found:
            what = part.partition(" ")[0]
            record(Figure(f"{kind}: {what} {largest}", found[part][-1], unit, "smaller", aim=aim))


def _with_unit(part: str) -> str:
    return part if " " in part else f"{part} {'s' if part == 'report' else 'ms'}"


def measure_study(where: str, name: str, size: int, parts: Sequence[str], folder: Path) -> dict[str, str]:
    """Measure the parts on one study. The trials that are asked for in between are ended again."""
    found: dict[str, str] = {}
    if "open" in parts:
        found["open s"], found["open MB"] = measure_opening(where, name)
    spent = measure_trials(where, name, size)
    found |= {part: f"{1e3 * statistics.median(values):.1f}" for part, values in spent.items()}
    if "report" in parts:
        found["report"] = f"{measure_report(where, name, folder):.1f}"
    return found


def measure_trials(where: str, name: str, size: int) -> dict[str, list[float]]:
    """Run trials as a worker does, without their jobs, and return the seconds of each step."""
    from dcase_sweep.sweep.optuna import study as records
    from dcase_sweep.sweep.optuna.history import History, Repeated
    from dcase_sweep.sweep.optuna.progress_table import ProgressTable
    from dcase_sweep.sweep.optuna.settings import load_study
    from dcase_sweep.sweep.optuna.tally import Tally
    from dcase_sweep.sweep.optuna.together import together

    config = make_search_config(where, name, size + 100)
    study, _ = load_study(config)
    history, tally, table = History(None), Tally(), ProgressTable(study, config)
    rng = random.Random(0)
    spent: dict[str, list[float]] = {part: [] for part in ("ask", "tell", "suggest", "display")}

    clock = _choose_clock(where)

    def suggest_together(trial: Any) -> list[str]:  # as a worker does
        with together(study._storage):
            return suggest(trial)

    def timed(part: str, call: Callable[[], Any]) -> Any:
        began = clock()
        result = call()
        spent[part].append(clock() - began)
        return result

    for repeat in range(REPEATS + 1):
        trial = timed("ask", lambda: records.ask(study, size + 100, tally))
        overrides = timed("suggest", lambda given=trial: suggest_together(given))
        began = clock()
        try:
            history.count(study.get_trials(deepcopy=False))
            history.admit(study, trial, overrides)
        except Repeated as repeated:
            raise SystemExit("the sampler has repeated itself") from repeated
        spent["ask"][-1] += clock() - began
        timed("tell", lambda given=trial: finish(study, given, rng))
        with _silence():
            timed("display", lambda: (table.update(), table._draw()))
        if repeat == 0:  # the first one opens the study
            for values in spent.values():
                values.clear()
            gc.collect()
            gc.freeze()  # as a worker does after a trial
    return spent


def _choose_clock(where: str) -> Callable[[], float]:
    """The clock for a server, whose work is not that of this process; the processor's time for a file."""
    is_server = "://" in where and not where.startswith("sqlite")
    return time.perf_counter if is_server else time.process_time


class _silence:
    """Let nothing be printed."""

    def __enter__(self) -> None:
        import logging

        logging.disable(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        import logging

        logging.disable(logging.NOTSET)


def measure_report(where: str, name: str, folder: Path) -> float:
    """Return the seconds of the figures, the table and the description of the best trial."""
    import optuna

    from dcase_sweep.sweep.optuna import study as records
    from dcase_sweep.sweep.optuna.figures import draw
    from dcase_sweep.sweep.optuna.report import results, trials_csv

    study = optuna.load_study(study_name=name, storage=records.open_storage(where))
    study.get_trials(deepcopy=False)
    began = time.process_time()
    draw(study, folder / "figures", ["best/validation/accuracy"])
    trials_csv(study, ["best/validation/accuracy"])
    results(study, ["best/validation/accuracy"])
    return time.process_time() - began


def measure_opening(where: str, name: str) -> tuple[str, str]:
    """Return the seconds and the MB that a worker needs to open a study, in a process of its own."""
    text = f"from tests.benchmarks.scale import open_study; open_study({where!r}, {name!r})"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    seconds, size = done.stdout.split()
    return f"{float(seconds):.2f}", f"{float(size):.0f}"


def open_study(where: str, name: str) -> None:
    """Open a study as a worker does, and print the seconds and the MB that it took."""
    import psutil

    from dcase_sweep.sweep.optuna.history import History
    from dcase_sweep.sweep.optuna.settings import load_study
    from dcase_sweep.sweep.optuna.tally import Tally

    process, config = psutil.Process(), make_search_config(where, name, 100_000)
    load_study(make_search_config(where, f"{name}-small", 10))  # imports
    clock = _choose_clock(where)
    before, began = process.memory_info().rss, clock()
    study, _ = load_study(config)
    trials = study.get_trials(deepcopy=False)
    history, tally = History(None), Tally("maximize")
    history.count(trials)
    tally.update(trials)
    print(clock() - began, (process.memory_info().rss - before) / 2**20)


def make_search_config(where: str, name: str, n_trials: int) -> Any:
    """The settings of a search that a worker and the display read."""
    from dcase_sweep.sweep.optuna.study import Objective

    return SimpleNamespace(
        storage=where,
        study=name,
        n_trials=n_trials,
        objective=Objective(("best/validation/accuracy",), ("maximize",)),
        sampler=_SAMPLER,
        sampler_history=HISTORY,
        pruner={"_target_": "optuna.pruners.MedianPruner", "n_warmup_steps": 5},
    )


def suggest(trial: Any) -> list[str]:
    """Draw the values of a trial, and return its overrides."""
    from dcase_sweep.sweep.optuna.space import Parameter

    for name, distribution in distributions().items():
        Parameter(name, distribution).suggest(trial)
    return make_overrides(trial.params)


def finish(study: "optuna.Study", trial: Any, rng: random.Random) -> None:
    """Report 20 epochs, the attributes and the result of a trial as a worker does."""
    from dcase_sweep.sweep.optuna import study as records
    from dcase_sweep.sweep.optuna.reporter import TrialReporter

    reporter = TrialReporter(trial)
    for epoch in range(EPOCHS):
        reporter.keep(rng.random(), epoch)
    reporter.set_job_id("0" * 32)
    trial.set_user_attr(records.FOLDER, "/data/multirun/2026-01-01/12-00-00/1")
    trial.set_user_attr(records.METRICS, dict.fromkeys(map("test/metric_{}".format, range(20)), 0.5))
    study.tell(trial, rng.random())


def measure_grid(sizes: Sequence[int]) -> None:
    """Print what a job of a grid takes until it is checked, by Hydra's own composition and by ours."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path
    from hydra.types import HydraContext, RunMode

    from dcase_sweep.config.folders import conf_folder
    from dcase_sweep.config.repeated import RepeatedCheck
    from dcase_sweep.sweep.composer import Composer

    loader = ConfigLoaderImpl(create_config_search_path(str(conf_folder())))
    config = loader.load_configuration("config", [], RunMode.MULTIRUN)
    callbacks: Any = None
    rows = [("a grid: jobs", "by Hydra ms", "ours ms", "check ms", "all jobs s")]
    for size in sizes:
        composer, checks = Composer(HydraContext(loader, callbacks), config), RepeatedCheck()
        jobs = [["data=demo", f"model={('cnn4', 'cnn5')[job % 2]}", f"seed={job}"] for job in range(size)]
        spent: dict[str, list[float]] = {"Hydra": [], "ours": [], "check": []}
        began = time.process_time()
        for job, overrides in enumerate(jobs):
            start = time.process_time()
            composed = composer.compose(overrides)
            between = time.process_time()
            checks.check(composed)
            spent["ours"].append(between - start)
            spent["check"].append(time.process_time() - between)
            if job >= 200:  # each takes the same
                break
        each = (time.process_time() - began) / min(size, 201)
        for overrides in jobs[:10]:
            start = time.process_time()
            loader.load_sweep_config(config, overrides)
            spent["Hydra"].append(time.process_time() - start)
        medians = [f"{1e3 * statistics.median(values):.1f}" for values in spent.values()]
        rows.append((f"{size:,}", *medians, f"{each * size:.0f}"))
    print_table(rows)


if __name__ == "__main__":
    main()
