"""What a trial of a search costs as its study grows: `python -m tests.benchmarks scale [PART ...]`.

  ask      seconds of a worker to ask for a trial, and to find that its configuration is new
  tell     to store its attributes, 20 epochs and its result
  suggest  of TPE to draw its 13 values
  display  to print a line of it and to draw the table
  report   the final figures, the table of trials and the description of the best
  open     a worker opens the study: seconds, and memory in MB
  compose  a job of a grid of as many jobs, composed and checked

The trials are filled in: finished, pruned and rejected ones with the values of `search=scene_cnn`. Each figure is the
median over some trials, in ms of the processor, unless another unit stands beside it. `--storage` chooses `journal`,
`sqlite` (both by default) or the URL of an empty database; `--trials` the sizes.
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
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.benchmarks.figures import Figure, record
from tests.benchmarks.measure import describe_machine, print_table

if TYPE_CHECKING:
    import optuna

PARTS = ("ask", "tell", "suggest", "display", "report", "open", "compose")
SIZES = (10, 100, 1_000, 3_000, 6_000, 10_000)
#: The parts that should take the same time for any number of trials.
_FLAT = ("ask", "tell", "display")
#: Trials over which the median is taken.
REPEATS = 15
EPOCHS = 20
#: The sampler of `hydra/sweeper/sampler=tpe`, and the number of trials that it learns from.
_SAMPLER = {
    "_target_": "optuna.samplers.TPESampler",
    "seed": 0,
    "n_startup_trials": 10,
    **{"multivariate": True, "group": True, "constant_liar": True},
}
HISTORY: int | None = 1000
#: Blocks of the networks, each with three values, beside four values of the training.
BLOCKS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--storage", nargs="+", default=["journal", "sqlite"])
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
    rows = [(f"{storage.partition(':')[0]}: trials", *(_with_unit(part) for part in shown))]
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            where = {"journal": f"{folder}/optuna.log", "sqlite": f"sqlite:///{folder}/optuna.db"}.get(storage, storage)
            name = f"scale-{size}-{os.getpid()}"
            fill(where, name, size)
            found = measure_study(where, name, size, parts, Path(folder))
            rows.append((f"{size:,}", *(found[part] for part in shown)))
            print("  ".join(rows[-1]), file=sys.stderr)
    print_table(rows)
    for column, part in enumerate(shown, start=1):
        if part in _FLAT and len(sizes) > 1:
            first, last = float(rows[1][column]), float(rows[-1][column])
            name = f"{storage.partition(':')[0]}: {part} at {sizes[-1]:,} trials beside {sizes[0]:,}"
            record(Figure(name, last / first if first else float("nan"), "×", "smaller"))
    if "suggest" in parts:
        last = float(rows[-1][1 + shown.index("suggest")])
        record(Figure(f"{storage.partition(':')[0]}: suggest at {sizes[-1]:,} trials", last, "ms", "smaller", aim=60.0))


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

    config = make_search_config(where, name, size + 100)
    study, _ = load_study(config)
    history, tally, table = History(None), Tally(), ProgressTable(study, config)
    rng = random.Random(0)
    spent: dict[str, list[float]] = {part: [] for part in ("ask", "tell", "suggest", "display")}

    def timed(part: str, call: Callable[[], Any]) -> Any:
        began = time.process_time()
        result = call()
        spent[part].append(time.process_time() - began)
        return result

    for repeat in range(REPEATS + 1):
        trial = timed("ask", lambda: records.ask(study, size + 100, tally))
        overrides = timed("suggest", lambda given=trial: suggest(given))
        began = time.process_time()
        try:
            history.count(study.get_trials(deepcopy=False))
            history.admit(study, trial, overrides)
        except Repeated as repeated:
            raise SystemExit("the sampler has repeated itself") from repeated
        spent["ask"][-1] += time.process_time() - began
        timed("tell", lambda given=trial: finish(study, given, rng))
        with _silence():
            timed("display", lambda: (table.update(), table._draw()))
        if repeat == 0:  # the first one opens the study
            for values in spent.values():
                values.clear()
            gc.collect()
            gc.freeze()  # as a worker does after a trial
    return spent


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
    before, began = process.memory_info().rss, time.process_time()
    study, _ = load_study(config)
    trials = study.get_trials(deepcopy=False)
    history, tally = History(None), Tally("maximize")
    history.count(trials)
    tally.update(trials)
    print(time.process_time() - began, (process.memory_info().rss - before) / 2**20)


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


def distributions() -> "dict[str, optuna.distributions.BaseDistribution]":
    """The values of a trial."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    own: dict[str, Any] = {
        "optimizer.lr": FloatDistribution(1e-4, 1e-2, log=True),
        "training.batch_size": IntDistribution(16, 128),
        "model.dropout": FloatDistribution(0.0, 0.5),
        "optimizer": CategoricalDistribution(("adam", "adamw", "sgd")),
    }
    for block in range(BLOCKS):
        own[f"model.blocks.{block}.filters"] = IntDistribution(8, 64, step=8)
        own[f"model.blocks.{block}.kernel"] = CategoricalDistribution(("[3,3]", "[5,5]", "[7,7]"))
        own[f"model.blocks.{block}.pool"] = CategoricalDistribution(("[2,2]", "[2,5]", "[4,4]"))
    return own


def suggest(trial: Any) -> list[str]:
    """Draw the values of a trial, and return its overrides."""
    from dcase_sweep.sweep.optuna.space import Parameter

    for name, distribution in distributions().items():
        Parameter(name, distribution).suggest(trial)
    return make_overrides(trial.params)


def make_overrides(params: dict[str, Any]) -> list[str]:
    blocks = [
        "{"
        + ",".join(f"{part}:{params[f'model.blocks.{block}.{part}']}" for part in ("filters", "kernel", "pool"))
        + "}"
        for block in range(BLOCKS)
    ]
    own = [f"{key}={value}" for key, value in params.items() if not key.startswith("model.blocks")]
    return [*own, f"model.blocks=[{','.join(blocks)}]"]


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


def fill(where: str, name: str, size: int) -> None:
    """Create a study with trials as searches leave them: three of four finished, the others pruned or rejected."""
    import optuna

    from dcase_sweep.sweep.optuna import study as records

    storage = records.open_storage(where)
    optuna.create_study(storage=storage, study_name=f"{name}-small", direction="maximize")
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    # A signature as large as that of a search.
    study.set_user_attr(records.SIGNATURE, {"configuration": dict.fromkeys(map("model.key_{}".format, range(150)), 1)})
    if "://" not in where:
        study.add_trials(make_trials(size))
        return
    insert(getattr(storage, "_backend", getattr(storage, "cached", None)), study._study_id, make_trials(size))


def insert(storage: Any, study_id: int, trials: "Sequence[optuna.trial.FrozenTrial]") -> None:
    """Add trials to a database in one transaction; Optuna takes one for each of a trial's forty values."""
    import json

    from optuna.distributions import distribution_to_json
    from optuna.storages._rdb import models
    from sqlalchemy import insert as into
    from sqlalchemy.orm import Session

    storage = getattr(storage, "_backend", storage)
    rows: dict[Any, list[dict[str, Any]]] = {
        kind: []
        for kind in (
            *(models.TrialModel, models.TrialValueModel, models.TrialParamModel),
            *(models.TrialUserAttributeModel, models.TrialIntermediateValueModel),
        )
    }
    described: dict[str, str] = {}
    with Session(storage.engine) as session:
        first = (session.query(models.TrialModel.trial_id).order_by(models.TrialModel.trial_id.desc()).first() or [0])[
            0
        ]
        for number, trial in enumerate(trials):
            of_trial = {"trial_id": first + number + 1}
            times = {"datetime_start": trial.datetime_start, "datetime_complete": trial.datetime_complete}
            rows[models.TrialModel].append(
                {**of_trial, "number": number, "study_id": study_id, "state": trial.state, **times}
            )
            if trial.value is not None:
                number_of_value = {"objective": 0, "value": trial.value}
                kind = {"value_type": models.TrialValueModel.TrialValueType.FINITE}
                rows[models.TrialValueModel].append({**of_trial, **number_of_value, **kind})
            for name, value in trial.params.items():
                own = trial.distributions[name]
                text = described.setdefault(name, distribution_to_json(own))
                parameter = {"param_name": name, "param_value": own.to_internal_repr(value), "distribution_json": text}
                rows[models.TrialParamModel].append({**of_trial, **parameter})
            for key, attribute in trial.user_attrs.items():
                rows[models.TrialUserAttributeModel].append(
                    {**of_trial, "key": key, "value_json": json.dumps(attribute)}
                )
            finite = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
            for step, value in trial.intermediate_values.items():
                rows[models.TrialIntermediateValueModel].append(
                    {**of_trial, "step": step, "intermediate_value": value, "intermediate_value_type": finite}
                )
        for kind, values in rows.items():
            if values:
                session.execute(into(kind), values)
        session.commit()


def make_trials(size: int) -> "list[optuna.trial.FrozenTrial]":
    import optuna
    from optuna.trial import TrialState

    from dcase_sweep.sweep.optuna import study as records

    rng = random.Random(1)
    space = distributions()
    sampler = optuna.samplers.RandomSampler(seed=1)
    blank: Any = None
    trials = []
    began = datetime(2026, 1, 1)
    for number in range(size):
        params = {key: sampler.sample_independent(blank, blank, key, each) for key, each in space.items()}
        what = rng.choices(["finished", "pruned", "rejected"], [0.75, 0.15, 0.1])[0]
        attributes: dict[str, Any] = {
            records.OWNER: "host:12345:678901",
            records.OVERRIDES: make_overrides(params),
            records.THREADS: 1,
        }
        epochs = 0 if what == "rejected" else EPOCHS if what == "finished" else rng.randrange(1, EPOCHS)
        if what == "rejected":
            attributes[records.REJECTED] = "complexity/size_kib_16bit 412 > 128"
        else:
            attributes |= {records.RUN: f"{number:032x}", records.FOLDER: f"/data/multirun/12-00-00/{number}"}
        if what == "finished":
            attributes |= {records.SECONDS: 60.0, records.WORK: 59.0}
            attributes[records.METRICS] = dict.fromkeys(map("test/metric_{}".format, range(20)), rng.random())
        trials.append(
            optuna.trial.create_trial(
                state=TrialState.COMPLETE if what == "finished" else TrialState.PRUNED,
                value=rng.random() if what == "finished" else None,
                params=params,
                distributions=space,
                user_attrs=attributes,
                intermediate_values={step: rng.random() for step in range(epochs)},
            )
        )
        trials[-1].datetime_start = began + timedelta(seconds=number)
        trials[-1].datetime_complete = began + timedelta(seconds=number + 1)
    return trials


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
