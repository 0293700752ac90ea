"""Reading of checkpoints as untrusted files that contain only numbers and text, without running code.

`torch.load` with ``weights_only`` creates only tensors and plain values. This module also rejects compressed archives,
TorchScript archives, tensors larger than their storage, and fields of types that this project does not write.
"""

import re
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcase_sweep.config.stored import check_stored, is_printable
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.machine import memory_bytes
from dcase_sweep.utils.numbers import is_integer

if TYPE_CHECKING:
    from torch import Tensor

#: Run IDs in the form that MLflow creates and accepts; they cannot be read as a path.
_RUN_ID = re.compile(r"[a-zA-Z0-9][\w-]{0,255}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint of this project with validated fields.

    Attributes:
        path: path of the file.
        state: weights and normalisation by name; all numbers are finite.
        configuration: configuration of the training, flattened: dotted keys, plain values.
        choices: choices of the configuration groups by name.
        run_id: ID of the run in MLflow; None if the file has none.
        classes: names in the order of the network's outputs; None in a checkpoint of an earlier version.
        epoch: the epoch of these weights, counted from 0; None if the file has none.
        content: the complete content, to continue a training.
    """

    path: Path
    state: dict[str, "Tensor"]
    configuration: dict[str, Any]
    choices: dict[str, str]
    run_id: str | None
    classes: tuple[str, ...] | None
    epoch: int | None
    content: dict[str, Any]


def read_checkpoint(path: Path, *, where: str, expected: str, what: str = "a checkpoint of this project") -> Checkpoint:
    """Read the checkpoint of a training without running code from the file.

    Args:
        path: path of the file.
        where: the user's name for the file, for messages: ``run=outputs/DATE/TIME``.
        expected: the expected kind of file, for messages.
        what: the kind of file, for messages on files of another kind.

    Raises:
        UserError: in one line, for a file that is not such a checkpoint or has a field of the wrong type.
    """
    import torch

    try:
        check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        check_tensors(path, content)
    except Exception as error:  # a damaged file fails in many ways
        raise UserError(f"{where}: not {what} ({_reason(error)}); expected {expected}") from None
    try:
        return _checkpoint(path, content)
    except ValueError as error:
        raise UserError(f"{where}: not {what} ({error}); expected {expected}") from None


def is_run_id(value: object) -> bool:
    """Whether a value of a file can be the ID of a run in MLflow."""
    return isinstance(value, str) and _RUN_ID.fullmatch(value) is not None


def check_archive(path: Path) -> None:
    """Check that an archive could have been written by `torch.save`.

    Raises:
        ValueError: if it is not such an archive, contains code, or is larger when unpacked than its size states.
    """
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise ValueError("not an archive of PyTorch 1.6 or later")
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = {entry.filename.rpartition("/")[2]: entry for entry in entries if entry.filename.count("/") == 1}
        if "constants.pkl" in names or any("/code/" in entry.filename for entry in entries):
            raise ValueError("a TorchScript archive, which holds code")
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
            raise ValueError("its archive is compressed")
        # An archive behind other content could have one list of entries here and another one for PyTorch.
        if sum(entry.file_size for entry in entries) > size or min(entry.header_offset for entry in entries) != 0:
            raise ValueError("its archive does not have the size of the file")
        if "byteorder" in names and archive.read(names["byteorder"]) != sys.byteorder.encode():
            raise ValueError("its byte order is not this machine's")
    memory = memory_bytes()
    if memory is not None and size > memory:
        raise ValueError(f"it holds {size / 2**30:.1f} GiB, and this machine has {memory / 2**30:.1f} GiB of memory")


def check_tensors(path: Path, content: Any) -> None:
    """Check that tensors are within their storage in the archive, and of types that a training saves.

    Raises:
        ValueError: for the first invalid tensor.
    """
    import torch

    storages: dict[int, int] = {}
    seen: set[int] = set()
    pending = [content]
    while pending:
        value = pending.pop()
        if isinstance(value, torch.Tensor):
            if type(value) not in (torch.Tensor, torch.nn.Parameter) or value.layout is not torch.strided:
                raise ValueError(f"a tensor of the kind {type(value).__name__}, {value.layout}")
            if value.device.type != "cpu" or value.is_quantized:
                raise ValueError(f"a tensor on the device {value.device}")
            storage = value.untyped_storage()
            if value.numel() * value.element_size() > storage.nbytes():
                raise ValueError(f"a tensor {list(value.shape)} larger than its storage")
            storages[storage.data_ptr()] = storage.nbytes()
        elif isinstance(value, (dict, list, tuple, set)) and id(value) not in seen:
            seen.add(id(value))
            pending += [*value.keys(), *value.values()] if isinstance(value, dict) else value
    with zipfile.ZipFile(path) as archive:
        held = sum(entry.file_size for entry in archive.infolist() if "/data/" in entry.filename)
    if sum(storages.values()) > held:
        raise ValueError("its tensors are larger than the file")


def check_weights(state: Any) -> dict[str, "Tensor"]:
    """Return names and tensors of a state. All must contain finite floating-point or whole numbers.

    Raises:
        ValueError: for the first entry that does not.
    """
    import torch

    if not isinstance(state, Mapping):
        raise ValueError(f"state_dict is {_kind(state)}, not names and tensors")
    for name, value in state.items():
        if not is_printable(name, 200):
            raise ValueError("state_dict has a name that is not printable text")
        if not isinstance(value, torch.Tensor) or value.is_complex():
            raise ValueError(f"state_dict {name} is {_kind(value)}, not a tensor of numbers")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ValueError(f"state_dict {name} holds NaN or infinity")
    return dict(state)


def find_difference(expected: Mapping[str, "Tensor"], found: Mapping[str, "Tensor"]) -> str | None:
    """Describe the first tensor that differs between a network and a file: ``head.1.bias is [50], expected [100]``."""
    for name in [*expected, *(name for name in found if name not in expected)]:
        has, wanted = (list(each[name].shape) if name in each else None for each in (found, expected))
        if has != wanted:
            return f"{name} is {'missing' if has is None else has}, expected {'none' if wanted is None else wanted}"
    return None


def _checkpoint(path: Path, content: Any) -> Checkpoint:
    if not isinstance(content, dict):
        raise ValueError(f"it holds {_kind(content)}, not named fields")
    extra = content.get("dcase_sweep")
    if not isinstance(extra, dict):
        raise ValueError(f"dcase_sweep is {_kind(extra)}, not the record of a run")
    choices = extra.get("choices", {})
    if not isinstance(choices, dict) or not all(is_printable(each, 200) for each in [*choices, *choices.values()]):
        raise ValueError("dcase_sweep.choices is not names and choices")
    run_id = extra.get("run_id")
    if run_id is not None and not is_run_id(run_id):
        raise ValueError("dcase_sweep.run_id is not the ID of a run")
    classes = extra.get("classes")
    if classes is not None:
        if not isinstance(classes, list) or not all(is_printable(each, 200) for each in classes):
            raise ValueError("dcase_sweep.classes is not a list of names")
        if len(set(classes)) != len(classes):
            raise ValueError("dcase_sweep.classes names one twice")
    epoch = content.get("epoch")
    if epoch is not None and (not is_integer(epoch) or epoch < 0):
        raise ValueError(f"epoch is {_kind(epoch)}, not a number from 0 on")
    configuration = check_stored(extra.get("configuration"))
    return Checkpoint(
        path=path,
        state=check_weights(content.get("state_dict")),
        configuration=configuration,
        choices=choices,
        run_id=run_id,
        classes=None if classes is None else tuple(classes),
        epoch=epoch,
        content=content,
    )


def _kind(value: Any) -> str:
    return "missing" if value is None else f"a {type(value).__name__}"


def _reason(error: Exception) -> str:
    """Shorten an error to one line. PyTorch's own errors are paragraphs of advice, of which the type is sufficient."""
    return str(error) if type(error) is ValueError else type(error).__name__
