"""What a training on a GPU has for itself while others are computed beside it: a stream, and random numbers.

Kernels of different streams run at the same time. PyTorch's generator of a GPU stores the seed and the position for
recorded steps in two tensors of its state, which a replay sets before it starts. Steps that run at the same time must
not share them, so each training has a state of its own (``CUDAGeneratorState`` in PyTorch's ``CUDAGeneratorImpl.cpp``).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class OwnStream:
    """A stream of a GPU, with a state of the GPU's default generator.

    Args:
        device: the GPU.

    Attributes:
        stream: the stream.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._generator = torch.cuda.default_generators[device.index or 0]
        self._state = self._generator.clone_state()
        self.stream = torch.cuda.Stream(device)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Context in which PyTorch uses this stream and these random numbers. It never waits for the GPU."""
        before = self._generator.graphsafe_get_state()
        self._generator.graphsafe_set_state(self._state)
        try:
            with torch.cuda.stream(self.stream):
                yield
        finally:
            self._state = self._generator.graphsafe_get_state()  # a step that could not be recorded has replaced it
            self._generator.graphsafe_set_state(before)

    def begin(self, random: Tensor) -> None:
        """Begin an epoch, after everything that was started before on the current stream.

        Args:
            random: the random numbers with which it begins, as ``torch.cuda.get_rng_state`` returns them.
        """
        self._state.set_state(random)
        self.stream.wait_stream(torch.cuda.current_stream(self._device))

    def end(self) -> Tensor:
        """Let the current stream continue after the epoch, and return the random numbers at its end."""
        torch.cuda.current_stream(self._device).wait_stream(self.stream)
        random: Tensor = self._state.get_state()
        return random
