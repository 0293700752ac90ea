"""What a search found: the best, how to repeat it, what mattered; as files, figures and tags in MLflow."""

import csv
import io
import json
import logging
import os
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from omegaconf import OmegaConf
from optuna.trial import FrozenTrial

from dcase_sweep import tracking as mlflow_tracking
from dcase_sweep.config import Tracking
from dcase_sweep.config.files import read_config
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.history import History
from dcase_sweep.sweep.optuna.points import list_points
from dcase_sweep.sweep.optuna.progress_table import describe
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.utils import console
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import mask_url

log = logging.getLogger(__name__)

BEST = "dcase_sweep.best"
#: A value of a search's space, and what would be more than a value.
_OVERRIDE = re.compile(r"\+{0,2}(?!hydra\b|tracking\b|store\b)[A-Za-z][\w.*]*=[^\x00-\x1f\x7f]*")
_INSTRUCTION = re.compile(r"_(target|args|partial|recursive|convert)_|\$\{")
_NOT_OURS = (
    "trial {number} of the storage has {what}, which no search writes; expected values of its space: "
    "hydra.sweeper.fresh=true begins a new study"
)


def best_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The best trial, or the Pareto front of several objectives; none while none has finished."""
    trials = study.get_trials(deepcopy=False)
    if len(study.directions) > 1:
        if not any(records.kind(trial) == "finished" for trial in trials):
            return []
        return [trial for trial in study.best_trials if records.kind(trial) == "finished"]
    best = records.find_best(trials, study.direction.name.lower())
    return [] if best is None else [best]


def results(study: optuna.Study, metrics: Sequence[str]) -> dict[str, Any]:
    """What ``optimization_results.yaml`` holds; the names of one objective are those of Hydra's Optuna plugin."""
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
        return head | {
            "best_trial": winner.number,
            "best_evaluated_params": _values(winner),
            "best_evaluated_value": winner.value,
        }
    return head | {
        "solutions": [{"trial": trial.number, "params": _values(trial), "values": list(trial.values)} for trial in best]
    }


def to_yaml(values: Any) -> str:
    """Plain values as YAML that reads as the same again, whatever stands in a text."""
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=False))


def _values(trial: FrozenTrial) -> dict[str, str]:
    pairs = (line.partition("=") for line in trial.user_attrs.get(records.OVERRIDES, []))
    return {key: value for key, _, value in pairs}


def experiment_file(study: optuna.Study, trial: FrozenTrial, fixed: Sequence[str], metrics: Sequence[str]) -> str:
    """A file of the kind that lies in ``experiments/``: the fixed choices and the trial's values.

    Groups become overrides of the defaults list, values become values.
    """
    from dcase_sweep.config.hints import GROUPS

    parser = OverridesParser.create()
    groups: dict[str, str] = {}
    values = OmegaConf.create({})
    lines = [*fixed, *stored_overrides(trial)]
    for line in lines:
        parsed = parser.parse_override(line)
        key, value = parsed.get_key_element().lstrip("+"), parsed.value()
        if key in GROUPS and isinstance(value, (str, int, QuotedString)):
            groups[key] = getattr(value, "text", str(value))
        elif "/" not in key and not key.startswith("hydra."):
            key, value = _whole_list(key, value, trial)
            OmegaConf.update(values, key, value, merge=False, force_add=True)
    chosen = [f"  - override /{group}: {json.dumps(choice, ensure_ascii=False)}" for group, choice in groups.items()]
    found = ", ".join(f"{name} {value:.6g}" for name, value in zip(metrics, trial.values, strict=True))
    text = f"# @package _global_\n# Trial {trial.number} of the search {study.study_name}: {found}.\n"
    text += "".join(f"# Note: {note}.\n" for note in records.notes([trial]))
    text += "defaults:\n" + "\n".join(chosen) + "\n\n" if chosen else ""
    return text + (OmegaConf.to_yaml(values) if values else "")


def stored_overrides(trial: FrozenTrial) -> list[str]:
    """What a trial was composed of, as the storage has it.

    The file that is made of it will be composed as a configuration of the user's own, and a storage is not trusted: it
    may name values of a search's space, no code and no place.

    Raises:
        UserError: for an override that no search writes.
    """
    overrides = trial.user_attrs.get(records.OVERRIDES, [])
    threads = trial.user_attrs.get(records.THREADS)
    if not isinstance(overrides, list) or not (threads is None or type(threads) is int):
        raise UserError(_NOT_OURS.format(number=trial.number, what="its overrides are no list"))
    for line in overrides:
        if not isinstance(line, str) or not _OVERRIDE.fullmatch(line) or _INSTRUCTION.search(line):
            raise UserError(_NOT_OURS.format(number=trial.number, what=f"the override {str(line)[:80]!r}"))
    return [*overrides, *([] if threads is None else [f"hardware.threads={threads}"])]


def _whole_list(key: str, value: Any, trial: FrozenTrial) -> tuple[str, Any]:
    """A file cannot say one entry of a list: the whole list is taken from what the trial was composed of."""
    names = key.split(".")
    position = next((index for index, name in enumerate(names) if name.isdigit()), None)
    if position is None:
        return key, value
    plain: Any = read_config(Path(trial.user_attrs[records.FOLDER]) / ".hydra" / "config.yaml")
    whole = ".".join(names[:position])
    for name in names[:position]:
        plain = plain[name]
    if "_target_" in json.dumps(plain, default=str):
        raise UserError(_NOT_OURS.format(number=trial.number, what=f"a class within {whole}"))
    return whole, plain


def trials_csv(study: optuna.Study, metrics: Sequence[str]) -> str:
    """One row a trial, all of them."""
    trials = study.get_trials(deepcopy=False)
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["trial", "state", *metrics, "epochs", "seconds", *names, "run_id", "note"])
    for trial in trials:
        kind = records.kind(trial)
        values = list(trial.values) if kind == "finished" else [""] * len(metrics)
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
    parent: Any,
    folder: Path,
    *,
    tracking: Tracking,
    fixed: Sequence[str],
    repeat: Callable[[str], str],
) -> None:
    """Write, log and print everything about a study.

    Args:
        parent: the run of the study.
        folder: of the sweep.
        tracking: where the trials' runs are.
        fixed: overrides that all trials share.
        repeat: the command that runs an experiment of the folder, by its name.
    """
    from dcase_sweep.sweep.optuna.figures import draw

    metrics = study.metric_names or [f"objective {index}" for index in range(len(study.directions))]
    best = best_trials(study)
    files = {
        "optimization_results.yaml": to_yaml(results(study, metrics)),
        "trials.csv": trials_csv(study, metrics),
    }
    for name, trial in _named(best):
        try:
            files[f"experiment/{name}.yaml"] = experiment_file(study, trial, fixed, metrics)
        except UserError as error:
            log.warning(f"note      no experiment/{name}.yaml: {error}")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        parent.log_text(text, name)
    for path in draw(study, folder / "figures", metrics):
        parent.log_file(path, "figures")
    notes = records.notes(study.get_trials(deepcopy=False))
    if notes:
        parent.set_tags({mlflow_tracking.NOTE: "\n\n".join(f"**{note}**" for note in notes)})
    found = records.counts(study.get_trials(deepcopy=False))
    parent.log_metrics({f"trials/{name}": float(number) for name, number in found.items()})
    _mark_best(study, best, tracking)
    if len(metrics) == 1 and best:
        parent.log_metrics({f"search/{metrics[0]}": best[0].values[0]})
    _print(study, best, metrics, folder, repeat)


def introduce(study: optuna.Study, search_config: SearchConfig, workers: int, folder: Path) -> None:
    """Say what a search begins with and where it is kept."""
    found = records.counts(study.get_trials(deepcopy=False))
    known = ", ".join(f"{found[name]} {name}" for name in ("finished", "pruned", "failed", "rejected") if found[name])
    known = f"continued with {known}" if known else "new"
    log.info(f"search    {study.study_name} ({known}), {search_config.n_trials} trials wanted, {workers} at a time")
    if found["waiting"]:
        log.info(
            f"search    {found['waiting']} to be tried again first; interrupted trials go on from their last epoch"
        )
    if "seed" in search_config.space.describe():
        log.info("search    the seed varies: trials that differ in their seed alone are each trained")
    shown = mask_url(
        search_config.storage if "://" in search_config.storage else os.path.relpath(search_config.storage)
    )
    log.info(f"storage   {shown} (optuna-dashboard {shlex.quote(shown)})")
    log.info(f"folder    {folder}")


def describe_end(study: optuna.Study, search_config: SearchConfig) -> tuple[str | None, str | None]:
    """How a search ended: a line to say where there is one, and what was wrong where something was."""
    trials = study.get_trials(deepcopy=False)
    found = records.counts(trials)
    done = found["finished"] + found["pruned"]
    if study.user_attrs.get(records.STOPPED):
        return None, f"search stopped: {study.user_attrs[records.STOPPED]}"
    short = f"{done} of {console.pluralize(search_config.n_trials, 'wanted trial')}"
    line = History(list_points(search_config.space)).describe(trials, is_grid=search_config.is_grid)
    if line is not None and "not complete" in line:
        return None, f"{line}, {found['failed']} failed; the same command tries the failed ones again"
    if line is not None and search_config.is_grid:
        return line, None
    if done >= search_config.n_trials:
        return None, None
    if line is not None:
        return f"{line}; {short}", None
    if study.user_attrs.get(records.EXHAUSTED):
        return f"space exhausted: {study.user_attrs[records.EXHAUSTED]}; {short}", None
    return None, f"the search ended short: {short}; the same command continues"


def _named(best: Sequence[FrozenTrial]) -> list[tuple[str, FrozenTrial]]:
    """Each of the best with the name of its file."""
    if len(best) == 1:
        return [("best", best[0])]
    return [(f"pareto_{position}", trial) for position, trial in enumerate(best, start=1)]


def _mark_best(study: optuna.Study, best: Sequence[FrozenTrial], tracking: Tracking) -> None:
    numbers = {trial.number for trial in best}
    for trial in study.get_trials(deepcopy=False):
        run = trial.user_attrs.get(records.RUN)
        if run and records.kind(trial) == "finished":
            mlflow_tracking.tag_run(tracking, run, {BEST: "true" if trial.number in numbers else "false"})


def _print(
    study: optuna.Study,
    best: Sequence[FrozenTrial],
    metrics: Sequence[str],
    folder: Path,
    repeat: Callable[[str], str],
) -> None:
    found = records.counts(study.get_trials(deepcopy=False))
    order = ("finished", "pruned", "rejected", "repeated", "failed", "interrupted")
    log.info(f"\nsearch    {study.study_name}: " + ", ".join(f"{found[name]} {name}" for name in order if found[name]))
    for note in records.notes(study.get_trials(deepcopy=False)):
        log.info(f"note      {note}")
    if not best:
        log.info("best      none: no trial has finished")
        return
    where = os.path.relpath(folder)
    for name, trial in _named(best):
        values = ", ".join(f"{metric} {value:.4g}" for metric, value in zip(metrics, trial.values, strict=True))
        log.info(f"{name:<9} trial {trial.number}: {values} · {describe(trial)}")
        log.info(f"repeat    {repeat(name)}")
    log.info(f"figures   {where}/figures/search.html")
