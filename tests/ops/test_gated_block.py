"""A block whose convolution runs in tiles or in parts of the batch, compared with PyTorch's layers."""

from copy import deepcopy

import pytest
import torch

from dcase_sweep.models.gated_block import GatedBlock
from dcase_sweep.ops import convolution


@pytest.mark.parametrize("least_channels", [4, 5])
@pytest.mark.parametrize("in_training", [True, False])
def test_values_gradients_and_running_statistics_equal_those_of_the_layers(
    least_channels: int, in_training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "LEAST_CHANNELS", least_channels)
    torch.manual_seed(0)
    fused = GatedBlock(4, 6, kernel=(3, 3), pool=(2, 1), dropout=0.0, norm_epsilon=1e-3, norm_momentum=0.9).double()
    with torch.no_grad():
        for parameter in fused.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        fused.norm.running_mean += 0.5  # type: ignore[operator]
    fused.train(in_training)
    layers = deepcopy(fused)
    layers.fast_cpu = False
    maps = torch.randn(3, 9, 6, 4, dtype=torch.float64, requires_grad=True)
    same = maps.detach().clone().requires_grad_()

    found, wanted = fused(maps), layers(same)

    torch.testing.assert_close(found, wanted)
    gradient = torch.randn_like(found)
    found.backward(gradient)
    wanted.backward(gradient)
    torch.testing.assert_close(maps.grad, same.grad)
    for (name, one), other in zip(fused.named_parameters(), layers.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)
    for (name, one), other in zip(fused.named_buffers(), layers.buffers(), strict=True):
        torch.testing.assert_close(one, other, msg=name)
