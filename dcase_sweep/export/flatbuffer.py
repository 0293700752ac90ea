"""The contents of a TensorFlow Lite file: its operations and its stored parameters."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Conversions between number formats, which only some files have.
_FORMATS = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor of parameters in a file.

    Attributes:
        zeros: number of values that represent exactly 0.
        value_bytes: bytes of one value.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    values: int
    zeros: int
    value_bytes: int

    @property
    def stored_bytes(self) -> int:
        """Bytes of all values."""
        return self.values * self.value_bytes

    @property
    def nonzero_bytes(self) -> int:
        """Bytes of the values that are not 0."""
        return (self.values - self.zeros) * self.value_bytes


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a file.

    Attributes:
        kind: TensorFlow Lite's name, for instance ``CONV_2D``.
        output: number of its output tensor.
        shape: shape of its output tensor.
    """

    kind: str
    output: int
    shape: tuple[int, ...]


def _graph(content: bytes) -> tuple[Any, Any, Any]:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    return schema, model, model.subgraphs[0]


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def operations(content: bytes) -> tuple[Operation, ...]:
    """List the operations of a file in order, without conversions between number formats."""
    schema, model, graph = _graph(content)
    kinds = _names(schema.BuiltinOperator)
    found = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]
        if kind not in _FORMATS:
            output = int(operator.outputs[0])
            found.append(Operation(kind, output, tuple(int(size) for size in graph.tensors[output].shape)))
    return tuple(found)


def stored_tensors(content: bytes) -> tuple[StoredTensor, ...]:
    """List the tensors of parameters of a file: weights, biases and normalisation, without the shapes of reshapes.

    A pruned weight is stored as a zero in all four kinds of file, because weights are quantised symmetrically around 0.
    Rounding to int8 or float16 adds further zeros.
    """
    schema, model, graph = _graph(content)
    types = _names(schema.TensorType)
    found = []
    for tensor in graph.tensors:
        data = model.buffers[tensor.buffer].data
        quantised = tensor.quantization is not None and tensor.quantization.scale is not None
        kind = types[tensor.type]
        if data is None or len(data) == 0 or not (quantised or kind.startswith("FLOAT")):
            continue
        values = np.frombuffer(bytes(data), dtype=np.dtype(kind.lower()))
        zero = tensor.quantization.zeroPoint if quantised else None
        found.append(
            StoredTensor(
                name=_short(tensor.name.decode()),
                type=kind.lower(),
                shape=tuple(int(size) for size in tensor.shape),
                values=int(values.size),
                zeros=_zeros(values, zero),
                value_bytes=values.dtype.itemsize,
            )
        )
    return tuple(found)


def _short(name: str) -> str:
    """Return the last of the names that the converter joins, without Keras' name of the model and its counters.

    A convolution's folded bias is named after its batch normalisation: ``convolutions.1/batchnorm/sub``.
    """
    return re.sub(r"_\d+(?=/|$)", "", name.rpartition(";")[2].partition("/")[2] if ";" in name or "/" in name else name)


def _zeros(values: NDArray[Any], zero_points: Any) -> int:
    """Count the values that represent 0; the zero points of a tensor that is quantised by channel are all 0."""
    zero = int(zero_points[0]) if zero_points is not None and len(zero_points) else 0
    return int(np.count_nonzero(values == zero))
