"""One block of the sound event detection network: convolution, normalisation, gate, dropout and pooling."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from dcase_sweep.models import fused_gate
from dcase_sweep.models.fast_path import takes_fast_path


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
        fast_cpu: on a CPU, run everything behind the convolution as one operation (:mod:`fused_gate`).
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
        convolved: Tensor = self.convolution(maps.permute(0, 3, 1, 2))
        if self.fast_cpu and takes_fast_path(convolved, self.norm, self.gate):
            return self._fused(convolved.permute(0, 2, 3, 1).contiguous())
        normalised = self.norm(convolved).permute(0, 2, 3, 1)
        gated = self.gate(normalised) * torch.sigmoid(normalised)
        dropped = functional.dropout(gated, self.dropout, self.training)
        return functional.avg_pool2d(dropped.permute(0, 3, 1, 2), self.pool).permute(0, 2, 3, 1)

    def _fused(self, convolved: Tensor) -> Tensor:
        block = fused_gate.Block(
            self.norm.weight,
            self.norm.bias,
            self.gate.weight,
            self.gate.bias,
            self.norm.eps,
            self.pool,
            self.dropout if self.training else 0.0,
        )
        return fused_gate.normalise_gate_pool(convolved, block, self._statistics(convolved.detach()))

    def _statistics(self, convolved: Tensor) -> fused_gate.Statistics:
        """The batch's in training, after they have entered the running ones; else the running ones."""
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.momentum is not None
        if not norm.training:
            return fused_gate.Statistics(norm.running_mean, norm.running_var, 1, are_of_batch=False)
        statistics = fused_gate.batch_statistics(convolved)
        with torch.no_grad():
            unbiased = statistics.variance * (statistics.count / max(1, statistics.count - 1))
            norm.running_mean.lerp_(statistics.mean.to(norm.running_mean.dtype), norm.momentum)
            norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), norm.momentum)
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked.add_(1)
        return statistics
