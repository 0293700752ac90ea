"""Counting of the layers of a network."""

import pytest
import torch
from torch import nn

from dcase_sweep.complexity.layers import list_layers
from dcase_sweep.models.cnn import CNN
from dcase_sweep.models.crnn import CRNN

BLOCKS = [
    {"filters": 16, "kernel": [7, 7]},
    {"filters": 16, "kernel": [7, 7], "pool": [5, 5], "dropout": 0.3},
    {"filters": 32, "kernel": [7, 7], "pool": [4, 100], "dropout": 0.3},
]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_baselines_layers(device: str) -> None:
    with torch.device(device):
        network = CNN(input_shape=(40, 500), classes=10, blocks=BLOCKS)

    layers = list_layers(network, (40, 500))

    assert [layer.kind for layer in layers] == ["Conv2d", "BatchNorm2d"] * 3 + ["Linear"] * 2
    assert [sum(array.size for array in layer.arrays) for layer in layers] == [
        16 * 49 + 16, 64, 16 * 16 * 49 + 16, 64, 16 * 32 * 49 + 32, 128, 6_500, 1_010,
    ]  # fmt: skip
    products = [40 * 500 * 16 * 49, 40 * 500 * 16 * 16 * 49, 8 * 100 * 16 * 32 * 49, 64 * 100, 100 * 10]
    assert [layer.multiply_accumulates for layer in layers if layer.multiply_accumulates] == products


def test_counting_does_not_change_the_network() -> None:
    network = CNN(input_shape=(40, 500), classes=10, blocks=BLOCKS)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    list_layers(network, (40, 500))

    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_zero_parameters_are_counted_apart() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 2))
    nn.init.zeros_(network[1].bias)

    (layer,) = list_layers(network, (2, 3))

    assert [int((array != 0).sum()) for array in layer.arrays] == [12, 0]


def test_task_4_counts_trained_parameters_only() -> None:
    """The published number of the CRNN excludes the running statistics; that of the scene baseline includes them."""
    network = CRNN()
    trained = list_layers(network, (128, 626), statistics=False)

    assert sum(array.size for layer in trained for array in layer.arrays) == 1_112_420
    assert sum(array.size for layer in list_layers(network, (128, 626)) for array in layer.arrays) == 1_113_668
