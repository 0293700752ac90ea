"""Published checkpoints, which are evaluated without training. They are read without running code from the file."""

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
#: Classes and functions of a state dictionary. A published checkpoint also contains settings and schedulers of its
#: recipe, whose classes are not installed and must not be run.
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
    """Replaces every object in a checkpoint that is not a tensor."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__()

    def __call__(self, *arguments: Any, **settings: Any) -> "_Ignored":
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """Discard the item."""

    def extend(self, items: Any) -> None:
        """Discard the items."""

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(module, name) if (module, name) in _HARMLESS else _Ignored


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the ``state_dict`` of a Lightning checkpoint without running code from the file.

    Raises:
        UserError: if the file does not exist or has no state dictionary.
    """
    where = f"mean_teacher.checkpoint={path}"
    if not path.is_file():
        raise UserError(f"{where}: no such file; expected the published Lightning checkpoint (.ckpt)")
    reader = SimpleNamespace(Unpickler=_Unpickler, load=_raise_for_old_file, __name__="pickle")
    try:
        check_archive(path)  # also raises for TorchScript, whose code PyTorch would load
        content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=reader)
        state = content.get("state_dict") if isinstance(content, Mapping) else None
        check_tensors(path, state)
    except Exception as error:
        reason = str(error) if type(error) is ValueError else type(error).__name__
        raise UserError(f"{where}: not a PyTorch checkpoint ({reason}); expected one with a state_dict") from None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{where}: no state_dict of tensors; expected a Lightning checkpoint")
    try:
        return check_weights(state)
    except ValueError as error:
        raise UserError(f"{where}: {error}; expected the weights of a finished training") from None


def _raise_for_old_file(*arguments: Any, **settings: Any) -> Any:
    raise pickle.UnpicklingError("a file of PyTorch before 1.6")


def read_published(experiment: Experiment, *, classes: int | None = None) -> dict[str, dict[str, Tensor]] | None:
    """Return the weights of student and teacher in ``mean_teacher.checkpoint``; None if it is not set.

    Args:
        experiment: the experiment.
        classes: number of classes of the data; None = that of the networks in the checkpoint.

    Raises:
        UserError: if the file is not a published checkpoint, or one of another network.
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
    """Scale clips to the range of the training of the published checkpoint, unless ``scaled_to`` specifies another."""
    if isinstance(front_end, AmplitudeMel) and front_end.scaled_to is None:
        front_end.scaled_to = list(SCALED_TO_IN_2021)


def check_published(experiment: Experiment) -> None:
    """Check ``mean_teacher.checkpoint`` before anything else is read.

    Raises:
        UserError: as `read_published`, or if another checkpoint is to be resumed.
    """
    if experiment.published_checkpoint is None:
        return
    if experiment.resume is not None:
        raise UserError(
            f"mean_teacher.checkpoint={experiment.published_checkpoint} is evaluated without training, so there is "
            "nothing to resume; leave one of the two out"
        )
    read_published(experiment)
