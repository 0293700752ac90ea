"""Networks compiled for full batches; other batches do not reach the compiler."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from dcase_sweep.training.compiled import CompiledCall, compile_calls


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that the compiled network was called with; nothing is compiled."""
    sizes: list[int] = []

    def compile_(network: nn.Module, dynamic: bool) -> Any:
        assert not dynamic

        def call(features: torch.Tensor) -> Any:
            sizes.append(len(features))
            return network(features)

        return call

    monkeypatch.setattr(torch, "compile", compile_)
    return sizes


def test_only_full_batches_in_training_are_compiled(compiled: list[int]) -> None:
    network = nn.Linear(2, 1)
    (call,) = compile_calls([network], 4)

    for size in (4, 3, 4):
        call(torch.ones(size, 2))
    network.eval()
    call(torch.ones(4, 2))

    assert compiled == [4, 4]


def test_a_copy_calls_the_copied_network(compiled: list[int]) -> None:
    network = nn.Linear(2, 1)
    call = CompiledCall(network, 4)

    copied_network, copied = copy.deepcopy((network, call))
    nn.init.zeros_(copied_network.weight)
    nn.init.zeros_(copied_network.bias)

    assert copied(torch.ones(4, 2)).abs().sum() == 0
    assert call(torch.ones(4, 2)).abs().sum() > 0
