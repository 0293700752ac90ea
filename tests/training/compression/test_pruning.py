"""Magnitude pruning: the selected weights, their number, and their zeros after further steps."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from dcase_sweep.complexity.layers import Layer, list_layers
from dcase_sweep.complexity.rules import Complexity, layer_complexity
from dcase_sweep.training.compression.pruning import (
    Pruner,
    PruningPlan,
    plan_pruning,
    prunable_weights,
    zero_smallest,
)
from dcase_sweep.utils.errors import UserError


def network() -> nn.Sequential:
    """18 + 24 weights that may become zero; 2 + 3 biases, and 8 values of batch normalisation."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Unflatten(1, (1, 1)), nn.Conv2d(1, 2, 3, padding="same"), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)
    )


def test_the_smallest_over_all_layers_become_zero_by_hand() -> None:
    first = torch.tensor([[0.5, -0.1], [0.2, 0.9]])
    second = torch.tensor([-0.3, 0.05, 0.2])

    zero_smallest([first, second], 4)

    assert first.tolist() == torch.tensor([[0.5, 0.0], [0.0, 0.9]]).tolist()
    assert second.tolist() == torch.tensor([-0.3, 0.0, 0.0]).tolist()


def test_the_first_of_equal_magnitudes_are_pruned_and_no_more_than_requested() -> None:
    weights = torch.tensor([0.1, -0.1, 0.1, 0.1])

    zero_smallest([weights], 2)

    assert weights.tolist() == torch.tensor([0.0, 0.0, 0.1, 0.1]).tolist()


def test_a_channels_last_weight_is_pruned_like_any_other() -> None:
    weight = torch.randn(4, 3, 3, 3)
    other = weight.clone().to(memory_format=torch.channels_last)

    zero_smallest([weight], 50)
    zero_smallest([other], 50)

    assert torch.equal(weight, other)


@pytest.mark.parametrize(("bits", "size"), [(32, 150), (16, 95), (8, 61)])
def test_the_largest_number_of_weights_that_fits_stays(bits: int, size: int) -> None:
    made = network()
    kib = size / 1024
    layers = list_layers(made, (1, 4))
    weights = prunable_weights(made, layers)

    plan = plan_pruning(layers, 42, kib=kib, bits=bits)  # type: ignore[arg-type]
    zero_smallest(weights, plan.zeros)
    for name, value in made.named_parameters():
        if name.endswith("bias"):
            nn.init.ones_(value)
    nn.init.ones_(made[2].running_mean)  # type: ignore[arg-type]

    counted = Complexity(tuple(layer_complexity(e.name, e.kind, e.arrays) for e in list_layers(made, (1, 4))))
    found = counted.size_bytes(bits, nonzero_only=True)  # type: ignore[arg-type]
    assert sum(weight.numel() for weight in weights) == 42
    assert plan.after == found <= size < found + bits // 8
    assert plan.before == (42 + 5) * bits // 8 + 8 * 4


def test_by_hand_126_kib_of_the_five_layer_network() -> None:
    """Weights 190,200, biases 254 of 16 bit, batch normalisation 4 × 144 of 32 bit."""
    sizes = {"Conv2d": 190_200, "Linear": 254, "BatchNorm2d": 576}
    layers = [Layer(kind, kind, (np.zeros(size, np.float32),), 0) for kind, size in sizes.items()]

    plan = plan_pruning(layers, 190_200, kib=126, bits=16)

    assert plan.weights - plan.zeros == (126 * 1024 - 254 * 2 - 576 * 4) // 2 == 63_106
    assert plan.after == 126 * 1024


def test_the_parameters_that_cannot_be_pruned_must_fit() -> None:
    with pytest.raises(UserError, match=r"compression.nonzero_kib=0.04: biases, normalisation and other") as caught:
        plan_pruning(list_layers(network(), (1, 4)), 42, kib=0.04, bits=16)

    assert "take 0.04 of the 0.12 KiB at 16 bit" in str(caught.value)


def test_a_network_that_fits_already_keeps_all() -> None:
    assert plan_pruning(list_layers(network(), (1, 4)), 42, kib=400, bits=16).zeros == 0
    assert plan_pruning(list_layers(network(), (1, 4)), 42, kib=None, bits=16).zeros == 0


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_moments_bring_no_weight_back_and_more_are_pruned(kind: type[torch.optim.Adam]) -> None:
    weight = nn.Parameter(torch.tensor([0.1, -0.2, 0.3, -0.4]))
    optimizer = kind([weight], lr=0.5)
    pruner = Pruner([weight], PruningPlan(4, 2, 0, 0))
    zeros = []

    for share in (0.0, 0.5, 0.5, 1.0, 1.0, 1.0):
        pruner.remember()
        optimizer.zero_grad()
        (weight * torch.tensor([3.0, -2.0, 1.0, 4.0])).sum().backward()
        optimizer.step()
        pruner.enforce(share)
        zeros.append({position for position, value in enumerate(weight.tolist()) if value == 0})

    assert [len(found) for found in zeros] == [0, 1, 1, 2, 2, 2]
    assert all(earlier <= later for earlier, later in pairwise(zeros))


def test_a_pruned_start_stays_pruned() -> None:
    weight = torch.tensor([0.0, 0.2, 0.0, 0.4])
    pruner = Pruner([weight], PruningPlan(4, 0, 0, 0))

    pruner.remember()
    weight += 1
    pruner.enforce(1.0)

    assert weight.tolist() == pytest.approx([0.0, 1.2, 0.0, 1.4])


def test_only_weights_that_count_are_pruned_and_shared_ones_once() -> None:
    """Zeros in a head that only the training needs would not make the network smaller."""
    made = nn.Sequential(nn.Flatten(), nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    made[2].weight = made[1].weight
    made.add_module("auxiliary", nn.Linear(4, 50))
    made.forward = lambda features: made[2](made[1](made[0](features)))  # type: ignore[method-assign,assignment]

    weights = prunable_weights(made, list_layers(made, (1, 4)))

    assert [weight is made[1].weight for weight in weights] == [True]
