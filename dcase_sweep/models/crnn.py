"""A convolutional recurrent network for sound event detection: the DCASE 2021 task 4 baseline, in any size."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dcase_sweep.models.gated_block import GatedBlock
from dcase_sweep.ops.dropout import Dropout
from dcase_sweep.ops.recurrent import BidirectionalGRU


class Predictions(NamedTuple):
    """Probabilities per frame, ``strong`` ``[batch, class, frame]``, and per clip, ``weak`` ``[batch, class]``."""

    strong: Tensor
    weak: Tensor


class CRNN(nn.Module):
    """Gated convolutions, bidirectional GRUs and attention pooling over frames.

    With the default sizes this is the DCASE 2021 task 4 baseline system (Turpault et al.; 1,112,420 parameters for
    128 mel bands and 10 classes): blocks of convolution, batch normalisation, gated linear unit, dropout and average
    pooling; recurrent layers; a sigmoid for each frame and class; and the clip's probability as their mean over frames,
    weighted by a softmax over classes clamped to [1e-7, 1].

    Args:
        input_shape: ``(mel, frame)`` of a clip. Other lengths are accepted if at least one frame is left after the
            pools.
        classes: number of event classes.
        filters: channels of each block.
        kernel: odd sizes of the convolutions, ``(mel, frame)``.
        pools: average pool of each block, ``(mel, frame)``.
        dropout: probability of dropout in the blocks and before the heads.
        recurrent_units: units of a GRU layer in each direction.
        recurrent_layers: number of bidirectional GRU layers.
        recurrent_dropout: probability of dropout between GRU layers; without effect if there is one.
        norm_epsilon: added to the variance in batch normalisation.
        norm_momentum: weight of the new batch in the running statistics, as in PyTorch.
        fast_cpu: on a CPU, use this package's own operations, which give the same results several times faster; False
            runs PyTorch's layers one by one.

    Raises:
        ValueError: for a pool that is larger than the map at its place, or an impossible value.
    """

    kind = "events"

    def __init__(
        self,
        *,
        input_shape: tuple[int, int] = (128, 626),
        classes: int = 10,
        filters: Sequence[int] = (16, 32, 64, 128, 128, 128, 128),
        kernel: Sequence[int] = (3, 3),
        pools: Sequence[Sequence[int]] = ((2, 2), (2, 2), (2, 1), (2, 1), (2, 1), (2, 1), (2, 1)),
        dropout: float = 0.5,
        recurrent_units: int = 128,
        recurrent_layers: int = 2,
        recurrent_dropout: float = 0.0,
        norm_epsilon: float = 1e-3,
        norm_momentum: float = 0.99,
        fast_cpu: bool = True,
    ) -> None:
        super().__init__()
        for name, value in [("dropout", dropout), ("recurrent_dropout", recurrent_dropout)]:
            if not 0 <= value < 1:
                raise ValueError(f"{name}={value}: expected a probability from 0 to below 1")
        _check_positive("classes", classes)
        _check_positive("recurrent_units", recurrent_units)
        _check_positive("recurrent_layers", recurrent_layers)
        self.pools = _check_pools(filters, pools)
        mels, self.frames = self.pooled_shape(*input_shape)
        self.blocks = nn.Sequential(
            *(
                GatedBlock(
                    inputs,
                    outputs,
                    kernel=_check_kernel(kernel),
                    pool=pool,
                    dropout=dropout,
                    norm_epsilon=norm_epsilon,
                    norm_momentum=norm_momentum,
                    fast_cpu=fast_cpu,
                )
                for inputs, outputs, pool in zip([1, *filters], filters, self.pools, strict=False)
            )
        )
        self.recurrent = BidirectionalGRU(
            filters[-1] * mels, recurrent_units, recurrent_layers, dropout=recurrent_dropout, fast_cpu=fast_cpu
        )
        self.dropout = Dropout(dropout)
        self.strong_head = nn.Linear(2 * recurrent_units, classes)
        self.attention_head = nn.Linear(2 * recurrent_units, classes)

    @property
    def frame_stride(self) -> int:
        """Number of feature frames for each frame of the predictions."""
        return math.prod(over_frames for _, over_frames in self.pools)

    def pooled_shape(self, mels: int, frames: int) -> tuple[int, int]:
        """Compute the shape ``(mel, frame)`` of a map after all pools.

        Raises:
            ValueError: for a pool that is larger than the map at its place.
        """
        for position, (over_mels, over_frames) in enumerate(self.pools):
            if over_mels > mels or over_frames > frames:
                raise ValueError(
                    f"pools[{position}]={[over_mels, over_frames]}: only {mels} × {frames} (mel × frame) is left of "
                    "the map; use a smaller pool here or before, or a longer clip"
                )
            mels, frames = mels // over_mels, frames // over_frames
        return mels, frames

    def forward(self, features: Tensor) -> Predictions:
        """Compute the probabilities of ``[batch, mel, frame]``, one frame for every :attr:`frame_stride` input frames.

        Raises:
            ValueError: for a clip that is too short for the pools.
        """
        self.pooled_shape(*features.shape[1:])
        maps: Tensor = self.blocks(features.transpose(1, 2).contiguous().unsqueeze(3))
        sequence = self.dropout(self.recurrent(maps.flatten(2)))
        strong = torch.sigmoid(self.strong_head(sequence).float())
        weights = torch.softmax(self.attention_head(sequence).float(), dim=-1).clamp(1e-7, 1)
        weak = (strong * weights).sum(1) / weights.sum(1)
        return Predictions(strong.transpose(1, 2), weak)


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name}={value}: expected at least 1")


def _check_pools(filters: Sequence[int], pools: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Return one ``(mel, frame)`` pool for every block."""
    if not filters or min(filters) < 1:
        raise ValueError(f"filters={list(filters)}: expected at least one block, each of at least one channel")
    if len(pools) != len(filters):
        raise ValueError(f"pools: {len(pools)} of them for {len(filters)} filters; expected one for each block")
    for position, pool in enumerate(pools):
        if len(pool) != 2 or min(pool) < 1:
            raise ValueError(f"pools[{position}]={list(pool)}: expected [mel, frame], two positive whole numbers")
    return [(pool[0], pool[1]) for pool in pools]


def _check_kernel(kernel: Sequence[int]) -> tuple[int, int]:
    if len(kernel) != 2 or min(kernel) < 1 or any(size % 2 == 0 for size in kernel):
        raise ValueError(f"kernel={list(kernel)}: expected [mel, frame], two odd sizes, so that the map keeps its size")
    return kernel[0], kernel[1]
