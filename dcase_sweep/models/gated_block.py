"""One block of the sound event detection network: convolution, normalisation, gate, dropout and pooling."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from dcase_sweep.ops import convolution, first_block, fused_gate
from dcase_sweep.ops.can_fuse import can_fuse
from dcase_sweep.ops.gate import Block


class GatedBlock(nn.Module):
    """Convolution, batch normalisation, gated linear unit, dropout and average pooling.

    The gate is (W y + b) · σ(y) of the normalised maps y, as in the DCASE task 4 baselines since 2019. With channels
    last in memory, W y is one matrix product and oneDNN's and cuDNN's convolutions need no reordering.

    Args:
        inputs: channels of the maps that come in.
        outputs: channels of the maps that go out.
        kernel: odd sizes of the convolution, ``(mel, frame)``.
        pool: sizes of the average pool, ``(mel, frame)``.
        dropout: probability of dropout between gate and pool.
        norm_epsilon: added to the variance in batch normalisation.
        norm_momentum: share of the new batch in the running statistics.
        fast_cpu: on a CPU, run everything behind the convolution as one operation (:mod:`fused_gate`), and for a
            spectrogram in float32 the convolution too (:mod:`first_block`); float32 kernels of many channels get their
            gradient by fewer products (:mod:`convolution`).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: tuple[int, int],
        pool: tuple[int, int],
        dropout: float,
        norm_epsilon: float,
        norm_momentum: float,
        fast_cpu: bool = True,
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel[::-1], padding="same")
        self.norm = nn.BatchNorm2d(outputs, eps=norm_epsilon, momentum=norm_momentum)
        self.gate = nn.Linear(outputs, outputs)
        self.pool = pool[::-1]
        self.dropout = dropout
        self.fast_cpu = fast_cpu

    def forward(self, maps: Tensor) -> Tensor:
        """Maps ``[batch, frame, mel, channel]``, with fewer frames and mel bands by the pool."""
        if self.fast_cpu and self._is_first(maps) and can_fuse(maps, self.convolution, self.norm, self.gate):
            return self._first(maps.squeeze(3))
        convolved = self._convolve(maps)
        if self.fast_cpu and can_fuse(convolved, self.norm, self.gate):
            return self._behind(convolved.permute(0, 2, 3, 1).contiguous())
        normalised = self.norm(convolved).permute(0, 2, 3, 1)
        gated = self.gate(normalised) * torch.sigmoid(normalised)
        dropped = functional.dropout(gated, self.dropout, self.training)
        return functional.avg_pool2d(dropped.permute(0, 3, 1, 2), self.pool).permute(0, 2, 3, 1)

    def _convolve(self, maps: Tensor) -> Tensor:
        """``[batch, channel, frame, mel]``"""
        weight, bias = self.convolution.weight, self.convolution.bias
        assert bias is not None
        if self.fast_cpu and convolution.suits(maps, weight) and can_fuse(maps, self.convolution):
            return convolution.convolve(maps, weight, bias).permute(0, 3, 1, 2)
        convolved: Tensor = self.convolution(maps.permute(0, 3, 1, 2))
        return convolved

    def _is_first(self, maps: Tensor) -> bool:
        """Whether a spectrogram comes in, of which no gradient is wanted, to be computed in float32 or wider."""
        return (
            maps.shape[3] == 1
            and not maps.requires_grad
            and maps.dtype in (torch.float32, torch.float64)
            and maps.dtype == self.convolution.weight.dtype
            and not torch.is_autocast_enabled("cpu")
        )

    def _first(self, spectrograms: Tensor) -> Tensor:
        weight, bias = self.convolution.weight, self.convolution.bias
        assert bias is not None
        columns = first_block.Patches.of(spectrograms, (weight.shape[2], weight.shape[3]))
        moments = first_block.Moments.of(columns) if self.norm.training else None
        measure = None if moments is None else partial(moments.statistics, weight.detach(), bias.detach())
        return first_block.convolve_normalise_gate_pool(
            columns, weight, bias, self._block(), self._statistics(measure), moments
        )

    def _behind(self, convolved: Tensor) -> Tensor:
        measure = partial(fused_gate.batch_statistics, convolved.detach()) if self.norm.training else None
        return fused_gate.normalise_gate_pool(convolved, self._block(), self._statistics(measure))

    def _block(self) -> Block:
        return Block(
            self.norm.weight,
            self.norm.bias,
            self.gate.weight,
            self.gate.bias,
            self.norm.eps,
            self.pool,
            self.dropout if self.training else 0.0,
        )

    def _statistics(self, measure: Callable[[], fused_gate.Statistics] | None) -> fused_gate.Statistics:
        """The batch's as measured, after they have entered the running ones; without any the running ones."""
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.momentum is not None
        if measure is None:
            return fused_gate.Statistics(norm.running_mean, norm.running_var, 1, are_of_batch=False)
        statistics = measure()
        with torch.no_grad():
            unbiased = statistics.variance * (statistics.count / max(1, statistics.count - 1))
            norm.running_mean.lerp_(statistics.mean.to(norm.running_mean.dtype), norm.momentum)
            norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), norm.momentum)
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked.add_(1)
        return statistics
