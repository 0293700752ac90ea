"""One block of the sound event detection network: convolution, normalisation, gate, dropout and pooling."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from dcase_sweep.ops.can_fuse import can_fuse
from dcase_sweep.ops.gated_block import gated_block


class GatedBlock(nn.Module):
    """Convolution, batch normalisation, gated linear unit, dropout and average pooling.

    The gate is (W y + b) · σ(y) of the normalised maps y, as in the DCASE task 4 baselines since 2019. With channels
    last in memory, W y is one matrix product, and the convolutions of oneDNN and cuDNN need no reordering.

    Args:
        inputs: number of input channels.
        outputs: number of output channels.
        kernel: odd kernel sizes of the convolution, ``(mel, frame)``.
        pool: window sizes of the average pool, ``(mel, frame)``.
        dropout: probability of dropout between the gate and the pool.
        norm_epsilon: added to the variance in batch normalisation.
        norm_momentum: weight of the new batch in the running statistics.
        fast_cpu: on a CPU, compute the block with :func:`dcase_sweep.ops.gated_block.gated_block`, which gives the
            same result faster.
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
        """Compute ``[batch, frame, mel, channel]`` from maps of the same layout; the pool reduces frames and mels."""
        if self.fast_cpu and can_fuse(maps, self.convolution, self.norm, self.gate):
            dropout = self.dropout if self.training else 0.0
            return gated_block(maps, self.convolution, self.norm, self.gate, pool=self.pool, dropout=dropout)
        normalised = self.norm(self.convolution(maps.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        gated = self.gate(normalised) * torch.sigmoid(normalised)
        dropped = functional.dropout(gated, self.dropout, self.training)
        if dropped.is_cuda:
            return average_pool(dropped, self.pool)
        return functional.avg_pool2d(dropped.permute(0, 3, 1, 2), self.pool).permute(0, 2, 3, 1)


def average_pool(maps: Tensor, pool: tuple[int, int]) -> Tensor:
    """`avg_pool2d` of maps ``[batch, frame, mel, channel]`` as a mean over windows.

    On a GPU the gradient of `avg_pool2d` takes several times as long as reading and writing it does.
    """
    frames, mels = maps.shape[1] // pool[0], maps.shape[2] // pool[1]
    windows = maps[:, : frames * pool[0], : mels * pool[1]].reshape(len(maps), frames, pool[0], mels, pool[1], -1)
    return windows.mean(dim=(2, 4))
