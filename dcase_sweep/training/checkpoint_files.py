"""Reading checkpoints as what they are: files of unknown origin, which hold numbers and text and run nothing.

`torch.load` with ``weights_only`` builds tensors and plain values alone. What it leaves open is closed here: archives
that unpack to more than the file holds, archives of TorchScript, tensors larger than their storage, and fields of
other kinds than this project writes.
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

if TYPE_CHECKING:
    from torch import Tensor

#: Run ids as MLflow makes and accepts them; nothing that could be read as a path.
_RUN_ID = re.compile(r"[a-zA-Z0-9][\w-]{0,255}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint of this project, each of its fields of the kind that it must have.

    Attributes:
        path: of the file.
        state: weights and normalisation by their names; every number is finite.
        configuration: of the training, flattened: dotted keys, plain values.
        choices: of the groups, by their names.
        run_id: in MLflow; None where the file names none.
        classes: names in the order of the network's outputs; None in a checkpoint of an earlier version.
        epoch: of these weights, counted from 0; None where the file names none.
        content: everything, for those who continue a training.
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
    """The checkpoint of a training; nothing in the file is run.

    Args:
        path: of the file.
        where: how the user named it, for messages: ``run=outputs/DATE/TIME``.
        expected: what should be there, for messages.
        what: the file is not, likewise.

    Raises:
        UserError: in one line, for a file that is no such checkpoint or has a field of another kind.
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


def check_archive(path: Path) -> None:
    """Refuse an archive that `torch.save` does not write.

    Raises:
        ValueError: if it is none, runs code, or holds more than its size says.
    """
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise ValueError("no archive of PyTorch 1.6 or later")
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = {entry.filename.rpartition("/")[2]: entry for entry in entries if entry.filename.count("/") == 1}
        if "constants.pkl" in names or any("/code/" in entry.filename for entry in entries):
            raise ValueError("a TorchScript archive, which holds code")
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
            raise ValueError("its archive is compressed")
        # An archive behind other content could show one list of entries here and another one to PyTorch.
        if sum(entry.file_size for entry in entries) > size or min(entry.header_offset for entry in entries) != 0:
            raise ValueError("its archive does not fit the file")
        if "byteorder" in names and archive.read(names["byteorder"]) != sys.byteorder.encode():
            raise ValueError("its byte order is not this machine's")
    memory = memory_bytes()
    if memory is not None and size > memory:
        raise ValueError(f"it holds {size / 2**30:.1f} GiB, and this machine has {memory / 2**30:.1f} GiB of memory")


def check_tensors(path: Path, content: Any) -> None:
    """Refuse tensors that are larger than what the archive holds for them, or of kinds that no training saves.

    Raises:
        ValueError: for the first.
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
    """Names and tensors of floating-point or whole numbers, all of them finite.

    Raises:
        ValueError: for the first that is something else.
    """
    import torch

    if not isinstance(state, Mapping):
        raise ValueError(f"state_dict is {_kind(state)}, not names and tensors")
    for name, value in state.items():
        if not is_printable(name, 200):
            raise ValueError("state_dict has a name that is no printable text")
        if not isinstance(value, torch.Tensor) or value.is_complex():
            raise ValueError(f"state_dict {name} is {_kind(value)}, not a tensor of numbers")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ValueError(f"state_dict {name} holds NaN or infinity")
    return dict(state)


def find_difference(expected: Mapping[str, "Tensor"], found: Mapping[str, "Tensor"]) -> str | None:
    """The first tensor of a network that a file has otherwise: ``head.1.bias is [50], expected [100]``."""
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
    if run_id is not None and not (isinstance(run_id, str) and _RUN_ID.fullmatch(run_id)):
        raise ValueError("dcase_sweep.run_id is no id of a run")
    classes = extra.get("classes")
    if classes is not None:
        if not isinstance(classes, list) or not all(is_printable(each, 200) for each in classes):
            raise ValueError("dcase_sweep.classes is not a list of names")
        if len(set(classes)) != len(classes):
            raise ValueError("dcase_sweep.classes names one twice")
    epoch = content.get("epoch")
    if epoch is not None and (isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < 0):
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
    """One line: of PyTorch's own errors, which are paragraphs of advice, the kind is enough."""
    return str(error) if type(error) is ValueError else type(error).__name__
