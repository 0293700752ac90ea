"""A gated block whose layers after the convolution, or all of whose layers, are the kernels of :mod:`.gate_kernels`."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import triton
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from dcase_sweep.models.gated_block import GatedBlock
from tests.benchmarks.kernels import gate_kernels as kernels
from tests.benchmarks.kernels.products import product_constants

#: The channels that the kernels can compute: a product of matrices has at least 16, and must fit a program.
CHANNELS = (16, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class Tiling:
    """How rows are distributed over programs.

    Attributes:
        values: values of the maps that a program processes at a time.
        warps: warps of a program.
        programs: programs of the kernels that add over all rows.
    """

    values: int = 2048
    warps: int = 4
    programs: int = 512


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a block's maps, and its settings.

    Attributes:
        clips: size of the batch.
        frames: frames of the convolved maps.
        mels: mel bands of the convolved maps.
        channels: channels of the convolved maps.
        pool: sizes of the pool, ``(frame, mel)``.
        dropout: probability of dropout.
        kernel: sizes ``(frame, mel)`` of a convolution of spectrograms; ``(0, 0)`` if the maps are convolved already.
        dtype: type of the maps.
        tiling: how rows are distributed over programs.
    """

    clips: int
    frames: int
    mels: int
    channels: int
    pool: tuple[int, int]
    dropout: float
    kernel: tuple[int, int]
    dtype: torch.dtype
    tiling: Tiling

    @property
    def is_first(self) -> bool:
        """Whether the convolution is computed by the kernels too."""
        return self.kernel != (0, 0)

    @property
    def rows(self) -> int:
        return self.clips * self.frames * self.mels

    @property
    def pooled(self) -> tuple[int, int]:
        return self.frames // self.pool[0], self.mels // self.pool[1]

    @property
    def patch(self) -> int:
        """Values of a patch, filled up to what a product of matrices accepts."""
        return max(16, triton.next_power_of_2(math.prod(self.kernel)))

    @property
    def block(self) -> int:
        """Rows that a program processes at a time."""
        return max(16, self.tiling.values // self.channels)

    @property
    def per_program(self) -> int:
        return triton.cdiv(self.rows, self.tiling.programs * self.block) * self.block

    @property
    def programs(self) -> int:
        return triton.cdiv(self.rows, self.per_program)

    def constants(self) -> dict[str, Any]:
        sizes = {"T": self.frames, "F": self.mels, "C": self.channels}
        return {**sizes, "BLOCK": self.block, "num_warps": self.tiling.warps}

    def convolution(self) -> dict[str, int]:
        return {"KT": self.kernel[0], "KF": self.kernel[1]}

    def gate(self) -> dict[str, Any]:
        pool = {"PT": self.pool[0], "PF": self.pool[1], "P": self.dropout}
        return {**pool, **product_constants(self.dtype)}


def _pad(maps: Tensor, shape: Shape) -> Tensor:
    """Spectrograms ``[clip, frame, mel, 1]`` as the kernels read them: ``[clip, frame, mel]`` with zeros around."""
    frames, mels = (size // 2 for size in shape.kernel)
    return functional.pad(maps.squeeze(3).to(shape.dtype), (mels, mels, frames, frames))


def _turn(weight: Tensor, shape: Shape) -> Tensor:
    """The weight of the convolution as the kernels read it, ``[value of the kernel, channel]``."""
    return weight.flatten(1).t().to(shape.dtype).contiguous()


def measure(shape: Shape, maps: Tensor, kernel: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """Mean of the convolved maps and 1 / their deviation, ``[2, channel]``; in training those of the batch.

    Training updates the running statistics. ``bias`` is that of the convolution, which has not been added.
    """
    if not norm.training:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        return torch.stack([norm.running_mean - bias, (norm.running_var + norm.eps).rsqrt()])
    programs, channels = shape.programs, shape.channels
    means, squares = maps.new_empty(2, programs, channels, dtype=torch.float32)
    counts = maps.new_empty(programs, dtype=torch.float32)
    kernels.measure[(programs,)](
        *(maps, kernel, means, squares, counts, shape.rows, shape.per_program),
        **shape.constants(),
        **shape.convolution(),
    )
    statistics = means.new_empty(2, channels)
    assert norm.num_batches_tracked is not None
    kernels.finish_statistics[(channels,)](
        *(means, squares, counts, bias, statistics, norm.running_mean, norm.running_var),
        *(programs, float(shape.rows), norm.eps, norm.momentum),
        C=channels,
        PROGRAMS=triton.next_power_of_2(programs),
    )
    norm.num_batches_tracked.add_(1)
    return statistics


class _Gate(torch.autograd.Function):
    """Everything after the statistics: normalisation, gate, dropout and pool, with a convolution of spectrograms."""

    @staticmethod
    def forward(
        ctx: Any,
        maps: Tensor,
        weight: Tensor,
        scale: Tensor,
        shift: Tensor,
        gate: Tensor,
        gate_bias: Tensor,
        kernel: Tensor,
        statistics: Tensor,
        seed: Tensor,
        shape: Shape,
    ) -> Tensor:
        gate = gate.to(shape.dtype)
        pooled = maps.new_empty(shape.clips, *shape.pooled, shape.channels, dtype=shape.dtype)
        outputs = pooled.numel() // shape.channels
        kernels.forward[(triton.cdiv(outputs, shape.block),)](
            *(maps, kernel, statistics, scale, shift, gate, gate_bias, seed, pooled, outputs),
            **shape.constants(),
            **shape.gate(),
            **shape.convolution(),
            KP=shape.patch,
        )
        ctx.save_for_backward(maps, weight, kernel, statistics, scale, shift, gate, gate_bias, seed)
        ctx.shape = shape
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        shape: Shape = ctx.shape
        maps, weight, kernel, *rest = ctx.saved_tensors
        statistics, scale = rest[:2]
        gradient = gradient.contiguous()
        vectors, products, patch_sums, patch_products = _sum_gradients(shape, maps, kernel, gradient, rest)
        sums = vectors.sum(0)
        for_maps = for_weight = None
        if shape.is_first:
            taken = patch_products.sum(0)
            of_mean = patch_sums.sum(0).unsqueeze(1) * sums[0] + taken[1] * sums[1]
            found = (taken[0] - of_mean / shape.rows) * (scale * statistics[1])
            for_weight = found[: math.prod(shape.kernel)].t().reshape(weight.shape)
        else:
            for_maps = torch.empty_like(maps)
            kernels.write_gradient[(triton.cdiv(shape.rows, shape.block),)](
                maps, gradient, *rest, sums, for_maps, shape.rows, **shape.constants(), **shape.gate()
            )
        return for_maps, for_weight, sums[1], sums[0], products.sum(0), sums[2], None, None, None, None


def _sum_gradients(shape: Shape, maps: Tensor, kernel: Tensor, gradient: Tensor, rest: list[Tensor]) -> list[Tensor]:
    """The sums of every program that `gate_kernels.sum_gradients` describes."""
    programs, channels = shape.programs, shape.channels
    sizes = [(3, channels), (channels, channels)]
    sizes += [(shape.patch,), (2, shape.patch, channels)] if shape.is_first else [(), ()]
    sums = [maps.new_empty(programs, *size, dtype=torch.float32) for size in sizes]
    kernels.sum_gradients[(programs,)](
        *(maps, kernel, gradient, *rest, *sums, shape.rows, shape.per_program),
        **shape.constants(),
        **shape.gate(),
        **shape.convolution(),
        KP=shape.patch,
    )
    return sums


def compute_block(block: GatedBlock, maps: Tensor, tiling: Tiling) -> Tensor:
    """Compute a block as its `forward` does; outside of training without gradients.

    In training the gradient of the convolution's bias, which the normalisation subtracts, is 0 and is not computed.
    """
    convolution, norm, gate = block.convolution, block.norm, block.gate
    device, weight = maps.device.type, convolution.weight
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else maps.dtype
    is_first = maps.shape[3] == 1 and not maps.requires_grad
    kernel = (weight.shape[2], weight.shape[3]) if is_first else (0, 0)
    clips, frames, mels = maps.shape[:3]
    dropout = block.dropout if block.training else 0.0
    shape = Shape(clips, frames, mels, len(weight), block.pool, dropout, kernel, dtype, tiling)
    if is_first:
        values, turned = _pad(maps, shape), _turn(weight.detach(), shape)
    else:
        values = functional.conv2d(maps.permute(0, 3, 1, 2), weight, padding="same").permute(0, 2, 3, 1).contiguous()
        turned = values
    assert convolution.bias is not None
    statistics = measure(shape, values.detach(), turned.detach(), convolution.bias.detach(), norm)
    seed = torch.randint(1 << 31, (1,), device=maps.device)
    weights = (weight, norm.weight, norm.bias, gate.weight, gate.bias)
    result: Tensor = _Gate.apply(values, *weights, turned.detach(), statistics, seed, shape)
    return result


def compute_by_kernels(network: nn.Module, tiling: Tiling | None = None) -> None:
    """Compute the gated blocks of networks by the kernels, in training and where no gradient is needed."""
    for module in network.modules():
        if isinstance(module, GatedBlock) and module.gate.in_features in CHANNELS:
            module.forward = partial(_forward, module, tiling or Tiling())  # type: ignore[method-assign]


def _forward(block: GatedBlock, tiling: Tiling, maps: Tensor) -> Tensor:
    computes = block.training or not torch.is_grad_enabled()
    return compute_block(block, maps, tiling) if computes else GatedBlock.forward(block, maps)
