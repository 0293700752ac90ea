"""Fake quantisation, compared with a NumPy reference."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from dcase_sweep.models.cnn import CNN
from dcase_sweep.training.compression.quantization import (
    FakeQuantization,
    Range,
    quantize_activations,
    quantize_weights,
    read_structure,
)

SHAPE = (4, 6)


def reference_weights(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    made = np.zeros_like(weights)
    for channel, row in enumerate(weights):
        scale = np.abs(row).max() / 127 or 1.0
        made[channel] = np.clip(np.rint(row / scale), -127, 127) * scale
    return made


def reference_activations(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    zero = np.clip(np.rint(-128 - low / scale), -128, 127)
    whole = np.clip(np.rint(values / scale) + zero, -128, 127)
    return (whole - zero) * scale


def network(bias: bool = True) -> nn.Sequential:
    torch.manual_seed(1)
    made = nn.Sequential(
        nn.Unflatten(1, (1, SHAPE[0])),
        nn.Conv2d(1, 3, 3, padding="same", bias=bias),
        nn.BatchNorm2d(3, eps=1e-3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(18, 2),
    )
    norm = made[2]
    assert isinstance(norm, nn.BatchNorm2d)
    for tensor in (norm.weight, norm.running_mean, norm.running_var, norm.bias):
        nn.init.uniform_(tensor, 0.5, 1.5)  # type: ignore[arg-type]
    return made


def calibrated(made: nn.Module, clips: Tensor) -> FakeQuantization:
    quantized = FakeQuantization(made, SHAPE)
    quantized.is_on = quantized.is_observing = True
    made.train()
    quantized(clips)
    quantized.is_observing = False
    made.eval()
    return quantized


def test_weights_are_on_the_grid_of_their_channel() -> None:
    weights = torch.randn(5, 3, 2, 2) * torch.tensor([1.0, 10, 0.1, 1e-4, 0])[:, None, None, None]

    made = quantize_weights(weights)

    np.testing.assert_allclose(made.numpy(), reference_weights(weights.double().numpy()), rtol=1e-5, atol=1e-9)
    assert set(made[4].flatten().tolist()) == {0.0}
    assert torch.equal(made[0] == 0, made[0].abs() < weights[0].abs().max() / 254)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.0, 6.0), (0.5, 2.0), (-3.0, -1.0)])
def test_activations_are_on_a_grid_that_holds_zero(low: float, high: float) -> None:
    values = torch.linspace(-4, 8, 997)

    made = quantize_activations(values, torch.tensor(low), torch.tensor(high)).numpy()

    step = (max(high, 0) - min(low, 0)) / 255
    difference = np.abs(made - reference_activations(values.double().numpy(), low, high))
    assert np.mean(difference < 1e-5) > 0.99  # float32 rounds a value in the middle of two steps either way
    assert difference.max() < 1.01 * step
    assert quantize_activations(torch.zeros(1), torch.tensor(low), torch.tensor(high)).item() == 0
    assert len(np.unique(made)) <= 256


def test_gradients_pass_the_rounding_and_stop_where_a_value_is_cut_off() -> None:
    values = torch.tensor([-2.0, 0.3, 5.0], requires_grad=True)

    quantize_activations(values, torch.tensor(0.0), torch.tensor(1.0)).sum().backward()

    assert values.grad is not None
    assert values.grad.tolist() == [0.0, 1.0, 0.0]


def test_a_range_is_a_mean_at_first_and_a_moving_average_then() -> None:
    seen = Range(torch.zeros(()), torch.zeros(()))
    for top in (1.0, 2.0, 6.0):
        seen.observe(torch.tensor([-top, top]))
    assert (float(seen.low), float(seen.high)) == (-3.0, pytest.approx(3.0))

    seen.batches = 1000
    seen.observe(torch.tensor([0.0, 103.0]))
    assert float(seen.high) == pytest.approx(0.99 * 3 + 0.01 * 103)


def test_tensors_of_the_eight_bit_network() -> None:
    found = read_structure(network(), SHAPE)

    assert found.weighted == ("1", "6")
    assert found.folded == {"2": "1"}
    assert found.outputs == ("3", "6")  # after the ReLU, as it is computed with the convolution; not after the pool


def test_the_published_networks_are_understood() -> None:
    blocks = [{"filters": 4, "kernel": [3, 3], "pool": pool, "dropout": 0.3} for pool in (None, [2, 2])]
    found = read_structure(CNN(input_shape=SHAPE, classes=3, blocks=blocks, units=5), SHAPE)

    assert found.folded == {"convolutions.1": "convolutions.0", "convolutions.5": "convolutions.4"}
    assert found.outputs == ("convolutions.2", "convolutions.6", "head.2", "head.4")


@pytest.mark.parametrize("bias", [True, False])
def test_a_network_equals_its_reference_in_numpy(bias: bool) -> None:
    made = network(bias)
    clips = torch.randn(8, *SHAPE)
    quantized = calibrated(made, clips)

    found = quantized(clips).detach().numpy()

    np.testing.assert_allclose(found, _forward(made, quantized, clips), atol=0.02 * np.abs(found).max())
    with torch.no_grad():
        plain = made(clips).numpy()
    assert 0 < np.abs(found - plain).max() < 0.1 * np.abs(plain).max()


def _forward(made: nn.Sequential, quantized: FakeQuantization, clips: Tensor) -> NDArray[np.float64]:
    """Compute the same in double precision: fold, round, and apply the layers."""
    conv, norm, dense = made[1], made[2], made[6]
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(dense, nn.Linear)
    weight, gamma, beta, mean, variance = (
        tensor.detach().double().numpy()  # type: ignore[union-attr]
        for tensor in (conv.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    gain = gamma / np.sqrt(variance + norm.eps)
    bias = beta - mean * gain + (0 if conv.bias is None else conv.bias.detach().double().numpy() * gain)
    ranges = {name: (float(each.low), float(each.high)) for name, each in quantized.ranges.items()}
    maps = reference_activations(clips.double().numpy(), *ranges["input"])
    folded = reference_weights(weight * gain[:, None, None, None])
    maps = functional.conv2d(torch.from_numpy(maps)[:, None], torch.from_numpy(folded), padding="same").numpy()
    maps = reference_activations(np.maximum(maps + bias[None, :, None, None], 0), *ranges["3"])
    pooled = maps.reshape(8, 3, 2, 2, 3, 2).max(axis=(3, 5)).reshape(8, 18)
    logits = pooled @ reference_weights(dense.weight.detach().double().numpy()).T
    return reference_activations(logits + dense.bias.detach().double().numpy(), *ranges["6"])


def test_the_network_itself_stays_what_it_is() -> None:
    made = network()
    clips = torch.randn(8, *SHAPE)
    made.eval()
    keys, before = list(made.state_dict()), made(clips)

    quantized = calibrated(made, clips)
    quantized(clips)

    assert list(made.state_dict()) == keys
    assert torch.equal(made(clips), before)  # weights, statistics and hooks as before
    quantized.is_on = False
    assert torch.equal(quantized(clips), before)


def test_weights_scales_and_shifts_learn_through_the_rounding() -> None:
    made = network()
    clips = torch.randn(8, *SHAPE)
    quantized = calibrated(made.train(), clips)

    quantized(clips).square().sum().backward()

    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in made.parameters())


def test_without_ranges_nothing_passes_as_quantised() -> None:
    quantized = FakeQuantization(network().eval(), SHAPE)
    quantized.is_on = quantized.is_observing = True

    with pytest.raises(RuntimeError, match="no range of 'input' has been seen in training"):
        quantized(torch.randn(1, *SHAPE))


def test_ranges_come_back_from_a_checkpoint() -> None:
    clips = torch.randn(8, *SHAPE)
    first = calibrated(network(), clips)
    second = FakeQuantization(network().eval(), SHAPE)
    second.load(first.state())
    second.is_on = True

    assert torch.equal(first(clips), second(clips))


class Recurrent(nn.Module):
    """A convolution in time, a recurrent layer, and a weight that two layers share."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(SHAPE[0], 3, 3, padding="same"), nn.BatchNorm1d(3), nn.ReLU())
        self.gru = nn.GRU(3, 3, batch_first=True)
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight

    def forward(self, features: Tensor) -> Tensor:
        states = self.gru(self.conv(features).transpose(1, 2))[0][:, -1]
        scores: Tensor = self.second(self.first(states))
        return scores


def test_a_recurrent_layer_stays_as_it_is_and_a_shared_weight_is_quantised_in_both_layers() -> None:
    torch.manual_seed(2)
    made, clips = Recurrent(), torch.randn(5, *SHAPE)
    quantized = calibrated(made, clips)
    quantized.is_observing = False

    assert quantized.structure.weighted == ("conv.0", "first", "second")
    assert quantized.structure.folded == {"conv.1": "conv.0"}
    assert quantized.structure.outputs == ("conv.2", "first", "second")
    made.eval()
    assert 0 < (quantized(clips) - made(clips)).abs().max() < 0.05
