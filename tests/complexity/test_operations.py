"""Counts of networks of one's own: attention, parameters outside of layers, shared and unused ones."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from dcase_sweep.complexity.layers import list_layers

MELS, FRAMES = 8, 12


class Odd(nn.Module):
    """Grouped, dilated and transposed convolutions of folded batches, and a bilinear head."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(1, 6, 3, padding=2, dilation=2, stride=2)
        self.grouped = nn.Conv2d(6, 6, 3, groups=3, padding="same", bias=False)
        self.up = nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1)
        self.of_frame = nn.Conv1d(4, 3, 3)
        self.head = nn.Linear(3, 5)

    def forward(self, features: Tensor) -> Tensor:
        maps = self.up(self.grouped(self.depthwise(features.unsqueeze(1))))
        frames = maps.permute(0, 3, 1, 2).flatten(0, 1)  # each frame as a clip of its own
        scores: Tensor = self.head(self.of_frame(frames).mean(2))
        return scores.unflatten(0, (len(features), -1)).mean(1)


class Attention(nn.Module):
    """A transformer with a token that it owns itself."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.ones(1, 1, MELS))
        layer = nn.TransformerEncoderLayer(MELS, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(MELS, 5)

    def forward(self, features: Tensor) -> Tensor:
        tokens = torch.cat([self.token.expand(len(features), -1, -1), features.transpose(1, 2)], 1)
        scores: Tensor = self.head(self.encoder(tokens)[:, 0])
        return scores


class Functional(nn.Module):
    """A convolution by a function, in a module that also has a layer, and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 1, 3, 3))
        self.register_buffer("window", torch.ones(FRAMES))
        self.head = nn.Linear(3, 5)

    def forward(self, features: Tensor) -> Tensor:
        maps = functional.conv2d((features * self.window).unsqueeze(1), self.weight)
        scores: Tensor = self.head(maps.mean((2, 3)))
        return scores


class Recurrent(nn.Module):
    """An LSTM on each mel band, so that the bands are its batch."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, 4, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(8, 5)

    def forward(self, features: Tensor) -> Tensor:
        states = self.lstm(features.flatten(0, 1).unsqueeze(2))[0][:, -1]
        scores: Tensor = self.head(states).unflatten(0, (len(features), -1)).mean(1)
        return scores


class Shared(nn.Module):
    """A layer that is called three times, a weight of two layers, and a head that only the training has."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding="same")
        self.norm = nn.BatchNorm2d(1)
        self.first, self.second = nn.Linear(MELS, MELS), nn.Linear(MELS, MELS)
        self.second.weight = self.first.weight
        self.head, self.auxiliary = nn.Linear(MELS, 5), nn.Linear(MELS, 100)

    def forward(self, features: Tensor) -> Tensor:
        maps = features.unsqueeze(1)
        for _ in range(3):
            maps = self.norm(self.conv(maps))
        values = self.second(self.first(maps.mean((1, 3))))
        scores: Tensor = self.head(values)
        return scores + self.auxiliary(values).mean() if self.training else scores


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("make", [Odd, Attention, Functional, Recurrent, Shared])
def test_all_products_and_all_parameters_in_use_are_counted(make: type[nn.Module], device: str) -> None:
    with torch.device(device):
        network = make()
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        make().eval()(torch.zeros(1, MELS, FRAMES))
    unused = [parameter for name, parameter in network.named_parameters() if name.startswith("auxiliary")]

    layers = list_layers(network, (MELS, FRAMES), statistics=False)

    assert 2 * sum(layer.multiply_accumulates for layer in layers) == counter.get_total_flops()
    assert sum(array.size for layer in layers for array in layer.arrays) == sum(
        parameter.numel() for parameter in network.parameters()
    ) - sum(parameter.numel() for parameter in unused)


def test_attention_counts_its_projections_and_the_products_of_its_tokens() -> None:
    layers = {layer.name: layer for layer in list_layers(Attention(), (MELS, FRAMES))}
    tokens = FRAMES + 1

    attention = layers["encoder.layers.0.self_attn"]
    assert attention.multiply_accumulates == tokens * 3 * MELS * MELS + 2 * tokens * tokens * MELS
    assert sum(array.size for array in attention.arrays) == 3 * MELS * MELS + 3 * MELS
    assert layers["encoder.layers.0.self_attn.out_proj"].multiply_accumulates == tokens * MELS * MELS
    assert layers["network"].arrays[0].shape == (1, 1, MELS)


def test_a_layer_is_listed_once_with_the_operations_of_all_its_calls() -> None:
    layers = {layer.name: layer for layer in list_layers(Shared(), (MELS, FRAMES))}

    assert list(layers) == ["conv", "norm", "first", "second", "head"]
    assert layers["conv"].multiply_accumulates == 3 * MELS * FRAMES * 9
    assert [array.size for array in layers["norm"].arrays] == [1, 1, 1, 1]
    assert [array.size for array in layers["second"].arrays] == [MELS]  # the weight counts in the first layer


@pytest.mark.parametrize("make", [Attention, Recurrent])
def test_memory_does_not_depend_on_the_device(make: type[nn.Module]) -> None:
    with torch.device("meta"):
        blank = make()

    live = [[layer.live_activations for layer in list_layers(each, (MELS, FRAMES))] for each in (make(), blank)]
    assert live[0] == live[1]


def test_what_depends_on_weights_alone_is_not_an_operation_of_a_clip() -> None:
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(MELS * FRAMES, 5))
    network = nn.Sequential(nn.Flatten(), layer)

    layers = list_layers(network, (MELS, FRAMES))
    assert sum(each.multiply_accumulates for each in layers) == MELS * FRAMES * 5
