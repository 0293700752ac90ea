"""Copies of tensors in main memory."""

from collections import OrderedDict
from dataclasses import dataclass

import torch

from dcase_sweep.training.host_copy import copy_to_host


def test_what_is_in_main_memory_stays_as_it_is() -> None:
    weight = torch.ones(3)
    content = {"state_dict": OrderedDict(weight=weight), "steps": [weight, 2], "callbacks": {"a": (1, None)}}

    copied = copy_to_host(content)

    assert copied["state_dict"]["weight"] is weight
    assert copied["steps"][0] is weight
    assert copied["callbacks"] == {"a": (1, None)}
    assert isinstance(copied["state_dict"], OrderedDict)


@dataclass(frozen=True)
class State:
    values: torch.Tensor


def test_a_frozen_dataclass_in_the_state_of_a_callback_is_kept() -> None:
    content = {"callbacks": {"own": State(torch.ones(2))}}

    assert torch.equal(copy_to_host(content)["callbacks"]["own"].values, torch.ones(2))
