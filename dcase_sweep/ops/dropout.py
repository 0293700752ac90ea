"""Dropout that draws 64 random bits at a time instead of one random number a value."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from dcase_sweep.ops.can_fuse import can_fuse

_INTEGER_OF_SIZE = {2: torch.int16, 4: torch.int32, 8: torch.int64}
_LEVELS = 1 << 16


@dataclass(frozen=True, slots=True)
class DropoutMask:
    """Draw a dropout mask for ``count`` values, as random bits or as booleans.

    PyTorch 2.13's CPU dropout draws one random number for each value, on one thread. With probability 0.5, one 64-bit
    word decides about 64 values. With any other, the probability is rounded to a multiple of 1 / 65,536 and a word
    decides about four values. ``scale`` is one over the exact probability of keeping a value, so that the expectation
    is exact.
    """

    words: Tensor
    count: int
    scale: float
    is_packed: bool

    @staticmethod
    def draw(count: int, probability: float) -> "DropoutMask":
        """Draw a mask from PyTorch's default generator, so that its seed reproduces it."""
        is_packed = probability == 0.5
        per_word = 64 if is_packed else 4
        words = torch.empty(-(-count // per_word), dtype=torch.int64)
        words.random_(torch.iinfo(torch.int64).min, None)
        if is_packed:
            return DropoutMask(words, count, 2.0, True)
        dropped = min(round(probability * _LEVELS), _LEVELS - 1)
        kept = words.view(torch.int16)[:count] >= dropped - _LEVELS // 2
        return DropoutMask(kept, count, _LEVELS / (_LEVELS - dropped), False)

    @staticmethod
    def masks_for(count: int, dtype: torch.dtype) -> tuple[tuple[int], torch.dtype]:
        """Shape and type of the memory that :meth:`zero_dropped_` needs for ``count`` values of type ``dtype``."""
        return (64 * -(-count // 64),), _INTEGER_OF_SIZE[dtype.itemsize]

    def zero_dropped_(self, values: Tensor, masks: Tensor | None = None) -> Tensor:
        """Set the dropped entries of contiguous ``values`` to zero, in place. The others are not scaled.

        ``masks`` is working memory of the shape and type of :meth:`masks_for`; by default it is allocated here.
        """
        shape, integer = self.masks_for(self.count, values.dtype)
        if masks is None:
            masks = torch.empty(shape, dtype=integer)
        if self.is_packed:
            # Plane k of the masks: bit k of every word, copied to all bits of an integer.
            bits = 8 * values.element_size()
            shifts = torch.arange(bits, dtype=integer).unsqueeze(1)
            torch.bitwise_left_shift(self.words.view(integer), shifts, out=masks.view(bits, -1))
            masks.bitwise_right_shift_(bits - 1)
        else:
            masks[: self.count].copy_(self.words).neg_()
        values.view(-1).view(integer).bitwise_and_(masks[: self.count])
        return values


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, probability: float) -> Tensor:
        mask = DropoutMask.draw(values.numel(), probability)
        ctx.mask = mask
        return mask.zero_dropped_(torch.mul(values, mask.scale).contiguous())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        mask: DropoutMask = ctx.mask
        return mask.zero_dropped_(torch.mul(gradient, mask.scale).contiguous()), None


def dropout(values: Tensor, probability: float, training: bool) -> Tensor:
    """Drop each value with ``probability`` and divide the others by ``1 - probability``; the shape is kept."""
    if training and 0 < probability < 1 and can_fuse(values):
        dropped: Tensor = _Dropout.apply(values, probability)
        return dropped
    return nn.functional.dropout(values, probability, training)


class Dropout(nn.Module):
    """``torch.nn.Dropout`` with :func:`dropout`: the same distribution, several times faster on a CPU."""

    def __init__(self, probability: float = 0.5) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, values: Tensor) -> Tensor:
        """Apply dropout to ``values`` of any shape in training; return them unchanged otherwise."""
        return dropout(values, self.probability, self.training)

    def extra_repr(self) -> str:
        return f"probability={self.probability}"
