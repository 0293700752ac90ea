"""Optimizers whose steps can be recorded as a CUDA graph."""

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer


def describe_obstacle(optimizer: Optimizer) -> str | None:
    """Return the reason why the steps of an optimizer cannot be recorded; None if they can."""
    name = type(optimizer).__name__
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            return f"the learning rate of {name} is a tensor"
        if "capturable" not in group and type(optimizer) is not SGD:
            return f"{name} cannot be recorded"
    return None


def make_capturable(optimizer: Optimizer) -> None:
    """Make an optimizer store its complete state on the GPU, including the number of steps. No effect on a CPU."""
    for group in optimizer.param_groups:
        if not all(parameter.is_cuda for parameter in group["params"]):
            continue
        if "capturable" in group:
            group["capturable"] = True
        if group.get("fused", False) is None and group.get("foreach") is None:
            group["fused"] = True
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            if isinstance(state.get("step"), Tensor):
                state["step"] = state["step"].to(parameter.device, torch.float32)
