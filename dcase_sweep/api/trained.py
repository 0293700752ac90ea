"""Trained networks of finished runs, ready to be asked about a recording."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from dcase_sweep.config import Tracking
from dcase_sweep.inference.trained import TrainedModel
from dcase_sweep.tasks.prediction import EventPrediction, ScenePrediction, TagPrediction
from dcase_sweep.utils.errors import UserError

#: How a command line names a class of the user's own.
_ADD_TARGET = re.compile(r"add (\w+)\._target_=(\S+)")

__all__ = ["EventPrediction", "ScenePrediction", "TagPrediction", "TrainedModel", "load_run"]


def load_run(
    run: str | Path,
    *,
    classes: Sequence[str] | None = None,
    targets: Mapping[str, str] | None = None,
    tracking_uri: str | None = None,
    folder: str | Path = "mlruns",
) -> TrainedModel:
    """The network of a finished run with the weights of its best epoch; of a mean teacher it is the student.

    A file is not trusted: it names no code outside this package and no place to read from.

    Args:
        run: its id in MLflow, its folder ``outputs/DATE/TIME``, a checkpoint, a file of ``export``, or a registered
            model ``models:/name/version``.
        classes: names in the order of the network's outputs; needed for runs of versions that did not keep them.
        targets: classes of your own that the run was trained with, by their groups: ``{"model": "my_models.Net"}``.
        tracking_uri: of the store of runs; None = MLFLOW_TRACKING_URI where it is set, else the one in the folder.
        folder: of a local store of runs.

    Raises:
        UserError: in one line, for an unknown or unfinished run, or a file that cannot be used.
    """
    from dcase_sweep.inference.loading import load_model

    named = {f"{group}._target_": target for group, target in (targets or {}).items()}
    try:
        return load_model(run, store=Tracking(uri=tracking_uri, folder=str(folder)), classes=classes, named=named)
    except UserError as error:  # which says how a command line names a class
        raise UserError(_ADD_TARGET.sub(r'add targets={"\1": "\2"}', str(error))) from None
