"""The gated linear unit, dropout and average pooling of a block, for a part of the batch that fits the cache."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dcase_sweep.ops.dropout import DropoutMask, MaskMemory


@dataclass(frozen=True, slots=True)
class Block:
    """Parameters and constants of one block.

    Attributes:
        weight: scale of the normalisation, ``[channel]``.
        bias: offset of the normalisation, ``[channel]``.
        gate_weight: weight of the gate's linear map, ``[channel, channel]``.
        gate_bias: bias of the gate's linear map, ``[channel]``.
        epsilon: added to the variance in the normalisation.
        pool: window sizes of the average pool, ``(frame, mel)``.
        dropout: probability of dropout; 0 outside of training.
    """

    weight: Tensor
    bias: Tensor
    gate_weight: Tensor
    gate_bias: Tensor
    epsilon: float
    pool: tuple[int, int]
    dropout: float


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return the type for sums and normalisation: float32 or wider."""
    return torch.promote_types(dtype, torch.float32)


def widened(values: Tensor, memory: Tensor) -> Tensor:
    """Convert the values to the type of ``memory``, into ``memory``; return them as they are if they have that type."""
    return values if values.dtype == memory.dtype else memory.copy_(values)


@dataclass(frozen=True, slots=True)
class Maps:
    """Maps ``[clip, frame, mel, channel]`` and the views of them that a part of the batch is computed with.

    Attributes:
        whole: the maps.
        rows: ``[position, channel]``.
        windows: the values at each position in the pool's windows, ``[clip, pooled frame, pooled mel, channel]`` each.
        rest: the frames and mel bands outside of all windows, where there are any.
    """

    whole: Tensor
    rows: Tensor
    windows: tuple[Tensor, ...]
    rest: tuple[Tensor, ...]

    @staticmethod
    def of(maps: Tensor, pool: tuple[int, int]) -> "Maps":
        """Create the views of contiguous maps."""
        over_frames, over_mels = pool
        frames, mels = maps.shape[1] // over_frames * over_frames, maps.shape[2] // over_mels * over_mels
        places = itertools.product(range(over_frames), range(over_mels))
        windows = tuple(maps[:, frame:frames:over_frames, mel:mels:over_mels] for frame, mel in places)
        rest = tuple(part for part in (maps[:, frames:], maps[:, :, mels:]) if part.numel())
        return Maps(maps, maps.view(-1, maps.shape[-1]), windows, rest)


@dataclass(frozen=True, slots=True)
class GateMemory:
    """Working memory of :class:`Gate` for maps of one shape.

    ``spare`` is written last and read last. It may share its memory with the normalised maps if these are not needed
    afterwards.
    """

    normalised: Maps
    linear: Maps
    sigmoid: Maps
    spare: Maps
    masks: MaskMemory

    @staticmethod
    def shapes(shape: tuple[int, ...], dtype: torch.dtype) -> list[tuple[tuple[int, ...], torch.dtype]]:
        """Shapes and types of the memory that :meth:`of` needs, apart from the normalised maps."""
        return [(shape, dtype), (shape, dtype), DropoutMask.masks_for(math.prod(shape), dtype)]

    @staticmethod
    def of(memory: Sequence[Tensor], pool: tuple[int, int], normalised: Tensor | None = None) -> "GateMemory":
        """Create the views of memory of the :meth:`shapes`; by default the normalised maps share that of the masks."""
        linear, sigmoid, masks = memory
        spare = masks[: linear.numel()].view(linear.dtype).view(linear.shape)
        return GateMemory(
            Maps.of(spare if normalised is None else normalised, pool),
            Maps.of(linear, pool),
            Maps.of(sigmoid, pool),
            Maps.of(spare, pool),
            MaskMemory.of(sigmoid, masks),
        )


class Gate:
    """(W y + b) · σ(y), dropout and average pooling of normalised maps y ``[clip, frame, mel, channel]``."""

    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        self.weight, self.bias = block.gate_weight.to(dtype), block.gate_bias.to(dtype)
        self.transposed = self.weight.t()
        self.pool = block.pool

    def multiply(self, memory: GateMemory) -> None:
        """Write the linear map of the normalised maps."""
        torch.addmm(self.bias, memory.normalised.rows, self.transposed, out=memory.linear.rows)

    def _open(self, memory: GateMemory, mask: DropoutMask | None) -> float:
        """Write the sigmoid with dropout applied; return the factor that remains to be applied."""
        torch.sigmoid(memory.normalised.whole, out=memory.sigmoid.whole)
        scale = 1 / math.prod(self.pool)
        if mask is None:
            return scale
        mask.zero_dropped_(memory.sigmoid.whole, memory.masks)
        return scale * mask.scale

    def forward(self, memory: GateMemory, mask: DropoutMask | None, pooled: Tensor) -> None:
        """Write the gated and pooled maps ``[clip, frame, mel, channel]`` to ``pooled``.

        The memory holds the normalised maps and their linear map.
        """
        scale = self._open(memory, mask)
        if pooled.dtype == wide(pooled.dtype):
            pairs = zip(memory.linear.windows, memory.sigmoid.windows, strict=True)
            torch.mul(*next(pairs), out=pooled)
            for pair in pairs:
                pooled.addcmul_(*pair)
        else:
            # This operator accumulates in float32.
            gated = memory.linear.whole.mul_(memory.sigmoid.whole).permute(0, 3, 1, 2)
            torch.ops.aten.avg_pool2d.out(gated, list(self.pool), divisor_override=1, out=pooled.permute(0, 3, 1, 2))
        pooled.mul_(scale)

    def backward(self, memory: GateMemory, mask: DropoutMask | None, gradient: Tensor, for_normalised: Tensor) -> None:
        """Write the gradient of the linear map to the spare memory and that of the normalised maps to its own.

        Let l = y Wᵀ + b, let s = σ(y) with dropout applied, and let h be the gradient after the gate, spread over the
        windows of the pool. The gradient of l is h s, and that of y is (h s) W + h l s (1 - s). Where a value was
        dropped, s = 0 and both are 0.

        The memory holds the normalised maps y and their linear map l. ``for_normalised`` is ``[position, channel]``
        and may share the memory of the sigmoid.
        """
        gradient = gradient * self._open(memory, mask)
        linear, sigmoid, spare = memory.linear.whole, memory.sigmoid, memory.spare
        for part in spare.rest:
            part.zero_()
        for target, values in zip(spare.windows, sigmoid.windows, strict=True):
            torch.mul(values, gradient, out=target)
        linear.mul_(spare.whole)
        torch.addcmul(linear, linear, sigmoid.whole, value=-1, out=linear)
        torch.addmm(memory.linear.rows, spare.rows, self.weight, out=for_normalised)
