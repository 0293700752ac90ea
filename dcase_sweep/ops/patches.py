"""The patches of spectrograms that a convolution multiplies with its kernel, and their statistics."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from dcase_sweep.ops.statistics import Statistics
from dcase_sweep.ops.threads import run_together, working_memory, workspace


@dataclass(frozen=True, slots=True)
class Patches:
    """The patches of spectrograms ``[batch, frame, mel]`` that a convolution multiplies with its kernel.

    ``padded`` holds the spectrograms with zero padding, ``kernel`` the odd sizes ``(frame, mel)``.
    """

    padded: Tensor
    kernel: tuple[int, int]

    @staticmethod
    def extract(spectrograms: Tensor, kernel: tuple[int, int]) -> "Patches":
        """Pad spectrograms for a convolution that keeps their size."""
        frames, mels = (size // 2 for size in kernel)
        return Patches(functional.pad(spectrograms, (mels, mels, frames, frames)), kernel)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the maps, ``(batch, frame, mel)``."""
        clips, frames, mels = self.padded.shape
        return clips, frames - self.kernel[0] + 1, mels - self.kernel[1] + 1

    @property
    def size(self) -> int:
        """Number of values in a patch."""
        return self.kernel[0] * self.kernel[1]

    def at(self, clip: int, frames: slice) -> Tensor:
        """View the patches at some frames of a clip, ``[frame of the kernel, mel of the kernel, frame, mel]``."""
        padded, (_, _, mels) = self.padded, self.shape
        over_clips, over_frames, over_mels = padded.stride()
        return padded.as_strided(
            (*self.kernel, frames.stop - frames.start, mels),
            (over_frames, over_mels, over_frames, over_mels),
            padded.storage_offset() + clip * over_clips + frames.start * over_frames,
        )


@dataclass(frozen=True, slots=True)
class PatchMemory:
    """Working memory for patches, ``[patch, position]``, with a last row of ones, which stands for a bias.

    Attributes:
        all: the patches and the ones, ``[patch + 1, position]``.
        rows: the same, ``[position, patch + 1]``.
        values: the patches, ``[frame of the kernel, mel of the kernel, frame, mel]``.
        ones: ``[position]``.
    """

    all: Tensor
    rows: Tensor
    values: Tensor
    ones: Tensor

    @staticmethod
    def of(memory: Tensor, kernel: tuple[int, int], frames: int, mels: int) -> "PatchMemory":
        values = memory[:-1].view(*kernel, frames, mels)
        return PatchMemory(memory, memory.t(), values, memory[-1])

    @staticmethod
    def make(kernel: tuple[int, int], frames: int, mels: int, dtype: torch.dtype) -> "PatchMemory":
        (memory,) = working_memory([((kernel[0] * kernel[1] + 1, frames * mels), dtype)])
        return PatchMemory.of(memory, kernel, frames, mels)

    def write(self, patches: Tensor) -> None:
        """Write patches from :meth:`Patches.at`."""
        self.values.copy_(patches)
        self.ones.fill_(1)


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums of the patches over all positions, ``[patch]``, and of their products, ``[patch, patch]``, in float64."""

    sums: Tensor
    products: Tensor
    count: int

    @staticmethod
    def compute(patches: Patches) -> "Moments":
        """Sum over a whole batch."""
        clips, frames, mels = patches.shape

        def sum_clip(clip: int) -> Tensor:
            memory = workspace(PatchMemory.make, patches.kernel, frames, mels, patches.padded.dtype)
            memory.write(patches.at(clip, slice(0, frames)))
            return (memory.all @ memory.rows).double()

        products = sum(run_together([partial(sum_clip, clip) for clip in range(clips)]), torch.zeros(1))
        return Moments(products[-1, :-1], products[:-1, :-1], clips * frames * mels)

    def statistics(self, weight: Tensor, bias: Tensor) -> Statistics:
        """Compute the statistics of the maps that a convolution ``[channel, 1, frame, mel]`` gives."""
        kernel = weight.flatten(1).double()
        mean = self.sums / self.count
        covariance = self.products / self.count - mean.outer(mean)
        variance = ((kernel @ covariance) * kernel).sum(1).clamp_(min=0)
        dtype = weight.dtype
        return Statistics((kernel @ mean + bias).to(dtype), variance.to(dtype), self.count, are_of_batch=True)


#: The patches that were measured last and have been asked for once.
_measured: "tuple[Patches, Moments] | None" = None


def measure(patches: Patches) -> Moments:
    """Compute the moments of a batch's patches, once for two networks in a row that see the same spectrograms.

    So do the student and the teacher of a mean teacher.
    """
    global _measured
    last, _measured = _measured, None
    if last is not None and last[0].kernel == patches.kernel and _are_equal(last[0].padded, patches.padded):
        return last[1]
    moments = Moments.compute(patches)
    _measured = patches, moments
    return moments


def _are_equal(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)
