"""A published checkpoint instead of training: read without running what it holds, checked before the data are."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from dcase_sweep.audio.amplitude_mel import SCALED_TO_IN_2021, AmplitudeMel
from dcase_sweep.config import Experiment, build_model
from dcase_sweep.models.published import load_published
from dcase_sweep.training.checkpoint_files import check_archive, check_tensors, check_weights
from dcase_sweep.utils.errors import UserError

NETWORKS = ("student", "teacher")
#: What a state dictionary is made of. A published checkpoint holds settings and schedulers of its recipe too, whose
#: classes nobody has installed and nobody should run.
_HARMLESS = {
    ("collections", "OrderedDict"),
    ("torch", "FloatStorage"),
    ("torch", "DoubleStorage"),
    ("torch", "HalfStorage"),
    ("torch", "LongStorage"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
}


class _Ignored(dict[Any, Any]):
    """Stands for whatever a checkpoint holds beside tensors."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__()

    def __call__(self, *arguments: Any, **settings: Any) -> "_Ignored":
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """Forget it."""

    def extend(self, items: Any) -> None:
        """Forget them."""

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(module, name) if (module, name) in _HARMLESS else _Ignored


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The ``state_dict`` of a Lightning checkpoint; nothing of it is run.

    Raises:
        UserError: if there is no such file or it holds none.
    """
    where = f"mean_teacher.checkpoint={path}"
    if not path.is_file():
        raise UserError(f"{where}: no such file; expected the published Lightning checkpoint (.ckpt)")
    reader = SimpleNamespace(Unpickler=_Unpickler, load=_refuse_old, __name__="pickle")
    try:
        check_archive(path)  # which refuses TorchScript too, whose code PyTorch would load
        content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=reader)
        state = content.get("state_dict") if isinstance(content, Mapping) else None
        check_tensors(path, state)
    except Exception as error:
        reason = str(error) if type(error) is ValueError else type(error).__name__
        raise UserError(f"{where}: not a PyTorch checkpoint ({reason}); expected one that holds a state_dict") from None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{where}: no state_dict of tensors; expected a Lightning checkpoint")
    try:
        return check_weights(state)
    except ValueError as error:
        raise UserError(f"{where}: {error}; expected the weights of a finished training") from None


def _refuse_old(*arguments: Any, **settings: Any) -> Any:
    raise pickle.UnpicklingError("a file of PyTorch before 1.6")


def read_published(experiment: Experiment, *, classes: int | None = None) -> dict[str, dict[str, Tensor]] | None:
    """The weights of student and teacher of ``mean_teacher.checkpoint`` for the configured network; None if unset.

    Args:
        classes: of the data; None takes as many as the checkpoint's networks have.

    Raises:
        UserError: in one line, if the file is no published checkpoint or is of another network.
    """
    if experiment.published_checkpoint is None:
        return None
    path = Path(experiment.published_checkpoint).expanduser()
    state = read_state_dict(path)
    if classes is None:
        head = state.get("sed_student.dense.bias")
        classes = 10 if head is None else len(head)
    network = build_model(experiment, classes=classes, device="meta")
    try:
        return {name: load_published(state, name, network=network) for name in NETWORKS}  # type: ignore[arg-type]
    except ValueError as error:
        raise UserError(f"mean_teacher.checkpoint={path}: {error}") from None


def scale_as_published(front_end: Any) -> None:
    """Scale clips to the range that the checkpoint of 2021 was trained with, unless ``scaled_to`` names one."""
    if isinstance(front_end, AmplitudeMel) and front_end.scaled_to is None:
        front_end.scaled_to = list(SCALED_TO_IN_2021)


def check_published(experiment: Experiment) -> None:
    """Refuse a wrong ``mean_teacher.checkpoint`` while nothing has been read yet.

    Raises:
        UserError: in one line, as `read_published` says; or if a run is to be resumed from another checkpoint too.
    """
    if experiment.published_checkpoint is None:
        return
    if experiment.resume is not None:
        raise UserError(
            f"mean_teacher.checkpoint={experiment.published_checkpoint} is evaluated without training, so there is "
            "nothing to resume; leave one of the two out"
        )
    read_published(experiment)
