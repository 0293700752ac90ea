"""Conversion of a trained network to ONNX: exported by PyTorch, quantised by ONNX Runtime."""

import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcase_sweep.export.flatbuffer import StoredTensor
from dcase_sweep.export.network import ScoringNetwork

#: Float; half precision; int8 weights with activations quantised at run time; all int8.
KINDS = ("float32", "float16", "dynamic", "int8")
#: Older than the newest, so that the runtimes of phones and boards can read it.
_OPSET = 17


class _HalfNetwork(nn.Module):
    """The network in half precision, with float input and output."""

    def __init__(self, network: ScoringNetwork) -> None:
        super().__init__()
        self.scoring = network
        self.network = network.network.half()

    def forward(self, log_mel: Tensor) -> Tensor:
        normalised = (log_mel.squeeze(3) - self.scoring.mean) / self.scoring.deviation
        return torch.softmax(self.network(normalised.half()).float(), dim=1)


class OnnxConverter:
    """Converts one trained network; reads log-mel maps ``[batch, mel, frame, 1]``, writes probabilities.

    Args:
        build: builds the float network; called for each file, because half precision changes the network.
        shape: ``(mel, frame)`` of a clip.
        metadata: strings that are stored in each file.
    """

    def __init__(
        self, build: Callable[[], ScoringNetwork], *, shape: tuple[int, int], metadata: Mapping[str, str]
    ) -> None:
        self._build = build
        self._shape = shape
        self._metadata = dict(metadata)

    def convert(
        self, kind: str, calibration: NDArray[np.float32], *, on_clip: Callable[[], None] = lambda: None
    ) -> bytes:
        """Convert to one kind and return the file's content, checked by ONNX's own checker.

        Args:
            kind: one of `KINDS`.
            calibration: log-mel maps ``[clip, mel, frame]`` for the ranges of the tensors in ``int8``.
            on_clip: called after each map.
        """
        import onnx

        with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about PyTorch's newest exporter
            exported, quantised = Path(temporary) / "exported.onnx", Path(temporary) / "quantised.onnx"
            network = self._build()
            self._export(_HalfNetwork(network) if kind == "float16" else network, exported)
            if kind == "dynamic":
                _quantise_dynamic(exported, quantised)
            elif kind == "int8":
                _quantise_static(exported, quantised, calibration, on_clip)
            model = onnx.load(quantised if quantised.is_file() else exported)
        onnx.helper.set_model_props(model, self._metadata)
        onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString()
        return content

    def _export(self, network: nn.Module, path: Path) -> None:
        # The newer exporter needs onnxscript, and writes the same operations for these networks.
        torch.onnx.export(
            network.eval(),
            (torch.zeros(1, *self._shape, 1),),
            str(path),
            input_names=["log_mel"],
            output_names=["probabilities"],
            dynamic_axes={"log_mel": {0: "batch"}, "probabilities": {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )


def _quantise_dynamic(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _silent_logging():
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True)


def _quantise_static(source: Path, target: Path, calibration: NDArray[np.float32], on_clip: Callable[[], None]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Clips(CalibrationDataReader):
        def __init__(self) -> None:
            self._left: Iterator[NDArray[np.float32]] = iter(calibration)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            clip = next(self._left, None)
            if clip is None:
                return None
            on_clip()
            return {"log_mel": clip[None, :, :, None]}

    with _silent_logging():
        quantize_static(
            source,
            target,
            Clips(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            # 7 bits: without VNNI, processors add pairs of 8-bit products in 16 bits, which overflow.
            reduce_range=True,
        )


class _silent_logging:
    """Suppress ONNX Runtime's recommendation of preprocessing, which is already done."""

    def __enter__(self) -> None:
        self._before = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: Any) -> None:
        logging.disable(self._before)


def onnx_tensors(content: bytes) -> tuple[StoredTensor, ...]:
    """List the tensors of parameters of a file, without shapes and the scales of quantised tensors."""
    import onnx

    model = onnx.load_from_string(content)
    arrays = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    found = []
    for name, array in arrays.items():
        if name.endswith(("_scale", "_zero_point")) or array.dtype == np.int64:
            continue
        zero = arrays.get(name.removesuffix("_quantized") + "_zero_point", np.zeros(1))
        zeros = int(np.count_nonzero(array == zero.flat[0]))
        shape = tuple(int(size) for size in array.shape)
        found.append(StoredTensor(name, array.dtype.name, shape, int(array.size), zeros, array.dtype.itemsize))
    return tuple(found)


def as_metadata(values: Mapping[str, Any]) -> dict[str, str]:
    """Convert values for the metadata of an ONNX file: text is unchanged, everything else becomes JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
