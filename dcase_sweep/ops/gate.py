"""The gated linear unit, dropout and average pooling of a block, for a part of the batch that fits the cache."""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dcase_sweep.ops.dropout import DropoutMask


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


def spare_for(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[tuple[int], torch.dtype]:
    """Shape and type of memory for the dropout masks of maps; at other times it stores maps (:func:`maps_in`)."""
    return DropoutMask.masks_for(math.prod(shape), dtype)


def maps_in(spare: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """View the memory that :func:`spare_for` describes as maps."""
    return spare[: math.prod(shape)].view(dtype).view(shape)


class Gate:
    """(W y + b) · σ(y), dropout and average pooling of normalised maps y ``[clip, frame, mel, channel]``.

    The methods write into memory that the caller provides. ``linear`` and ``sigmoid`` have the shape and type of the
    maps, ``spare`` those of :func:`spare_for`. ``spare`` is written last, so it may hold the normalised maps if the
    caller does not need them afterwards.
    """

    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        self.weight, self.bias = block.gate_weight.to(dtype), block.gate_bias.to(dtype)
        self.pool = block.pool

    def _open(
        self, normalised: Tensor, mask: DropoutMask | None, linear: Tensor, sigmoid: Tensor, spare: Tensor
    ) -> float:
        """Write the linear map and the sigmoid with dropout applied; return the factor that remains to be applied."""
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
        """Write the gated and pooled maps ``[clip, frame, mel, channel]`` to ``pooled``."""
        scale = self._open(normalised, mask, linear, sigmoid, spare)
        if pooled.dtype == wide(pooled.dtype):
            pairs = zip(self._windows(linear), self._windows(sigmoid), strict=True)
            torch.mul(*next(pairs), out=pooled)
            for pair in pairs:
                pooled.addcmul_(*pair)
        else:
            # This operator accumulates in float32.
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
        """Write the gradient of the normalised maps; return the gradients of the gate's weight and bias.

        Let l = y Wᵀ + b, let s = σ(y) with dropout applied, and let h be the gradient after the gate, spread over the
        windows of the pool. The gradient of l is h s, and that of y is (h s) W + h l s (1 - s). Where a value was
        dropped, s = 0 and both are 0.

        ``wide_memory`` has the shape of the maps and the type of :func:`wide`.
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
        """Return the values at each position in the pool's windows, ``[clip, pooled frame, pooled mel, channel]``."""
        over_frames, over_mels = self.pool
        frames, mels = maps.shape[1] // over_frames * over_frames, maps.shape[2] // over_mels * over_mels
        places = itertools.product(range(over_frames), range(over_mels))
        return [maps[:, frame:frames:over_frames, mel:mels:over_mels] for frame, mel in places]

    def _spread_times(self, gradient: Tensor, sigmoid: Tensor, product: Tensor) -> None:
        """Write the gradient of the pooled maps, spread over each window, times the sigmoid; 0 elsewhere."""
        frames, mels = sigmoid.shape[1:3]
        product[:, frames - frames % self.pool[0] :] = 0
        product[:, :, mels - mels % self.pool[1] :] = 0
        for target, values in zip(self._windows(product), self._windows(sigmoid), strict=True):
            torch.mul(values, gradient, out=target)
