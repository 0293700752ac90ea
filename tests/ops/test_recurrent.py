"""Bidirectional GRU layers, against PyTorch's."""

import pytest
import torch
from torch import nn

from dcase_sweep.ops.recurrent import BidirectionalGRU


def pair(layers: int, dropout: float = 0.0) -> tuple[BidirectionalGRU, nn.GRU]:
    torch.manual_seed(0)
    ours = BidirectionalGRU(6, 5, layers, dropout=dropout).double()
    theirs = nn.GRU(6, 5, layers, batch_first=True, bidirectional=True).double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_states_and_gradients_are_those_of_pytorchs_layer(layers: int) -> None:
    ours, theirs = pair(layers)
    inputs = torch.randn(4, 9, 6, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(4, 9, 10, dtype=torch.float64)

    states, (expected, _) = ours(inputs), theirs(inputs)

    torch.testing.assert_close(states, expected)
    found = torch.autograd.grad(states, [inputs, *ours.parameters()], gradient)
    wanted = torch.autograd.grad(expected, [inputs, *theirs.parameters()], gradient)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_mixed_precision_keeps_states_in_single() -> None:
    layer = BidirectionalGRU(6, 5, 2)
    inputs = torch.randn(4, 9, 6)

    with torch.autocast("cpu", torch.bfloat16):
        states = layer(inputs)

    assert states.dtype == torch.float32
    torch.testing.assert_close(states, layer(inputs), rtol=0, atol=0.02)


def test_dropout_acts_between_layers_in_training_alone() -> None:
    ours, _ = pair(2, dropout=0.5)
    inputs = torch.randn(4, 9, 6, dtype=torch.float64)

    assert not torch.equal(ours(inputs), ours(inputs))
    assert torch.equal(ours.eval()(inputs), ours(inputs))


def test_one_frame_is_enough() -> None:
    ours, theirs = pair(1)
    inputs = torch.randn(2, 1, 6, dtype=torch.float64)

    torch.testing.assert_close(ours(inputs), theirs(inputs)[0])
