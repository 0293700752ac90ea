"""The gate of a block, dropout and average pooling, for a part of the batch that fits one core's cache."""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dcase_sweep.ops.dropout import DropoutMask


@dataclass(frozen=True, slots=True)
class Block:
    """Parameters and constants of one block; the pool is over ``(frame, mel)``, dropout is 0 outside of training.

    ``weight`` and ``bias`` ``[channel]`` are those of the normalisation, ``gate_weight`` ``[channel, channel]`` and
    ``gate_bias`` ``[channel]`` those of the linear map that is gated.
    """

    weight: Tensor
    bias: Tensor
    gate_weight: Tensor
    gate_bias: Tensor
    epsilon: float
    pool: tuple[int, int]
    dropout: float


def wide(dtype: torch.dtype) -> torch.dtype:
    """The type to sum and normalise in: float32 or wider."""
    return torch.promote_types(dtype, torch.float32)


def widened(values: Tensor, memory: Tensor) -> Tensor:
    """The values in the type of the memory: in the memory, unless they have that type already."""
    return values if values.dtype == memory.dtype else memory.copy_(values)


def spare_for(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[tuple[int], torch.dtype]:
    """Memory that holds the masks of dropout for maps, and before or after them maps (see :func:`maps_in`)."""
    return DropoutMask.masks_for(math.prod(shape), dtype)


def maps_in(spare: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Maps in the memory that :func:`spare_for` describes."""
    return spare[: math.prod(shape)].view(dtype).view(shape)


class Gate:
    """(W y + b) · σ(y), dropout and average pooling of normalised maps y ``[clip, frame, mel, channel]``.

    Methods write into given memory. ``linear`` and ``sigmoid`` are like the maps, ``spare`` is for :func:`spare_for`
    them; it is written last, so that the normalised maps may lie there where they are not needed afterwards.
    """

    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        self.weight, self.bias = block.gate_weight.to(dtype), block.gate_bias.to(dtype)
        self.pool = block.pool

    def _open(
        self, normalised: Tensor, mask: DropoutMask | None, linear: Tensor, sigmoid: Tensor, spare: Tensor
    ) -> float:
        """Writes the linear map and the sigmoid behind dropout; returns the factor that is left out."""
        channels = normalised.shape[-1]
        torch.addmm(self.bias, normalised.view(-1, channels), self.weight.t(), out=linear.view(-1, channels))
        torch.sigmoid(normalised, out=sigmoid)
        scale = 1 / math.prod(self.pool)
        if mask is None:
            return scale
        mask.zero_dropped_(sigmoid, spare)
        return scale * mask.scale

    def forward(
        self,
        normalised: Tensor,
        mask: DropoutMask | None,
        pooled: Tensor,
        *,
        linear: Tensor,
        sigmoid: Tensor,
        spare: Tensor,
    ) -> None:
        """Writes gated and pooled maps ``[clip, frame, mel, channel]``."""
        scale = self._open(normalised, mask, linear, sigmoid, spare)
        if pooled.dtype == wide(pooled.dtype):
            pairs = zip(self._windows(linear), self._windows(sigmoid), strict=True)
            torch.mul(*next(pairs), out=pooled)
            for pair in pairs:
                pooled.addcmul_(*pair)
        else:
            # This operator sums in float32.
            gated = linear.mul_(sigmoid).permute(0, 3, 1, 2)
            torch.ops.aten.avg_pool2d.out(gated, list(self.pool), divisor_override=1, out=pooled.permute(0, 3, 1, 2))
        pooled.mul_(scale)

    def backward(
        self,
        normalised: Tensor,
        mask: DropoutMask | None,
        gradient: Tensor,
        for_normalised: Tensor,
        *,
        linear: Tensor,
        sigmoid: Tensor,
        spare: Tensor,
        wide_memory: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Writes the gradient for the normalised maps, returns those for the weight and the bias.

        Write l = y Wᵀ + b, s = σ(y) behind dropout, and h for the gradient behind the gate, spread over the pool's
        windows. Then l gets h s, and y gets (h s) W + h l s (1 - s). Where dropout struck, s = 0 and so are both.

        ``wide_memory`` is for values like the maps in a type to sum in.
        """
        channels = normalised.shape[-1]
        scale = self._open(normalised, mask, linear, sigmoid, spare)
        for_linear = maps_in(spare, tuple(normalised.shape), normalised.dtype)
        self._spread_times(gradient * scale, sigmoid, for_linear)
        linear.mul_(for_linear)
        torch.addcmul(linear, linear, sigmoid, value=-1, out=linear)
        rows = for_linear.view(-1, channels)
        torch.addmm(linear.view(-1, channels), rows, self.weight, out=for_normalised.view(-1, channels))
        for_weight = rows.t() @ normalised.view(-1, channels)
        return for_weight, widened(for_linear, wide_memory).view(-1, channels).sum(0)

    def _windows(self, maps: Tensor) -> list[Tensor]:
        """The values at each place of the pool's windows, ``[clip, pooled frame, pooled mel, channel]``."""
        over_frames, over_mels = self.pool
        frames, mels = maps.shape[1] // over_frames * over_frames, maps.shape[2] // over_mels * over_mels
        places = itertools.product(range(over_frames), range(over_mels))
        return [maps[:, frame:frames:over_frames, mel:mels:over_mels] for frame, mel in places]

    def _spread_times(self, gradient: Tensor, sigmoid: Tensor, product: Tensor) -> None:
        """Writes the pooled maps' gradient, spread over each window, times the sigmoid; 0 beyond the last window."""
        frames, mels = sigmoid.shape[1:3]
        product[:, frames - frames % self.pool[0] :] = 0
        product[:, :, mels - mels % self.pool[1] :] = 0
        for target, values in zip(self._windows(product), self._windows(sigmoid), strict=True):
            torch.mul(values, gradient, out=target)
