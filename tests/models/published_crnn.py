"""The published task 4 network, written down layer by layer: slow, obvious, under its checkpoint's names.

After desed_task/nnet/{CRNN,CNN,RNN}.py of github.com/DCASE-REPO/DESED_task and its recipe dcase2021_task4_baseline.
Maps are [batch, channel, frame, mel], pools (frame, mel), the gate's linear map is applied between two permutations.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

FILTERS = (16, 32, 64, 128, 128, 128, 128)
POOLS = ((2, 2), (2, 2), (1, 2), (1, 2), (1, 2), (1, 2), (1, 2))


class Gate(nn.Module):
    """The gated linear unit."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels)

    def forward(self, maps: Tensor) -> Tensor:
        linear = self.linear(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return linear * torch.sigmoid(maps)


class Convolutions(nn.Module):
    """All blocks in one sequence."""

    def __init__(self, filters: tuple[int, ...], pools: tuple[tuple[int, int], ...], dropout: float) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for position, (inputs, outputs, pool) in enumerate(zip((1, *filters), filters, pools, strict=False)):
            layers[f"conv{position}"] = nn.Conv2d(inputs, outputs, 3, 1, 1)
            layers[f"batchnorm{position}"] = nn.BatchNorm2d(outputs, eps=0.001, momentum=0.99)
            layers[f"glu{position}"] = Gate(outputs)
            layers[f"dropout{position}"] = nn.Dropout(dropout)
            layers[f"pooling{position}"] = nn.AvgPool2d(pool)
        self.cnn = nn.Sequential(layers)


class Recurrent(nn.Module):
    """The recurrent layers."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.rnn = nn.GRU(inputs, units, num_layers=2, batch_first=True, bidirectional=True)


class PublishedCRNN(nn.Module):
    """[batch, mel, frame] to strong [batch, class, frame] and weak [batch, class]."""

    def __init__(
        self,
        *,
        filters: tuple[int, ...] = FILTERS,
        pools: tuple[tuple[int, int], ...] = POOLS,
        units: int = 128,
        classes: int = 10,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.cnn = Convolutions(filters, pools, dropout)
        self.rnn = Recurrent(filters[-1], units)
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(2 * units, classes)
        self.dense_softmax = nn.Linear(2 * units, classes)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.cnn.cnn(features.transpose(1, 2).unsqueeze(1))
        sequence, _ = self.rnn.rnn(maps.squeeze(-1).permute(0, 2, 1))
        sequence = self.dropout(sequence)
        strong = torch.sigmoid(self.dense(sequence))
        weights = torch.softmax(self.dense_softmax(sequence), dim=-1).clamp(min=1e-7, max=1)
        weak = (strong * weights).sum(1) / weights.sum(1)
        return strong.transpose(1, 2), weak
