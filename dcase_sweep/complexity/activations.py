"""Peak memory of the activations of a PyTorch network for one clip."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

#: Operators that only change the memory layout. An inference engine uses one layout and does not need them.
_COPIES = ("aten.clone", "aten._to_copy", "aten.contiguous")


@dataclass(frozen=True, slots=True)
class _Step:
    """One operation, with the numbers of the buffers that it reads and writes."""

    layer: int
    reads: frozenset[int]
    writes: tuple[int, ...]
    #: Whether each output value depends only on the input values at the same position.
    is_pointwise: bool
    #: Values that are needed only during the operation.
    working: int = 0


class ActivationTrace(TorchDispatchMode):
    """Records one forward pass of one clip and counts how many values are live at the same time in each layer.

    Operations run one after the other, in the network's order. A value is live from the operation that writes it to the
    last one that reads it. So each operation needs its inputs, its outputs and the values that later operations read.
    This is the working set of Liberis and Lane ("Neural networks on microcontrollers", arXiv:1910.05110), the peak
    memory of MCUNet (Lin et al., 2020), and a lower bound for an arena like that of TensorFlow Lite Micro (David et
    al., 2021). As in an inference engine:

    - element-wise operations (batch normalisation, which is folded into the convolution; activation functions; products
      and sums) overwrite an input of the same size that is not read later;
    - dropout is removed, and reshaping, transposing and contiguous copies need no memory;
    - a recurrent layer runs frame by frame, layer by layer, one direction after the other. In addition to its input and
      output sequence it needs its state and the gates of one frame.

    The features of the clip count until the last operation that reads them. Weights and the scratch memory of operators
    do not count.

    Args:
        clip: features ``[1, mel, frame]``, the input of the network.
    """

    def __init__(self, clip: Tensor) -> None:
        super().__init__()
        #: The position of the current layer. Operations between two layers count as part of the first.
        self.layer = 0
        self._steps: list[_Step] = []
        self._sizes = [clip.numel()]
        self._buffers = {_storage(clip): 0}
        self._kept: list[Any] = [clip]  # keeps storages alive, because a freed address could be reused
        self._recurrent = _RecurrentLayers(self)

    def __enter__(self) -> "ActivationTrace":
        super().__enter__()
        self._recurrent.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._recurrent.__exit__(*exception)
        super().__exit__(*exception)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        name = str(func)
        read = self.find_buffers(tree_leaves((args, kwargs)))
        if read:
            new = [each for each in tree_leaves(found) if isinstance(each, Tensor) and not self.find_buffers([each])]
            if name.startswith(_COPIES):
                for copy in new:
                    self._buffers[_storage(copy)] = min(read)
                self._kept.append(new)
            else:
                self._record(read, new, torch.Tag.pointwise in func.tags or "batch_norm" in name)
        return found

    def record_recurrent(self, sequence: Tensor, states: Sequence[Tensor], working: int) -> None:
        """Record the layers of a recurrent network, each of which reads the states of the layer before."""
        for each in states:
            self._record(self.find_buffers([sequence]), [each], False, working)
            sequence = each

    def live_values(self, results: Any, layers: int) -> list[int]:
        """Return the largest number of live values in each layer. The network's results are live to the end."""
        last = {number: len(self._steps) for number in self.find_buffers(tree_leaves(results))}
        for position, step in enumerate(self._steps):
            last.update({number: max(position, last.get(number, 0)) for number in step.reads})
        peaks, live = [0] * layers, {0}
        for position, step in enumerate(self._steps):
            made = [number for number in step.writes if number in last]  # values that are never read are not written
            done = {number for number in step.reads if last[number] == position}
            is_in_place = step.is_pointwise and any(self._sizes[number] == self._size(made) for number in done)
            needed = self._size(live) + (0 if is_in_place else self._size(made)) + step.working
            peaks[step.layer] = max(peaks[step.layer], needed)
            live = (live - done) | set(made)
        return peaks

    def _record(self, read: frozenset[int], new: Sequence[Tensor], is_pointwise: bool, working: int = 0) -> None:
        first = len(self._sizes)
        for each in new:
            self._buffers[_storage(each)] = len(self._sizes)
            self._sizes.append(each.numel())
        self._kept.append(new)
        self._steps.append(_Step(self.layer, read, tuple(range(first, len(self._sizes))), is_pointwise, working))

    def find_buffers(self, values: Iterable[Any]) -> frozenset[int]:
        """Return the numbers of the buffers among some values; weights and constants are not buffers."""
        numbers = (self._buffers.get(_storage(value)) for value in values if isinstance(value, Tensor))
        return frozenset(number for number in numbers if number is not None)

    def _size(self, numbers: Iterable[int]) -> int:
        return sum(self._sizes[number] for number in numbers)


#: Functions of recurrent layers; that of an LSTM takes and returns two states.
_RECURRENT = ("gru", "lstm", "rnn_tanh", "rnn_relu")


class _RecurrentLayers(TorchFunctionMode):
    """Records one operation for each recurrent layer, instead of a thousand that PyTorch runs frame by frame."""

    def __init__(self, trace: ActivationTrace) -> None:
        super().__init__()
        self.trace = trace

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # With packed sequences, which are not supported, the list of weights is the next argument.
        if getattr(func, "__name__", "") not in _RECURRENT or not isinstance(args[2], list):
            return func(*args, **(kwargs or {}))
        sequence, before, weights, _, layers = args[:5]
        states = [before] if isinstance(before, Tensor) else list(before)
        directions = len(states[0]) // layers
        shape = (*sequence.shape[:2], directions * states[0].shape[-1])
        results = [torch.empty(shape, dtype=sequence.dtype, device=sequence.device) for _ in range(layers)]
        working = sum(each.shape[-1] for each in states) + weights[1].shape[0]  # the state, and the gates
        self.trace.record_recurrent(sequence, results, working=working)
        return results[-1], *states


def _storage(tensor: Tensor) -> int:
    """Return the identity of the tensor's memory; it works on the meta device too."""
    return tensor.untyped_storage()._cdata
