"""Exported files, which hold a network and its normalisation, as trained networks."""

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
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text_files import read_text

#: Beside the files, as ``export`` writes it; ONNX files hold the same.
_METADATA = "metadata.json"


class RuntimeNetwork(nn.Module):
    """A runtime of an exported file in the place of a network.

    Args:
        runtime: scores one clip at a time.
    """

    def __init__(self, runtime: Runtime) -> None:
        super().__init__()
        self._runtime = runtime

    def forward(self, features: Tensor) -> Tensor:
        """Probabilities ``[batch, class]`` of features ``[batch, mel, frame]``."""
        return torch.from_numpy(np.stack([self._runtime(clip) for clip in features.cpu().numpy()]))


def load_exported(path: Path, *, classes: Sequence[str] | None = None, named: Named | None = None) -> TrainedModel:
    """The network of a TensorFlow Lite or ONNX file.

    Args:
        path: of the file. What its numbers mean is in the file (ONNX), or in ``metadata.json`` beside it.
        classes: names in the order of its outputs; None = those that the export noted.
        named: a front end of the user's own, by its key ``front_end._target_``.

    Raises:
        UserError: in one line, for a file that is missing, of another kind, or without its description.
    """
    what = path.suffix.lower().removeprefix(".")
    check_runtime(what)
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected one that export {what} wrote")
    content = path.read_bytes()
    try:
        runtime: Any = OnnxRuntime(content) if what == "onnx" else LiteRTRuntime(content)
    except Exception as error:  # each library has errors of its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
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
    """What ``export`` says of its files, as plain values."""
    beside = path.with_name(_METADATA)
    try:
        if "front_end" in stored:
            return {**stored, **{name: json.loads(stored[name]) for name in ("classes", "front_end")}}
        if not beside.is_file():
            raise UserError(
                f"{path}: no {_METADATA} beside it, which says its classes and its front end; copy it there"
            )
        described = json.loads(read_text(beside, expected="what export writes"))
    except (ValueError, KeyError) as error:
        raise UserError(f"{path}: its description cannot be read ({error}); export the run again") from None
    if not isinstance(described, dict):
        raise UserError(f"{beside}: not what export writes; copy that of the same export")
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
    """Let the file score a clip of zeros, which tells whether it fits its description."""
    try:
        found = network(torch.zeros(1, *shape)).shape
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(
            f"{path}: does not take the features {list(shape)} that its description says ({reason}); copy the "
            f"{_METADATA} of the same export"
        ) from None
    if tuple(found) != (1, classes):
        raise UserError(f"{path}: {classes} names of classes; expected {found[-1]}, as the file has outputs")
