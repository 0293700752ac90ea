"""Conversion of a trained network to ONNX: exported by PyTorch, quantised by ONNX Runtime."""

import json
import logging
import subprocess
import sys
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
from dcase_sweep.export.quiet import discard
from dcase_sweep.utils.errors import UserError, get_reason

log = logging.getLogger(__name__)

#: Float; half precision; int8 weights with activations quantised at run time; all int8.
KINDS = ("float32", "float16", "dynamic", "int8")
#: Older than the newest, so that the runtimes of phones and boards can read it.
_OPSET = 17
_INPUT, _OUTPUT = "log_mel", "probabilities"
#: Largest difference of float32 probabilities between PyTorch and ONNX Runtime that is one of rounding.
_ROUNDING = 1e-3
#: A program that scores one clip with a file. It needs none of this package, which need not be installed.
_TRIAL = """
import sys
import numpy, onnxruntime
path, *shape = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.log_severity_level = 4
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
session.run(None, {session.get_inputs()[0].name: numpy.zeros([int(size) for size in shape], "float32")})
"""


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

    The batch may have any size, unless the network computes with the number of clips as a Python number, such as
    ``len(features)``: tracing fixes it. Then `takes_batches` is false once float32 is converted, the first of `KINDS`,
    and the files read one clip at a time.

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
        self.takes_batches = True

    def convert(
        self, kind: str, calibration: NDArray[np.float32], *, on_clip: Callable[[], None] = lambda: None
    ) -> bytes:
        """Convert to one kind and return the file's content, checked by ONNX's own checker.

        Args:
            kind: one of `KINDS`.
            calibration: log-mel maps ``[clip, mel, frame]`` for the ranges of the tensors in ``int8``.
            on_clip: called after each map.

        Raises:
            UserError: if PyTorch or ONNX Runtime cannot convert the network.
        """
        import onnx

        with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about PyTorch's newest exporter
            exported, quantised = Path(temporary) / "exported.onnx", Path(temporary) / "quantised.onnx"
            try:
                self._export(kind, exported)
                if kind in ("dynamic", "int8"):
                    _copy_shared(exported)
                if kind == "dynamic":
                    _quantise_dynamic(exported, quantised)
                elif kind == "int8":
                    _quantise_static(exported, quantised, calibration, on_clip)
                if quantised.is_file():
                    _try_file(quantised, self._shape)
            except Exception as error:  # of a network of one's own anything can be unsupported
                reason = get_reason(error)
                raise UserError(f"{kind}.onnx: the network cannot be converted ({reason.rstrip('.')})") from error
            model = onnx.load(quantised if quantised.is_file() else exported)
        onnx.helper.set_model_props(model, self.describe(self._metadata))
        onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString()
        return content

    def describe(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Return metadata with the size of the batch that the files take."""
        return dict(metadata) if self.takes_batches else describe_one(metadata)

    def _export(self, kind: str, path: Path) -> None:
        network = self._build()
        chosen = _HalfNetwork(network) if kind == "float16" else network
        self._trace(chosen, path)
        if kind in ("float32", "float16"):  # the others begin with a float32 file, which has been tried
            _try_file(path, self._shape)
        if kind == "float32" and not self._reads_batches(network, path):
            self.takes_batches = False
            log.warning(
                "batch     the files read one clip at a time: the network uses the number of clips as a Python number, "
                "such as len(features), which the conversion fixes; features.shape[0] stays open"
            )
            self._trace(chosen, path)

    def _trace(self, network: nn.Module, path: Path) -> None:
        axes = {_INPUT: {0: "batch"}, _OUTPUT: {0: "batch"}} if self.takes_batches else None
        # The newer exporter needs onnxscript, and writes the same operations for these networks.
        with discard():  # the whole graph, if it has an operation that ONNX lacks
            torch.onnx.export(
                network.eval(),
                (torch.zeros(1, *self._shape, 1),),
                str(path),
                input_names=[_INPUT],
                output_names=[_OUTPUT],
                dynamic_axes=axes,
                opset_version=_OPSET,
                dynamo=False,
            )

    def _reads_batches(self, network: nn.Module, path: Path) -> bool:
        """Whether a file gives the probabilities of the network for several clips too."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        clips = torch.randn(3, *self._shape, 1, generator=torch.Generator().manual_seed(0))
        try:
            found = session.run(None, {_INPUT: clips.numpy()})[0]
        except Exception:  # the runtime's own error, which is no class of Python's
            return False
        with torch.inference_mode():
            expected = network(clips).numpy()
        return found.shape == expected.shape and bool(np.allclose(found, expected, rtol=0, atol=_ROUNDING))


def _copy_shared(path: Path) -> None:
    """Give each layer a bias of its own in a file, and the weight itself where two layers share it.

    PyTorch writes a shared tensor once and an identity for each further use, which ONNX Runtime does not quantise. The
    scale of a bias is that of its layer's input, so that a bias cannot be shared.
    """
    import onnx

    model = onnx.load(path)
    stored = {each.name: each for each in model.graph.initializer}
    replaced = {}
    for node in [each for each in model.graph.node if each.op_type == "Identity" and each.input[0] in stored]:
        shared = stored[node.input[0]]
        if len(shared.dims) == 1:
            copy = model.graph.initializer.add()
            copy.CopyFrom(shared)
            copy.name = node.output[0]
        else:
            replaced[node.output[0]] = shared.name
        model.graph.node.remove(node)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = replaced.get(name, name)
    onnx.save(model, path)


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
            return {_INPUT: clip[None, :, :, None]}

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


def _try_file(path: Path, shape: tuple[int, int]) -> None:
    """Score one clip ``[mel, frame]`` in a process of its own: ONNX Runtime crashes on some files.

    Raises:
        RuntimeError: if the file cannot be used.
    """
    words = [sys.executable, "-P", "-c", _TRIAL, str(path), *map(str, (1, *shape, 1))]
    ended = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", errors="replace")
    if ended.returncode:
        lines = ended.stderr.strip().splitlines()
        raise RuntimeError(
            lines[-1] if lines and ended.returncode == 1 else "ONNX Runtime crashes when it loads the file"
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


def describe_one(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata of a file that reads one clip at a time."""
    return {
        key: value.replace("[batch,", "[1,") if key in ("input", "output") else value for key, value in metadata.items()
    }


def as_metadata(values: Mapping[str, Any]) -> dict[str, str]:
    """Convert values for the metadata of an ONNX file: text is unchanged, everything else becomes JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
