"""Loading of exported files, which contain a network and its normalisation."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dcase_sweep.config.classes import Named
from dcase_sweep.config.stored import is_printable, restore_front_end
from dcase_sweep.export.packages import check_runtime
from dcase_sweep.export.runtimes import LiteRTRuntime, OnnxRuntime, Runtime
from dcase_sweep.inference.trained import TrainedModel
from dcase_sweep.tasks.predictors import ClipPredictor
from dcase_sweep.utils.errors import UserError, get_reason
from dcase_sweep.utils.text_files import read_text

#: File that ``export`` writes next to a network; ONNX files contain the same metadata.
_METADATA = "metadata.json"
#: Largest file: that of both formats, whose offsets have 31 bits.
_MOST_BYTES = 2**31 - 1


class RuntimeNetwork(nn.Module):
    """Makes the runtime of an exported file usable like a network.

    Args:
        runtime: a runtime, which computes the scores of one clip at a time.
    """

    def __init__(self, runtime: Runtime) -> None:
        super().__init__()
        self._runtime = runtime

    def forward(self, features: Tensor) -> Tensor:
        """Return probabilities ``[batch, class]`` for features ``[batch, mel, frame]``."""
        return torch.from_numpy(np.stack([self._runtime(clip) for clip in features.cpu().numpy()]))


def load_exported(path: Path, *, classes: Sequence[str] | None = None, named: Named | None = None) -> TrainedModel:
    """Load the network of a TensorFlow Lite or ONNX file.

    Args:
        path: path of the file. Its metadata are in the file (ONNX) or in ``metadata.json`` in the same folder.
        classes: class labels in the order of the outputs; None = those in the metadata.
        named: the user's own front end, by the key ``front_end._target_``.

    Raises:
        UserError: for a missing or invalid file, or missing metadata.
    """
    what = path.suffix.lower().removeprefix(".")
    check_runtime(what)
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected one that export {what} wrote")
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise UserError(f"{path}: {size:,} bytes; expected a file that export {what} wrote, at most {_MOST_BYTES:,}")
    content = path.read_bytes()
    try:
        runtime: Any = OnnxRuntime(content) if what == "onnx" else LiteRTRuntime(content)
    except Exception as error:  # each library has other errors
        reason = get_reason(error)[:200]
        raise UserError(f"{path}: cannot be loaded ({reason}); expected a file that export {what} wrote") from None
    described = _read_metadata(path, getattr(runtime, "metadata", {}))
    names = tuple(classes) if classes is not None else _classes(path, described)
    front_end = restore_front_end(described.get("front_end"), where=str(path), named=named)
    network = RuntimeNetwork(runtime)
    _check_sizes(path, network, front_end.shape, len(names))
    predictor = ClipPredictor(network, names, seconds=front_end.seconds)
    return TrainedModel(
        run_id=str(described["run"]) if is_printable(described.get("run"), 256) else None,
        name=path.stem,
        classes=names,
        metrics={},
        network=network,
        front_end=front_end,
        settings=None,
        _predictor=predictor,
    )


def _read_metadata(path: Path, stored: Mapping[str, str]) -> dict[str, Any]:
    """Return the metadata of an exported file as plain values."""
    metadata = path.with_name(_METADATA)
    try:
        if "front_end" in stored:
            return {**stored, **{name: json.loads(stored[name]) for name in ("classes", "front_end")}}
        if not metadata.is_file():
            raise UserError(f"{path}: no {_METADATA} in its folder, with its classes and its front end; copy it there")
        described = json.loads(read_text(metadata, expected="the metadata that export writes"))
    except (ValueError, KeyError) as error:
        raise UserError(f"{path}: its metadata cannot be read ({error}); export the run again") from None
    if not isinstance(described, dict):
        raise UserError(f"{metadata}: not the metadata of an export; copy the file of the same export")
    return described


def _classes(path: Path, described: Mapping[str, Any]) -> tuple[str, ...]:
    names = described.get("classes")
    if (
        not isinstance(names, list)
        or not all(is_printable(name, 200) for name in names)
        or len(set(names)) < len(names)
    ):
        raise UserError(f"{path}: does not name its classes; expected classes=[...] in their order")
    return tuple(names)


def _check_sizes(path: Path, network: RuntimeNetwork, shape: tuple[int, int], classes: int) -> None:
    """Check the file against its metadata by computing the scores of a clip of zeros."""
    try:
        found = network(torch.zeros(1, *shape)).shape
    except Exception as error:
        reason = get_reason(error)[:200]
        raise UserError(
            f"{path}: does not accept the features {list(shape)} of its metadata ({reason}); copy the {_METADATA} of "
            "the same export"
        ) from None
    if tuple(found) != (1, classes):
        raise UserError(f"{path}: {classes} names of classes; expected {found[-1]}, one for each output of the file")
