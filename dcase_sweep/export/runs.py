"""Reading of a finished run for export: its configuration, its weights and its folder."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dcase_sweep import tracking
from dcase_sweep.config import Experiment, Tracking, locate_task, restore_experiment
from dcase_sweep.config.classes import check_file_target, names_code
from dcase_sweep.config.renamed import rename_keys
from dcase_sweep.config.search_path import named_in_folder
from dcase_sweep.training.checkpoint_files import Checkpoint, read_checkpoint
from dcase_sweep.training.checkpoints import BEST, FOLDER, find_checkpoint
from dcase_sweep.utils.errors import UserError

CHECKPOINT = f"{FOLDER}/{BEST}"
#: Keys that may differ from those of the training, because they only name places and hardware.
FREE = (
    "data.",
    "store.root",
    "tracking.uri",
    "tracking.folder",
    "hardware.workers",
)
#: Of these, what the network was trained for.
KEPT = ("data.seconds",)


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """A finished training of a scene classifier.

    Attributes:
        given: the name of the run on the command line.
        id: id in MLflow.
        model: the choice of the ``model`` group.
        experiment: its configuration, with the paths and the hardware of this command.
        state: the weights of the network, by PyTorch's names, and ``mean`` and ``deviation`` ``[mel, 1]``.
        folder: folder of the run, if known, for the exported files.
        logged: the run in the store; None if the store does not have it.
    """

    given: str
    id: str
    model: str
    experiment: Experiment
    state: dict[str, Any]
    folder: Path | None
    logged: tracking.LoggedRun | None


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The results of a finished run.

    Attributes:
        where: the name that the user gave, for messages.
        checkpoint: checkpoint of its best epoch.
        folder: folder of the run, if known.
        logged: the run in the store; None if the store does not have it.
    """

    where: str
    checkpoint: Checkpoint
    folder: Path | None
    logged: tracking.LoggedRun | None


def find_trained_run(given: str, overrides: Mapping[str, str], config_dir: str | None = None) -> TrainedRun:
    """Find a run by its MLflow id, a folder ``outputs/DATE/TIME``, or a checkpoint file.

    Args:
        given: ID or at least four of its first letters, folder or checkpoint of the run.
        overrides: keys and values of the command line.
        config_dir: a folder of the user's own configuration files; the classes that they name may be the run's.

    Raises:
        UserError: for an unknown or unfinished run, one of another task, or a key that only training can change.
    """
    for key in overrides:
        if not (key.startswith(FREE) or names_code(key)) or key in KEPT:
            expected = ", ".join(f"{name}*" if name.endswith(".") else name for name in (*FREE, "model._target_"))
            raise UserError(f"{key}: the run's own, which an export keeps; expected one of {expected}")
    folder_names = named_in_folder(config_dir) if config_dir else {}
    named = folder_names | {key: value for key, value in overrides.items() if names_code(key)}
    overrides = {key: value for key, value in overrides.items() if not names_code(key)}
    settings = {key.removeprefix("tracking."): value for key, value in overrides.items() if key.startswith("tracking.")}
    found = read_run(given, Tracking(**settings), check=partial(_check_exportable, given))  # type: ignore[arg-type]
    checkpoint, logged, folder = found.checkpoint, found.logged, found.folder
    experiment = restore_experiment(checkpoint.configuration, where=found.where, named=named, overrides=overrides)
    if not locate_task(experiment.task._target_).can_export:
        raise UserError(_other_task(given, experiment.task.name))
    run_id = logged.id if logged else checkpoint.run_id or "unknown"
    model = checkpoint.choices.get("model", "model")
    return TrainedRun(given, run_id, model, experiment, checkpoint.state, folder, logged)


def read_run(
    given: str,
    store: Tracking,
    check: Callable[[tracking.LoggedRun], None] = lambda logged: None,
    *,
    search_store: bool = True,
) -> RunFiles:
    """Read the checkpoint of a finished run.

    It is found by its MLflow id, a folder ``outputs/DATE/TIME``, or a checkpoint file.

    Args:
        given: ID or at least four of its first letters, folder or checkpoint of the run.
        store: the store to search.
        check: called with a run that was found by its id, before its checkpoint is fetched.
        search_store: whether the run of a folder or a file is looked up, and has to be finished where it is found.

    Raises:
        UserError: for an unknown or unfinished run, or a file that is not a checkpoint.
    """
    where = f"run={given}"
    if given and Path(given).expanduser().exists():
        path = _in_folder(given, Path(given).expanduser())
        checkpoint = _read(where, path)
        known = tracking.find_run(store, checkpoint.run_id) if checkpoint.run_id and search_store else None
        if known is not None:
            _check_finished(given, known)
        return RunFiles(where, checkpoint, path.parent.parent if path.parent.name == FOLDER else None, known)
    logged = _logged(given, store)
    check(logged)
    seeds = logged.parameters.get("seed", "")
    if "," in seeds:  # it has their means, and no network
        raise UserError(f"{where}: the run of a trial with the seeds {seeds}; expected the run of one of them")
    with tempfile.TemporaryDirectory() as temporary:
        fetched = logged.fetch(CHECKPOINT, Path(temporary))
        if fetched is None:
            raise UserError(f"{where}: no artifact {CHECKPOINT}; expected a run that trained a network")
        return RunFiles(where, _read(where, fetched), None, logged)


def _in_folder(given: str, path: Path) -> Path:
    found = find_checkpoint(path, BEST)
    if found is None:
        raise UserError(
            f"run={given}: no {CHECKPOINT} there; expected the folder of a finished run, or its id in MLflow"
        )
    return found


def _logged(given: str, where: Tracking) -> tracking.LoggedRun:
    """Find a finished run by its id, or by the first letters of its id."""
    logged = tracking.find_run(where, given)
    if logged is None:
        ids = tracking.find_ids(where, given)
        if len(ids) > 1:
            raise UserError(f"run={given}: {ids[0]}, {ids[1]} begin so; expected more letters of one id")
        logged = tracking.find_run(where, ids[0]) if ids else None
    if logged is None:
        raise UserError(
            f"run={given}: no such run in {tracking.resolve_uri(where)}, and no such folder; expected an id as the "
            "last lines of a training show it, or outputs/DATE/TIME; tracking.uri chooses another store"
        )
    _check_finished(given, logged)
    return logged


def _check_exportable(given: str, logged: tracking.LoggedRun) -> None:
    if not _can_be_exported(logged.parameters):
        raise UserError(_other_task(given, logged.parameters.get("task.name", "?")))


def _can_be_exported(parameters: Mapping[str, str]) -> bool:
    """Whether networks of the logged task can be exported; True if the task is not known here."""
    target = rename_keys(parameters, quiet=True).get("task._target_")
    try:
        check_file_target("task", target, {})
    except UserError:  # no task of this package; the checkpoint shows which
        return True
    return bool(locate_task(str(target)).can_export)


def _check_finished(given: str, logged: tracking.LoggedRun) -> None:
    if logged.status != "FINISHED":
        raise UserError(
            f"run={given}: {logged.name} is {logged.status.lower()}; expected a finished run: continue it with "
            "resume=, or train it again"
        )


def _other_task(given: str, task: str) -> str:
    return f"run={given}: a run of task {task}; expected one of task 1a, whose scene classifiers can be exported"


def _read(where: str, path: Path) -> Checkpoint:
    if not path.is_file():  # an artifact may be a folder
        raise UserError(f"{where}: {path.name} is not a file; expected {CHECKPOINT} of a finished run")
    return read_checkpoint(path, where=where, expected=f"{CHECKPOINT} of a finished run")
