"""The parameters of an optimizer of the user's own."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import nn

from dcase_sweep.training.optimization import Optimization
from dcase_sweep.utils.errors import UserError
from tests.composing import composed

ONLY_LR = ("~optimizer.eps", "~optimizer.weight_decay")


def divided(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Decay matrices only, in two passes over the parameters."""
    matrices = [each for each in parameters if each.ndim > 1]
    others = [each for each in parameters if each.ndim <= 1]
    return torch.optim.AdamW([{"params": matrices}, {"params": others, "weight_decay": 0.0}], lr=lr)


def foreign(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Optimize something else."""
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)


def configure(name: str) -> Any:
    experiment = composed(f"optimizer._target_={__name__}.{name}", *ONLY_LR)
    return Optimization.of(experiment, 10).configure(nn.Linear(2, 3).parameters())


def test_a_function_may_go_through_the_parameters_twice() -> None:
    groups = configure("divided").param_groups

    assert [[tuple(each.shape) for each in group["params"]] for group in groups] == [[(3, 2)], [(3,)]]


def test_an_optimizer_that_would_not_change_the_network_is_refused() -> None:
    with pytest.raises(UserError, match=r"^optimizer\._target_=\S+\.foreign: made an optimizer of other parameters"):
        configure("foreign")
