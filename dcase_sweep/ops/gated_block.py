"""A block of convolution, batch normalisation, gated linear unit, dropout and average pooling on a CPU.

The fastest operations that apply are chosen here:

- A spectrogram in float32 or wider that needs no gradient goes through the whole block as one operation
  (:mod:`dcase_sweep.ops.first_block`).
- Otherwise the convolution is PyTorch's or, in float32, that of :mod:`dcase_sweep.ops.convolution`, and the layers
  after it are one operation (:mod:`dcase_sweep.ops.fused_gate`).
"""

import torch
from torch import Tensor, nn

from dcase_sweep.ops import first_block, fused_gate
from dcase_sweep.ops.convolution import convolve, is_faster
from dcase_sweep.ops.gate import Block
from dcase_sweep.ops.normalisation import update_running
from dcase_sweep.ops.patches import Patches, measure
from dcase_sweep.ops.statistics import batch_statistics


def gated_block(
    maps: Tensor,
    convolution: nn.Conv2d,
    norm: nn.BatchNorm2d,
    gate: nn.Linear,
    *,
    pool: tuple[int, int],
    dropout: float,
) -> Tensor:
    """Compute what the layers give one by one, within rounding, and update the running statistics as ``norm`` does.

    Use it where :func:`dcase_sweep.ops.can_fuse.can_fuse` allows it. The gradient may be computed once.

    Args:
        maps: ``[batch, frame, mel, channel]``.
        convolution: a convolution that keeps the size of the maps, with a bias.
        norm: batch normalisation with running statistics and a momentum.
        gate: the linear map W y + b of the gate (W y + b) · σ(y).
        pool: window sizes of the average pool, ``(frame, mel)``.
        dropout: probability of dropout between the gate and the pool; 0 outside of training.

    Returns:
        Maps ``[batch, frame, mel, channel]``, smaller by the pool.
    """
    block = Block(norm.weight, norm.bias, gate.weight, gate.bias, norm.eps, pool, dropout)
    if _is_spectrogram(maps, convolution):
        return _compute_from_spectrograms(maps.squeeze(3), convolution, norm, block)
    weight, bias = convolution.weight, convolution.bias
    assert bias is not None
    if is_faster(maps, weight, measure=norm.training):
        convolved, measured = convolve(maps, weight, bias, measure=norm.training)
        statistics = update_running(norm, measured, bias.detach())
    else:
        convolved = convolution(maps.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).contiguous()
        statistics = update_running(norm, batch_statistics(convolved.detach()) if norm.training else None)
    return fused_gate.normalise_gate_pool(convolved, block, statistics)


def _is_spectrogram(maps: Tensor, convolution: nn.Conv2d) -> bool:
    """Whether the maps have one channel, need no gradient, and are computed in float32 or wider."""
    return (
        maps.shape[3] == 1
        and not maps.requires_grad
        and maps.dtype in (torch.float32, torch.float64)
        and maps.dtype == convolution.weight.dtype
        and not torch.is_autocast_enabled("cpu")
    )


def _compute_from_spectrograms(
    spectrograms: Tensor, convolution: nn.Conv2d, norm: nn.BatchNorm2d, block: Block
) -> Tensor:
    weight, bias = convolution.weight, convolution.bias
    assert bias is not None
    patches = Patches.extract(spectrograms, (weight.shape[2], weight.shape[3]))
    moments = measure(patches) if norm.training else None
    measured = None if moments is None else moments.statistics(weight.detach(), bias.detach())
    statistics = update_running(norm, measured)
    return first_block.convolve_normalise_gate_pool(patches, weight, bias, block, statistics, moments)
