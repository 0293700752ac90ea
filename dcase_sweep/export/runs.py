"""From the name of a run to what is exported: its configuration, its weights and where its results go."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dcase_sweep import tracking
from dcase_sweep.checkpoints import BEST, FOLDER, find_checkpoint
from dcase_sweep.config import Experiment, Tracking, check, unflatten
from dcase_sweep.errors import UserError
from dcase_sweep.resources import conf_folder

CHECKPOINT = f"{FOLDER}/{BEST}"
#: What may be other than it was in training: where things are, not what was learned.
FREE = ("data.", "store.root", "tracking.uri", "tracking.folder", "hardware.workers")
#: An export computes in float32 on the processor, however the run was trained.
_HERE = {"accelerator": "cpu", "precision": "32-true", "compile": False, "features_on": "memory"}


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """A finished training of a scene classifier.

    Attributes:
        given: how the run was named on the command line.
        id: in MLflow.
        model: the choice of the ``model`` group.
        experiment: its configuration, with the paths and the hardware of here and now.
        state: the weights of the network, by PyTorch's names, and ``mean`` and ``deviation`` ``[mel, 1]``.
        folder: of the run, where it is known; exports go there.
        logged: the run in the store; None where the store does not have it.
    """

    given: str
    id: str
    model: str
    experiment: Experiment
    state: dict[str, Any]
    folder: Path | None
    logged: tracking.LoggedRun | None


def find_trained_run(given: str, overrides: Mapping[str, str]) -> TrainedRun:
    """The run of an MLflow id, of a folder ``outputs/DATE/TIME``, or of a checkpoint file.

    Args:
        given: which.
        overrides: keys and values of the command line.

    Raises:
        UserError: for an unknown or unfinished run, one of another task, or a key that only training can change.
    """
    for key in overrides:
        if not key.startswith(FREE):
            expected = ", ".join(f"{name}*" if name.endswith(".") else name for name in FREE)
            raise UserError(f"{key}: the run's own, which an export keeps; expected one of {expected}")
    path = Path(given).expanduser()
    if path.exists():
        checkpoint = _in_folder(given, path)
        content = _read(given, checkpoint)
        experiment = _experiment(content["dcase_sweep"]["configuration"], overrides)
        logged = tracking.find_run(experiment.tracking, str(content["dcase_sweep"].get("run_id")))
        if logged is not None:
            _check_finished(given, logged)
        folder = checkpoint.parent.parent if checkpoint.parent.name == FOLDER else None
    else:
        logged = _logged(given, overrides)
        folder = None
        with tempfile.TemporaryDirectory() as temporary:
            fetched = logged.fetch(CHECKPOINT, Path(temporary))
            if fetched is None:
                raise UserError(f"run={given}: no artifact {CHECKPOINT}; expected a run that trained a network")
            content = _read(given, fetched)
        experiment = _experiment(content["dcase_sweep"]["configuration"], overrides)
    if experiment.task.kind != "scenes":
        raise UserError(_other_task(given, experiment.task.name))
    extra = content["dcase_sweep"]
    run_id = logged.id if logged else str(extra.get("run_id"))
    model = str(extra.get("choices", {}).get("model", "model"))
    return TrainedRun(given, run_id, model, experiment, content["state_dict"], folder, logged)


def _in_folder(given: str, path: Path) -> Path:
    found = find_checkpoint(path, BEST)
    if found is None:
        raise UserError(
            f"run={given}: no {CHECKPOINT} there; expected the folder of a finished run, or its id in MLflow"
        )
    return found


def _logged(given: str, overrides: Mapping[str, str]) -> tracking.LoggedRun:
    """The finished run of an id, of a task that can be exported."""
    settings = {key.removeprefix("tracking."): value for key, value in overrides.items() if key.startswith("tracking.")}
    where = Tracking(**settings)  # type: ignore[arg-type]
    logged = tracking.find_run(where, given)
    if logged is None:
        raise UserError(
            f"run={given}: no such run in {tracking.resolve_uri(where)}, and no such folder; expected an id as the "
            "last lines of a training show it, or outputs/DATE/TIME; tracking.uri chooses another store"
        )
    _check_finished(given, logged)
    if logged.parameters.get("task.kind", "scenes") != "scenes":
        raise UserError(_other_task(given, logged.parameters.get("task.name", "?")))
    return logged


def _check_finished(given: str, logged: tracking.LoggedRun) -> None:
    if logged.status != "FINISHED":
        raise UserError(
            f"run={given}: {logged.name} is {logged.status.lower()}; expected a finished run: continue it with "
            "resume=, or train it again"
        )


def _other_task(given: str, task: str) -> str:
    return f"run={given}: a run of task {task}; expected one of task 1a, whose scene classifiers can be exported"


def _read(given: str, checkpoint: Path) -> dict[str, Any]:
    import torch

    try:
        content: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        _ = content["dcase_sweep"]["configuration"], content["state_dict"].keys()
    except Exception as error:
        raise UserError(
            f"run={given}: {checkpoint.name} is not a checkpoint of this project ({type(error).__name__}); expected "
            f"{CHECKPOINT} of a finished run"
        ) from None
    return content


def _experiment(flat: Mapping[str, Any], overrides: Mapping[str, str]) -> Experiment:
    """The configuration of the checkpoint, checked again with what the command line puts on top."""
    nested = unflatten(flat)
    nested["resume"] = None
    nested["hardware"] |= _HERE
    if not Path(nested["store"]["root"]).is_dir():  # trained elsewhere
        nested["store"]["root"] = OmegaConf.load(conf_folder() / "config.yaml").store.root
    nested["tracking"]["uri"] = nested["tracking"].get("uri") or os.environ.get("MLFLOW_TRACKING_URI")
    composed = OmegaConf.create(nested)
    try:
        composed.merge_with(OmegaConf.from_dotlist([f"{key}={value}" for key, value in overrides.items()]))
    except OmegaConfBaseException as error:
        raise UserError(str(error).splitlines()[0]) from None
    return check(composed)
