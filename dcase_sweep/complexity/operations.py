"""The layers of a PyTorch network to which its operations belong, and the multiply-accumulates of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from dcase_sweep.complexity.activations import ActivationTrace

#: Name of the network itself, where it owns parameters.
ROOT = "network"
_aten = torch.ops.aten
#: Products that PyTorch's table of floating-point operations lacks: operator → multiply-accumulates.
_FURTHER: dict[Any, Callable[..., int]] = {
    _aten.mv: lambda matrix, vector: matrix.numel(),
    _aten.addmv: lambda added, matrix, vector, **_: matrix.numel(),
    _aten.dot: lambda first, second: first.numel(),
    # Of a bilinear layer: values [item, 1, in 1, 1], weights [1, out, in 1, in 2].
    _aten._trilinear: lambda first, weights, *_: first.shape[0] * weights.numel(),
}


def count_products(func: Any, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> int:
    """Count the multiply-accumulates of one operation: of convolutions and of products of matrices, else 0."""
    operator = func._overloadpacket
    if operator in _FURTHER:
        return _FURTHER[operator](*args, **kwargs)
    if operator in flop_registry:
        return int(flop_registry[operator](*args, **kwargs, out_val=result)) // 2
    return 0


def stored_tensors(module: nn.Module, statistics: bool) -> list[Tensor]:
    """Return the parameters of a module without those of its submodules, and running statistics if they count.

    Other buffers are constants of the code, such as a window or an encoding of positions.
    """
    buffers = module.named_buffers(recurse=False) if statistics else ()
    return [
        *module.parameters(recurse=False),
        *(buffer for name, buffer in buffers if name.startswith("running_") and buffer.is_floating_point()),
    ]


def location(tensor: Tensor) -> tuple[int, int, int]:
    """Return the identity of a tensor's values: two parameters that share them have the same."""
    return _storage(tensor), int(tensor.storage_offset()), tensor.numel()


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


@dataclass(slots=True, eq=False)
class TracedLayer:
    """A module that owns parameters.

    Attributes:
        name: its name in the network.
        kind: its class.
        stored: its parameters, and running statistics if they count.
        multiply_accumulates: those of its operations.
        is_called: whether it is a module without submodules that was called: it uses all that it has.
        read: storages of its parameters that operations have read.
    """

    name: str
    kind: str
    stored: list[Tensor]
    multiply_accumulates: int = 0
    is_called: bool = False
    read: set[int] = field(default_factory=set)

    @property
    def used(self) -> list[Tensor]:
        """The parameters that the forward pass needs."""
        return [each for each in self.stored if self.is_called or _storage(each) in self.read]


class LayerTrace(TorchDispatchMode):
    """Finds the layer of each operation of one forward pass, and counts its multiply-accumulates.

    An operation belongs to the layer whose parameters it reads; one that reads none, to the layer before it. Recurrent
    layers are counted as a whole, because their operations depend on the device.

    Args:
        network: the network.
        memory: gets the number of the layer of each operation; it must be entered before.
        statistics: whether running statistics count as parameters.
    """

    def __init__(self, network: nn.Module, memory: ActivationTrace, *, statistics: bool) -> None:
        super().__init__()
        #: The layers in the order of their first use.
        self.layers: list[TracedLayer] = []
        self._memory = memory
        self._network = network
        self._handles: list[Any] = []
        self._is_recurrent = False
        self._before_layers = 0
        self._of_module: dict[nn.Module, TracedLayer] = {}
        self._owners: dict[int, list[TracedLayer]] = {}
        for name, module in network.named_modules():
            if stored := stored_tensors(module, statistics):
                layer = self._of_module[module] = TracedLayer(name or ROOT, type(module).__name__, stored)
                for tensor in stored:
                    self._owners.setdefault(_storage(tensor), []).append(layer)

    def __enter__(self) -> "LayerTrace":
        for module in self._of_module:
            if isinstance(module, nn.RNNBase) or not list(module.children()):
                self._handles.append(module.register_forward_pre_hook(self._begin))
            if isinstance(module, nn.RNNBase):
                self._handles.append(module.register_forward_hook(self._end_recurrent))
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        for handle in self._handles:
            handle.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        values = tree_leaves((args, kwargs))
        self._find_layer(values)
        found = func(*args, **(kwargs or {}))
        # What depends on weights alone, such as their normalisation, is computed once, not for each clip.
        if not self._is_recurrent and self._memory.find_buffers(values):
            self._count(count_products(func, args, kwargs or {}, found))
        return found

    def _begin(self, module: nn.Module, inputs: Any) -> None:
        layer = self._of_module[module]
        layer.is_called = True
        self._enter_layer(layer)
        self._is_recurrent = isinstance(module, nn.RNNBase)

    def _end_recurrent(self, layer: Any, inputs: Any, output: Any) -> None:
        """Count each weight of a recurrent layer once for each frame of each sequence."""
        self._is_recurrent = False
        sequence = output if isinstance(output, Tensor) else output[0]
        values = sequence if isinstance(sequence, Tensor) else sequence.data  # of packed sequences
        frames = values.numel() // values.shape[-1]
        self._count(frames * sum(weight.numel() for weight in layer.parameters() if weight.dim() == 2))

    def _find_layer(self, values: Sequence[Any]) -> None:
        """Enter the layer whose parameters are among some values; stay in the current one if it is among them."""
        owners: list[TracedLayer] = []
        for value in values:
            if isinstance(value, Tensor):
                storage = _storage(value)
                for layer in self._owners.get(storage, ()):
                    layer.read.add(storage)
                    owners.append(layer)
        if owners and self.layers and self.layers[self._memory.layer] in owners:
            return
        if owners:
            self._enter_layer(owners[0])

    def _enter_layer(self, layer: TracedLayer) -> None:
        if layer not in self.layers:
            self.layers.append(layer)
        self._memory.layer = self.layers.index(layer)

    def _count(self, products: int) -> None:
        if self.layers:
            self.layers[self._memory.layer].multiply_accumulates += products + self._before_layers
            self._before_layers = 0
        else:
            self._before_layers += products
