"""Dropout that draws 64 random bits at a time instead of one random number a value."""

from collections.abc import Iterable, Iterator
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
    def draw_into(
        masks: "list[DropoutMask | None]", counts: Iterable[int], probability: float
    ) -> "Iterator[DropoutMask | None]":
        """Draw masks one by one as they are asked for, and append them to ``masks``; without dropout they are None."""
        for count in counts:
            masks.append(DropoutMask.draw(count, probability) if probability else None)
            yield masks[-1]

    @staticmethod
    def masks_for(count: int, dtype: torch.dtype) -> tuple[tuple[int], torch.dtype]:
        """Shape and type of the memory that :class:`MaskMemory` needs for ``count`` values of type ``dtype``."""
        return (64 * -(-count // 64),), _INTEGER_OF_SIZE[dtype.itemsize]

    def zero_dropped_(self, values: Tensor, memory: "MaskMemory | None" = None) -> Tensor:
        """Set the dropped entries of contiguous ``values`` to zero, in place. The others are not scaled.

        ``memory`` is working memory for these values; by default it is allocated here.
        """
        if memory is None:
            shape, integer = self.masks_for(self.count, values.dtype)
            memory = MaskMemory.of(values, torch.empty(shape, dtype=integer))
        if self.is_packed:
            # Plane k of the masks: bit k of every word, copied to all bits of an integer.
            torch.bitwise_left_shift(self.words.view(memory.planes.dtype), memory.shifts, out=memory.planes)
            memory.planes.bitwise_right_shift_(len(memory.planes) - 1)
        else:
            memory.masks.copy_(self.words).neg_()
        memory.values.bitwise_and_(memory.masks)
        return values


@dataclass(frozen=True, slots=True)
class MaskMemory:
    """Working memory for the masks of some values, and the values, all as integers of their size.

    Attributes:
        values: the values, ``[value]``.
        masks: one integer for each value, ``[value]``.
        planes: the memory of the masks, ``[bit, word]``.
        shifts: the number of each bit, ``[bit, 1]``.
    """

    values: Tensor
    masks: Tensor
    planes: Tensor
    shifts: Tensor

    @staticmethod
    def of(values: Tensor, memory: Tensor) -> "MaskMemory":
        """Use memory of the shape and type of :meth:`DropoutMask.masks_for` for contiguous ``values``."""
        count, bits = values.numel(), 8 * values.element_size()
        shifts = torch.arange(bits, dtype=memory.dtype).unsqueeze(1)
        return MaskMemory(values.view(-1).view(memory.dtype), memory[:count], memory.view(bits, -1), shifts)


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
