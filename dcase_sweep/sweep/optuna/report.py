"""The results of a search: best trials, commands to repeat them, files, figures and the record of the search."""

import csv
import io
import logging
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from omegaconf import DictConfig
from optuna.trial import FrozenTrial

from dcase_sweep.sweep.application import Record
from dcase_sweep.sweep.job import BestTrial
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.progress_table import describe
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.sweep.optuna.seed_jobs import read_seed_jobs
from dcase_sweep.sweep.optuna.seeds import has_seeds, read_seeds, read_spread
from dcase_sweep.sweep.outcomes import format_value
from dcase_sweep.sweep.summary import make_markdown
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

log = logging.getLogger(__name__)


def best_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the best trial, or the Pareto front of several objectives; empty if no trial has finished."""
    trials = study.get_trials(deepcopy=False)
    if len(study.directions) > 1:
        if not any(records.kind(trial) == "finished" for trial in trials):
            return []
        return [
            trial for trial in study.best_trials if records.kind(trial) == "finished" and records.is_feasible(trial)
        ]
    best = records.find_best(trials, study.direction.name.lower())
    return [] if best is None else [best]


def results(study: optuna.Study, metrics: Sequence[str]) -> dict[str, Any]:
    """Return the content of ``optimization_results.yaml``, with the names of Hydra's Optuna plugin."""
    best = best_trials(study)
    found = records.counts(study.get_trials(deepcopy=False))
    notes = records.notes(study.get_trials(deepcopy=False))
    head = {"name": "optuna", "study": study.study_name, "trials": dict(found), "objective": list(metrics)}
    if notes:
        head["note"] = "; ".join(notes)
    if not best:
        return head
    if len(metrics) == 1:
        (winner,) = best
        found_best = {
            "best_trial": winner.number,
            "best_evaluated_params": _values(winner),
            "best_evaluated_value": winner.value,
        }
        if spread := _list_spread(winner, metrics):
            found_best["best_evaluated_deviation"] = spread[0]
        return head | found_best | _describe_seeds(winner)
    return head | {
        "solutions": [
            {
                "trial": trial.number,
                "params": _values(trial),
                "values": list(trial.values),
                **({"deviations": spread} if (spread := _list_spread(trial, metrics)) else {}),
                **_describe_seeds(trial),
            }
            for trial in best
        ]
    }


def _list_spread(trial: FrozenTrial, metrics: Sequence[str]) -> list[float | None]:
    """Return the standard deviation of each objective over the seeds; empty if the trial has one seed."""
    spread = read_spread(trial.user_attrs)
    return [spread.get(name) for name in metrics] if spread else []


def _describe_seeds(trial: FrozenTrial) -> dict[str, list[int]]:
    seeds = read_seeds(trial.user_attrs)
    return {"seeds": list(seeds)} if seeds else {}


def to_yaml(values: Any) -> str:
    """Format plain values as YAML that loads as the same values, for any text."""
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=False))


def _values(trial: FrozenTrial) -> dict[str, str]:
    pairs = (line.partition("=") for line in trial.user_attrs.get(records.OVERRIDES, []))
    return {key: value for key, _, value in pairs}


def trials_csv(study: optuna.Study, metrics: Sequence[str]) -> str:
    """Format all trials as CSV, one row per trial."""
    trials = study.get_trials(deepcopy=False)
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    several = has_seeds(trials)
    deviations = [f"{name} deviation" for name in metrics] if several else []
    writer.writerow(["trial", "state", *metrics, *deviations, "epochs", "seconds", *names, "run_id", "note"])
    for trial in trials:
        kind = records.kind(trial)
        values: list[Any] = list(trial.values) if kind == "finished" else [""] * len(metrics)
        if several:
            spread = read_spread(trial.user_attrs) if kind == "finished" else {}
            values += [spread.get(name, "") for name in metrics]
        note = trial.user_attrs.get(records.REJECTED) or trial.user_attrs.get(records.ERROR) or ""
        if kind == "repeated":
            note = f"the same configuration as trial {trial.user_attrs[records.REPEAT_OF]}"
        seconds = trial.user_attrs.get(records.SECONDS, "")
        parameters = [trial.params.get(name, "") for name in names]
        run = trial.user_attrs.get(records.RUN, "")
        writer.writerow([trial.number, kind, *values, len(trial.intermediate_values), seconds, *parameters, run, note])
    return buffer.getvalue()


def report(
    study: optuna.Study,
    search_config: SearchConfig,
    record: Record,
    folder: Path,
    config: DictConfig,
    *,
    is_drawn: bool = True,
) -> None:
    """Write, record and print the results of a study.

    Args:
        study: the study.
        search_config: the search.
        record: the record of the sweep, which gets a copy of every file.
        folder: the folder of the sweep.
        config: the composed sweep.
        is_drawn: whether figures are drawn.
    """
    metrics = study.metric_names or [f"objective {index}" for index in range(len(study.directions))]
    trials = study.get_trials(deepcopy=False)
    best = [_describe_best(name, trial, study, search_config, metrics) for name, trial in _named(best_trials(study))]
    files = {
        "optimization_results.yaml": to_yaml(results(study, metrics)),
        "trials.csv": trials_csv(study, metrics),
    }
    repeatable = set()
    for each in best:
        try:
            files |= search_config.application.describe_best(each)
            repeatable.add(each.number)
        except UserError as error:
            log.warning(f"note      no file of trial {each.number}: {error}")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        record.log_text(text, name)
    page = _draw(study, record, folder / "figures", metrics) if is_drawn else None
    record.describe(records.notes(trials), _describe(best, trials, metrics))
    record.log_metrics({f"trials/{name}": float(number) for name, number in records.counts(trials).items()})
    if len(metrics) == 1 and best:
        record.log_metrics({f"search/{metrics[0]}": best[0].metrics[metrics[0]]})
    record.mark_best(find_marks(study, [each.number for each in best]))
    _print(study, best, repeatable, search_config, folder, config)
    if page is not None:
        log.info(f"figures   {os.path.relpath(page)}")


def _draw(study: optuna.Study, record: Record, folder: Path, metrics: Sequence[str]) -> Path | None:
    """Draw and record the figures, and return the page with all of them; None if no trial has finished."""
    from dcase_sweep.sweep.optuna.figures import draw  # imports matplotlib and plotly

    drawn = draw(study, folder, metrics)
    for path in drawn:
        record.log_file(path, "figures")
    return drawn[-1] if drawn else None


def find_marks(study: optuna.Study, best: Collection[int]) -> dict[str, bool]:
    """Return the records of jobs whose mark changes, ID → whether the job is among the best, and store the marked ones.

    To mark all would take a call of the tracking server for each trial. Searches of earlier versions have all marked.

    Args:
        study: the study.
        best: the numbers of the best trials.
    """
    jobs = {
        job_id: trial.number
        for trial in study.get_trials(deepcopy=False)
        if records.kind(trial) == "finished" and isinstance(job_id := trial.user_attrs.get(records.RUN), str)
    }
    before = study.user_attrs.get(records.MARKED)
    looked_at = jobs if not isinstance(before, list) else [each for each in before if each in jobs]
    now = [job_id for job_id, number in jobs.items() if number in best]
    study.set_user_attr(records.MARKED, now)
    return {**dict.fromkeys(looked_at, False), **dict.fromkeys(now, True)}


def _describe(best: Sequence[BestTrial], trials: Sequence[FrozenTrial], metrics: Sequence[str]) -> str:
    """The best trials as a table in Markdown."""
    if not best:
        return ""
    header = ["best", "trial", *metrics, "configuration"]
    rows = [
        [
            each.name,
            str(each.number),
            *each.values.values(),
            describe(trials[each.number]),
        ]
        for each in best
    ]
    return make_markdown(header, rows, left=1)


def _describe_best(
    name: str, trial: FrozenTrial, study: optuna.Study, search_config: SearchConfig, metrics: Sequence[str]
) -> BestTrial:
    seeds = read_seeds(trial.user_attrs)
    first = read_seed_jobs(trial).get(seeds[0]) if seeds else None
    folder = first.folder if first else trial.user_attrs.get(records.FOLDER, "")
    return BestTrial(
        study=study.study_name,
        number=trial.number,
        name=name,
        fixed=search_config.fixed,
        overrides=trial.user_attrs.get(records.OVERRIDES, []),
        threads=trial.user_attrs.get(records.THREADS),
        metrics=dict(zip(metrics, trial.values, strict=True)),
        notes=tuple(records.notes([trial])),
        folder=str(folder),
        seeds=seeds,
        spread=read_spread(trial.user_attrs),
    )


def _named(best: Sequence[FrozenTrial]) -> list[tuple[str, FrozenTrial]]:
    """Return the best trials with the names of their files."""
    if len(best) == 1:
        return [("best", best[0])]
    return [(f"pareto_{position}", trial) for position, trial in enumerate(best, start=1)]


def describe_test(trial: FrozenTrial, objectives: Collection[str]) -> str:
    """Describe the results of a trial on the test set, which the search does not choose by: ``accuracy 0.512``.

    Args:
        trial: a finished trial.
        objectives: the metrics that are shown already.
    """
    stored = trial.user_attrs.get(records.METRICS)
    spread = read_spread(trial.user_attrs)
    found = {
        printable(name.removeprefix("test/"), 60): format_value(value, spread.get(name))
        for name, value in (stored.items() if isinstance(stored, dict) else ())
        if name.startswith("test/") and name not in objectives and isinstance(value, int | float)
    }
    return ", ".join(f"{name} {value}" for name, value in found.items())


def _print(
    study: optuna.Study,
    best: Sequence[BestTrial],
    repeatable: Collection[int],
    search_config: SearchConfig,
    folder: Path,
    config: DictConfig,
) -> None:
    trials = study.get_trials(deepcopy=False)
    found = records.counts(trials)
    order = ("finished", "pruned", "rejected", "repeated", "failed", "interrupted")
    counted = ", ".join(f"{found[name]} {name}" for name in order if found[name])
    log.info(f"search    {study.study_name}: {counted or 'no trial was begun'}")
    for note in records.notes(trials):
        log.info(f"note      {note}")
    if not best:
        finished = found["finished"]
        reason = f"each of {finished} finished trials breaks a constraint" if finished else "no trial has finished"
        log.info(f"best      none: {reason}")
        return
    for each in best:
        values = ", ".join(f"{metric} {value}" for metric, value in each.values.items())
        log.info(f"{each.name:<9} trial {each.number}: {values} · {describe(trials[each.number])}")
        if each.seeds:
            log.info(f"seeds     mean ± standard deviation of the seeds {', '.join(map(str, each.seeds))}")
        test = describe_test(trials[each.number], each.metrics)
        if test:
            log.info(f"test      {test}")
        if each.number in repeatable:
            log.info(f"repeat    {search_config.application.describe_repetition(config, each, folder)}")
