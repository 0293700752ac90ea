"""Peak activation memory, against networks whose live values can be counted by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dcase_sweep.complexity.layers import list_layers
from dcase_sweep.models.cnn import CNN
from dcase_sweep.models.crnn import CRNN


class OfMaps(nn.Module):
    """Applies a network of ``[batch, channel, mel, frame]`` to one channel."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Any:
        return self.layers(features.unsqueeze(1))


class Shortcut(nn.Module):
    """Adds the input to the output of two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3, padding="same")
        self.second = nn.Conv2d(3, 1, 3, padding="same")

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.second(self.first(maps))


def live(network: nn.Module, shape: tuple[int, int]) -> list[int]:
    return [layer.live_activations for layer in list_layers(network, shape)]


def test_a_convolution_needs_its_input_and_its_output() -> None:
    network = OfMaps(nn.Conv2d(1, 4, 3, padding="same"), nn.Conv2d(4, 2, 3, padding="same"))

    assert live(network, (5, 6)) == [30 + 120, 120 + 60]


def test_normalisation_and_activation_overwrite_their_input_and_pooling_does_not() -> None:
    network = OfMaps(nn.Conv2d(1, 4, 3, padding="same"), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.MaxPool2d(2))

    assert live(network, (4, 6)) == [24 + 96, 96 + 24]  # the pooled maps are 4 × 2 × 3


def test_the_input_of_a_shortcut_stays_live() -> None:
    assert live(OfMaps(Shortcut()), (5, 5)) == [25 + 75, 25 + 75 + 25]


def test_reshaping_and_transposing_need_no_memory() -> None:
    network = OfMaps(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(24, 5))
    network.layers[0].register_forward_hook(lambda _, __, maps: maps.transpose(2, 3).contiguous())

    assert live(network, (3, 4)) == [12 + 24, 24 + 5]


def test_recurrent_layers_need_two_sequences_a_state_and_the_gates_of_a_frame() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(6, 5, num_layers=2, batch_first=True, bidirectional=True)

        def forward(self, features: Tensor) -> Tensor:
            return self.gru(features.transpose(1, 2))[0]

    (layer,) = list_layers(Recurrent(), (6, 7))

    sequence, states, of_a_frame = 6 * 7, 2 * 5 * 7, 4 * 5
    assert layer.live_activations == max(sequence + states, 2 * states) + of_a_frame
    of_layers = [3 * 5 * (6 + 5), 3 * 5 * (10 + 5)]  # three gates of the input and of the state before
    assert layer.multiply_accumulates == 7 * 2 * sum(of_layers)


def test_the_crnns_gate_needs_the_map_twice() -> None:
    layers = list_layers(CRNN(), (128, 626))

    first = 16 * 128 * 626
    assert [layer.live_activations for layer in layers[:3]] == [128 * 626 + first, first, 2 * first]
    assert max(layer.live_activations for layer in layers) == 2 * first


BASELINE = [
    {"filters": 16, "kernel": [7, 7]},
    {"filters": 16, "kernel": [7, 7], "pool": [5, 5], "dropout": 0.3},
    {"filters": 32, "kernel": [7, 7], "pool": [4, 100], "dropout": 0.3},
]
WIDE = [{"filters": 16, "kernel": [3, 5], "pool": [2, 2]}, {"filters": 32, "kernel": [7, 7], "pool": [3, 7]}]


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: CNN(input_shape=(40, 500), classes=10, blocks=BASELINE), (40, 500)),
        (lambda: CNN(input_shape=(40, 500), classes=10, blocks=WIDE, depth=4), (40, 500)),
        (CRNN, (128, 626)),
    ],
    ids=["baseline", "four layers", "crnn"],
)
def test_multiply_accumulates_equal_those_that_pytorch_counts(make: Any, shape: tuple[int, int]) -> None:
    network = make().eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *shape))

    assert 2 * sum(layer.multiply_accumulates for layer in list_layers(network, shape)) == counter.get_total_flops()


def test_a_network_without_weights_gives_the_same_counts() -> None:
    with torch.device("meta"):
        blank = CRNN(input_shape=(16, 21), filters=(4, 8), pools=((2, 2), (2, 1)), recurrent_units=3)
    full = CRNN(input_shape=(16, 21), filters=(4, 8), pools=((2, 2), (2, 1)), recurrent_units=3)

    assert live(blank, (16, 21)) == live(full, (16, 21))
