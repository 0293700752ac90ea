"""How much memory the intermediate results of a PyTorch network need while it judges one clip."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

#: Change where values lie, not what they are: an engine chooses one layout and leaves them there.
_COPIES = ("aten.clone", "aten._to_copy", "aten.contiguous")


@dataclass(frozen=True, slots=True)
class _Step:
    """One operation: the buffers that it reads and writes, by their numbers."""

    layer: int
    reads: frozenset[int]
    writes: tuple[int, ...]
    #: Whether each value that comes out needs only the one at its place.
    is_pointwise: bool
    #: Values that are needed only while it runs.
    working: int = 0


class ActivationTrace(TorchDispatchMode):
    """Watches one forward pass of one clip and tells how many values are live at once, the most within each layer.

    The network runs operation by operation, in its own order. A value is live from the operation that writes it to the
    last one that reads it, so each operation has its inputs and its outputs, and what later ones still need. This is
    the working set of Liberis and Lane ("Neural networks on microcontrollers", arXiv:1910.05110), the peak memory of
    MCUNet (Lin et al., 2020), and the least that an arena as TensorFlow Lite Micro's (David et al., 2021) can do with.
    As an inference engine does:

    - what works value by value (batch normalisation, which is folded into the convolution; activation functions;
      products and sums) writes over an input of the same size that nobody needs later;
    - dropout is absent; reshaping, reordering and contiguous copies cost nothing;
    - a GRU runs frame by frame, layer by layer, one direction after the other: besides its input and output sequence it
      needs its state and the gates of a frame.

    The clip's features count until they have been read; weights and an operator's scratch memory do not.

    Args:
        clip: features ``[1, mel, frame]``, what the network is called with.
    """

    def __init__(self, clip: Tensor) -> None:
        super().__init__()
        #: The position of the layer that runs; operations between two layers count to the first of them.
        self.layer = 0
        self._steps: list[_Step] = []
        self._sizes = [clip.numel()]
        self._buffers = {_storage(clip): 0}
        self._kept: list[Any] = [clip]  # whose storage's address must not be given to another
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
        read = self._known(tree_leaves((args, kwargs)))
        if read:
            new = [each for each in tree_leaves(found) if isinstance(each, Tensor) and not self._known([each])]
            if name.startswith(_COPIES):
                for copy in new:
                    self._buffers[_storage(copy)] = min(read)
                self._kept.append(new)
            else:
                self._note(read, new, torch.Tag.pointwise in func.tags or "batch_norm" in name)
        return found

    def note_recurrent(self, sequence: Tensor, states: Sequence[Tensor], working: int) -> None:
        """Layers of a recurrent network, each of which reads the states of the one before."""
        for each in states:
            self._note(self._known([sequence]), [each], False, working)
            sequence = each

    def live_values(self, results: Any, layers: int) -> list[int]:
        """The most values live at once within each of the layers, the network's results kept to the end."""
        last = {number: len(self._steps) for number in self._known(tree_leaves(results))}
        for position, step in enumerate(self._steps):
            last.update({number: max(position, last.get(number, 0)) for number in step.reads})
        peaks, live = [0] * layers, {0}
        for position, step in enumerate(self._steps):
            made = [number for number in step.writes if number in last]  # what nobody reads is not written
            over = {number for number in step.reads if last[number] == position}
            is_over = step.is_pointwise and any(self._sizes[number] == self._size(made) for number in over)
            needed = self._size(live) + (0 if is_over else self._size(made)) + step.working
            peaks[step.layer] = max(peaks[step.layer], needed)
            live = (live - over) | set(made)
        return peaks

    def _note(self, read: frozenset[int], new: Sequence[Tensor], is_pointwise: bool, working: int = 0) -> None:
        first = len(self._sizes)
        for each in new:
            self._buffers[_storage(each)] = len(self._sizes)
            self._sizes.append(each.numel())
        self._kept.append(new)
        self._steps.append(_Step(self.layer, read, tuple(range(first, len(self._sizes))), is_pointwise, working))

    def _known(self, values: Iterable[Any]) -> frozenset[int]:
        """The buffers among some values; weights and constants are none."""
        places = (self._buffers.get(_storage(value)) for value in values if isinstance(value, Tensor))
        return frozenset(place for place in places if place is not None)

    def _size(self, numbers: Iterable[int]) -> int:
        return sum(self._sizes[number] for number in numbers)


class _RecurrentLayers(TorchFunctionMode):
    """Takes a GRU for one operation a layer; PyTorch would break it up into a thousand, one frame after the other."""

    def __init__(self, trace: ActivationTrace) -> None:
        super().__init__()
        self.trace = trace

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") != "gru" or isinstance(args[2], Tensor):  # packed sequences, of which none is
            return func(*args, **(kwargs or {}))
        sequence, before, weights, _, layers = args[:5]
        directions, units = len(before) // layers, before.shape[-1]
        shape = (*sequence.shape[:2], directions * units)
        states = [torch.empty(shape, dtype=sequence.dtype, device=sequence.device) for _ in range(layers)]
        gates = weights[1].shape[0]
        self.trace.note_recurrent(sequence, states, working=units + gates)
        return states[-1], before


def _storage(tensor: Tensor) -> int:
    """What tells whether two tensors lie in the same memory, without weights too."""
    return tensor.untyped_storage()._cdata
