"""What stands in a TensorFlow Lite file: its operations, and the parameters as they are stored."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Bookkeeping between number formats, which one file has and the other does not.
_FORMATS = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor of parameters as a file stores it.

    Attributes:
        zeros: of its values, those that stand for exactly 0.
        value_bytes: of one value.
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
        kind: TensorFlow Lite's name of it, ``CONV_2D`` for instance.
        output: number of the tensor that it writes.
        shape: of that tensor.
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
    """The operations of a file in their order, without those that only change a number format."""
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
    """The parameters of a file, tensor by tensor: weights, biases and normalisation, not the shapes of reshapes.

    A weight that pruning has set to zero is stored as a zero in all four kinds of file, which count it as none:
    weights are quantised around 0. Rounding to int8 or float16 adds zeros of its own.
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
    """Of the names that the converter strings together, the last, without Keras' name of the model and its counters.

    A convolution's folded bias is named after its batch normalisation: ``convolutions.1/batchnorm/sub``.
    """
    return re.sub(r"_\d+(?=/|$)", "", name.rpartition(";")[2].partition("/")[2] if ";" in name or "/" in name else name)


def _zeros(values: NDArray[Any], zero_points: Any) -> int:
    """How many values stand for 0; the zero points of a tensor that is quantised by channel are all 0."""
    zero = int(zero_points[0]) if zero_points is not None and len(zero_points) else 0
    return int(np.count_nonzero(values == zero))
