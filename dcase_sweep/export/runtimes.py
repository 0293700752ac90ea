"""Runtimes for exported files, which score one clip at a time, and measurement of their latency."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.export.quiet import silence

if TYPE_CHECKING:
    from dcase_sweep.export.network import ScoringNetwork

#: Invocations before the measured ones, and the measured ones of each round.
_WARM_UP, _ROUNDS, _CALLS = 5, 20, 5
#: The folder in which ONNX Runtime looks for weights outside of a file, which no export has. It must not exist.
_NOWHERE = "/nonexistent/dcase_sweep"


class Runtime(Protocol):
    """Scores clips.

    Attributes:
        step: quantisation step of the probabilities; 0 for floating point.
    """

    step: float

    def __call__(self, clip: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute probabilities ``[class]`` of the log-mel map ``[mel, frame]`` of one clip."""


class TorchRuntime:
    """The float network in PyTorch, on the number of threads that PyTorch is set to."""

    step = 0.0

    def __init__(self, network: "ScoringNetwork") -> None:
        self._network = network

    def __call__(self, clip: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            scores: NDArray[np.float32] = self._network(torch.from_numpy(clip)[None, :, :, None])[0].numpy()
        return scores


class LiteRTRuntime:
    """A TensorFlow Lite file in LiteRT, on one thread; int8 inputs and outputs are quantised and dequantised here.

    Args:
        content: content of the file.
        keep_tensors: keep all tensors for `tensor`; this needs memory and is slower.
    """

    def __init__(self, content: bytes, *, keep_tensors: bool = False) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        # Kernels of the delegate write their results to other memory.
        kept: dict[str, Any] = {
            "experimental_preserve_all_tensors": True,
            "experimental_op_resolver_type": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        }
        with silence():
            self._interpreter = Interpreter(model_content=content, num_threads=1, **(kept if keep_tensors else {}))
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]
        self.step = float(self._output["quantization"][0])

    def __call__(self, clip: NDArray[np.float32]) -> NDArray[np.float32]:
        self._interpreter.set_tensor(self._input["index"], quantise(clip[None, :, :, None], self._input))
        self._interpreter.invoke()
        scores: NDArray[np.float32] = dequantise(self._interpreter.get_tensor(self._output["index"]), self._output)[0]
        return scores

    def seen(self) -> NDArray[np.float32]:
        """Return the input for the last clip, dequantised."""
        return dequantise(self._interpreter.get_tensor(self._input["index"]), self._input)

    def tensor(self, index: int) -> NDArray[np.float32]:
        """Return a tensor of the last clip by its number in the file, dequantised."""
        details = self._interpreter.get_tensor_details()[index]
        return dequantise(self._interpreter.get_tensor(index), details)

    @property
    def signature(self) -> dict[str, Any]:
        """Type and quantisation of the input and the output."""
        return {"input": _described(self._input), "output": _described(self._output)}


class OnnxRuntime:
    """An ONNX file in ONNX Runtime, on one thread of the processor. The file cannot name other files to read."""

    step = 0.0

    def __init__(self, content: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", _NOWHERE)
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._name = self._session.get_inputs()[0].name

    def __call__(self, clip: NDArray[np.float32]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self._session.run(None, {self._name: clip[None, :, :, None]})[0][0]
        return scores

    @property
    def metadata(self) -> dict[str, str]:
        """The strings that the file holds."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def signature(self) -> dict[str, Any]:
        """Type and shape of the input and the output."""
        ends = {"input": self._session.get_inputs()[0], "output": self._session.get_outputs()[0]}
        return {which: {"name": end.name, "type": "float32", "shape": end.shape} for which, end in ends.items()}


def quantise(values: NDArray[np.float32], details: Mapping[str, Any]) -> NDArray[Any]:
    """Quantise values to the type of a tensor of LiteRT."""
    scale, zero_point = details["quantization"]
    if not scale:
        return values.astype(details["dtype"])
    bounds = np.iinfo(details["dtype"])
    return np.clip(np.round(values / scale) + zero_point, bounds.min, bounds.max).astype(details["dtype"])


def dequantise(values: NDArray[Any], details: Mapping[str, Any]) -> NDArray[np.float32]:
    """Dequantise a tensor of LiteRT."""
    scale, zero_point = details["quantization"]
    return ((values.astype(np.float32) - zero_point) * scale if scale else values).astype(np.float32)


def _described(details: Mapping[str, Any]) -> dict[str, Any]:
    scale, zero_point = details["quantization"]
    quantised = {"scale": float(scale), "zero_point": int(zero_point)} if scale else None
    return {
        "name": details["name"],
        "type": np.dtype(details["dtype"]).name,
        "shape": [int(size) for size in details["shape"]],
        "quantisation": quantised,
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread in the block, like the other runtimes."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def latencies(runtimes: Sequence[Runtime], clip: NDArray[np.float32]) -> list[float]:
    """Measure the median time (ms) of one clip in each runtime.

    The runtimes alternate after a few calls, so that a temporary slowdown of the machine affects all of them.
    """
    taken: list[list[float]] = [[] for _ in runtimes]
    for runtime in runtimes:
        for _ in range(_WARM_UP):
            runtime(clip)
    for _ in range(_ROUNDS):
        for runtime, times in zip(runtimes, taken, strict=True):
            runtime(clip)  # not measured, because the caches hold the data of another runtime
            for _ in range(_CALLS):
                began = time.perf_counter()
                runtime(clip)
                times.append(1e3 * (time.perf_counter() - began))
    return [float(np.median(times)) for times in taken]
