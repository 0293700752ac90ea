"""Trained networks of finished runs, for predictions on recordings."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from dcase_sweep.config import Tracking
from dcase_sweep.inference.trained import TrainedModel
from dcase_sweep.tasks.prediction import EventPrediction, ScenePrediction, TagPrediction
from dcase_sweep.utils.errors import UserError

#: The advice of a message on how to name one's own classes on the command line, and one of them.
_ADD_TARGETS = re.compile(r"add ((?:[\w.]+\._target_=\S+ ?)+)")
_TARGET = re.compile(r"([\w.]+)\._target_=(\S+)")

__all__ = ["EventPrediction", "ScenePrediction", "TagPrediction", "TrainedModel", "load_run"]


def load_run(
    run: str | Path,
    *,
    classes: Sequence[str] | None = None,
    targets: Mapping[str, str] | None = None,
    tracking_uri: str | None = None,
    folder: str | Path = "mlruns",
) -> TrainedModel:
    """Load the network of a finished run with the weights of the best epoch; for a mean teacher, the student.

    Files are not trusted: they cannot determine which code outside this package is imported, or which files are read.

    Args:
        run: ID of a run in MLflow, its folder ``outputs/DATE/TIME``, a checkpoint, an exported file, or a registered
            model ``models:/name/version``.
        classes: class labels in the order of the network's outputs; required for runs of versions that did not store
            them.
        targets: your own classes with which the run was trained, by configuration group:
            ``{"model": "my_models.Net"}``; for an object within one: ``{"model.activation": "torch.nn.GELU"}``.
        tracking_uri: URI of the MLflow store; None = MLFLOW_TRACKING_URI if set, otherwise the store in ``folder``.
        folder: folder of a local store.

    Raises:
        UserError: for an unknown or unfinished run, or an unusable file.
    """
    from dcase_sweep.inference.loading import load_model

    named = {f"{group}._target_": target for group, target in (targets or {}).items()}
    found = Path(run).expanduser() if str(run).startswith("~") else run
    store = Tracking(uri=tracking_uri, folder=str(Path(folder).expanduser()))
    try:
        return load_model(found, store=store, classes=classes, named=named)
    except UserError as error:  # its advice is for the command line
        raise UserError(_ADD_TARGETS.sub(_as_argument, str(error))) from None


def _as_argument(advice: re.Match[str]) -> str:
    return f"add targets={json.dumps(dict(_TARGET.findall(advice[1])))}"
