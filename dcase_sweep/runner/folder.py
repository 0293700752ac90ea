"""What the folder of a run holds when the run begins: an interrupted training to continue, a finished run, or another.

A batch system that preempts a job starts the same command in the same folder again.
"""

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcase_sweep.config import Experiment, flatten
from dcase_sweep.result import Result
from dcase_sweep.tasks.columns import list_columns
from dcase_sweep.training.checkpoint_files import is_run_id, read_checkpoint
from dcase_sweep.training.checkpoints import FOLDER, LAST, RESULT
from dcase_sweep.training.resume import Resumable, comparable, describe_changes, find_changes, make_resumable
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.leases import claim_folder
from dcase_sweep.utils.secrets import mask_values
from dcase_sweep.utils.small_files import read_object
from dcase_sweep.utils.text import printable

log = logging.getLogger(__name__)

#: A larger file is no result.
_LARGEST = 2**22
#: How often a folder is found in use before it is, and the seconds in between.
_LOOKS, _PAUSE = 3, 0.1


@dataclass(frozen=True, slots=True)
class Start:
    """How a run begins.

    Attributes:
        resumable: the training to continue; None = a new one.
        is_own: whether it is that of the run's own folder, which nothing but the folder names.
        obstacle: why the checkpoints in the folder are not continued; None = there are none, or they are.
    """

    resumable: Resumable | None = None
    is_own: bool = False
    obstacle: str | None = None


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Let no other process run in a folder at the same time.

    Raises:
        UserError: if one does.
    """
    for _ in range(_LOOKS):  # a command that looks whether a job runs holds its folder for a moment
        with claim_folder(folder) as is_free:
            if is_free:
                yield
                return
        time.sleep(_PAUSE)
    raise UserError(
        f"{folder}: another process runs in this folder; expected a folder of its own (hydra.run.dir, "
        "hydra.sweep.dir), or the end of that process"
    )


def find_start(experiment: Experiment, folder: Path, given: Resumable | None, *, is_trial: bool) -> Start:
    """Find the training that a run continues: that of its own folder, or the one that ``resume`` names.

    Args:
        experiment: the validated experiment.
        folder: folder of the run.
        given: the training that ``resume`` names.
        is_trial: whether the run is a trial of a search. Its number is new, so that a checkpoint in its folder belongs
            to another search.
    """
    own = folder / FOLDER / LAST
    if not own.is_file() or (given is not None and given.checkpoint.resolve() == own.resolve()):
        return Start(given)
    if is_trial:
        return Start(given, obstacle="of another search")
    if (folder / FOLDER / RESULT).is_file() and given is None:
        return Start(obstacle="of a finished run")
    try:
        checkpoint = read_checkpoint(own, where=str(own), what="a checkpoint to continue from", expected=LAST)
        changes = find_changes(checkpoint.configuration, experiment)
        if changes:
            return Start(given, obstacle=f"of another configuration: {describe_changes(changes)}")
        found = make_resumable(checkpoint, experiment, where=str(own), expected=LAST)
    except UserError as error:
        return Start(given, obstacle=f"which cannot be continued: {error}")
    if given is not None and given.epochs > found.epochs:
        return Start(given, obstacle=f"of an attempt that ended after epoch {found.epochs}")
    return Start(found, is_own=True)


def check_source(start: Start, signature: str) -> Start:
    """Do not continue the training of the run's own folder with other data or code, which nobody asked for."""
    if not start.is_own or start.resumable is None or start.resumable.signature in (None, signature):
        return start
    return Start(obstacle="of other code or other data")


def announce(start: Start, folder: Path) -> None:
    """Say that a run continues from its own folder, or keep the checkpoints there that it does not continue."""
    where = os.path.relpath(folder)
    if start.is_own and start.resumable is not None:
        log.info(f"continued  from epoch {start.resumable.epochs} of {where}")
    if start.obstacle is None:
        return
    number = 1
    while (folder / f"{FOLDER}.{number}").exists():
        number += 1
    (folder / FOLDER).rename(folder / f"{FOLDER}.{number}")
    log.info(
        f"folder    {where} has checkpoints {start.obstacle}; they are kept in {FOLDER}.{number}, a new run begins"
    )


def write_result(experiment: Experiment, result: Result) -> None:
    """Write the result of a finished run beside its checkpoints."""
    content = {
        "configuration": _identify(experiment),
        "name": result.name,
        "run_id": result.run_id,
        "metrics": result.metrics,
        "seconds": result.seconds,
        "note": result.note,
    }
    target = Path(result.folder, FOLDER, RESULT)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, json.dumps(content, indent=2) + "\n")


def read_result(experiment: Experiment, folder: Path) -> Result | None:
    """Return the result of the finished run of this configuration in a folder; None if there is none."""
    (found,) = find_results([experiment], [folder])
    return found


def find_results(experiments: Sequence[Experiment], folders: Sequence[Path]) -> list[Result | None]:
    """Return the result of the finished run of each configuration, or None where no folder has one."""
    known = {}
    for folder in folders:
        content = read_object(folder / FOLDER / RESULT, _LARGEST)
        if content is not None:
            known[json.dumps(content.get("configuration"), sort_keys=True)] = (content, folder)
    results: list[Result | None] = []
    for experiment in experiments:
        found = known.get(json.dumps(_identify(experiment), sort_keys=True))
        results.append(None if found is None else _make_result(experiment, *found))
    return results


def _make_result(experiment: Experiment, content: dict[str, Any], folder: Path) -> Result:
    """Return what a file says of a run, as far as it has the right types."""
    run_id, given, seconds, note = (content.get(name) for name in ("run_id", "metrics", "seconds", "note"))
    metrics = {str(name): float(value) for name, value in _items(given) if _is_number(value)}
    return Result(
        "finished",
        printable(str(content.get("name"))),
        str(folder),
        run_id if isinstance(run_id, str) and is_run_id(run_id) else None,
        metrics,
        seconds=float(seconds) if isinstance(seconds, int | float) else 0.0,
        note=printable(note) if isinstance(note, str) else None,
        columns=list_columns(experiment, metrics),
    )


def _items(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _identify(experiment: Experiment) -> Any:
    """Return the part of a configuration that affects results, as JSON stores it."""
    return json.loads(json.dumps(comparable(mask_values(flatten(experiment))), default=str))
