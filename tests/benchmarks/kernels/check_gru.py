"""Errors of the kernels of the GRU, on a GPU, or without one by Triton's interpreter (``TRITON_INTERPRET=1``)."""

import json
import sys
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from dcase_sweep.ops.recurrent import BidirectionalGRU
from tests.benchmarks.kernels.check_gated_block import relative
from tests.benchmarks.kernels.gru import compute_gru


def compute(gru: BidirectionalGRU, inputs: Tensor, gradient: Tensor, call: Any, dtype: Any) -> dict[str, Tensor]:
    """The states of a GRU, and its gradients."""
    gru, inputs = deepcopy(gru), inputs.clone().requires_grad_()
    with torch.autocast(inputs.device.type, dtype, enabled=dtype is not None):
        output = call(gru, inputs)
    (output * gradient).sum().backward()
    assert inputs.grad is not None
    return {
        "output": output.detach(),
        "inputs": inputs.grad,
        **{name: each.grad for name, each in gru.named_parameters() if each.grad is not None},
    }


def compare(device: str) -> dict[str, float]:
    """Largest relative error of the kernels in float32, and in bfloat16 that of the kernels and of the layers."""
    torch.manual_seed(0)
    gru = BidirectionalGRU(24, 32, 2, fast_cpu=False).to(device)
    inputs = torch.randn(19, 9, 24, device=device)
    gradient = torch.randn_like(gru(inputs))
    exact = compute(gru.double(), inputs.double(), gradient.double(), BidirectionalGRU.forward, None)
    gru = gru.float()

    def largest(call: Any, dtype: torch.dtype | None) -> float:
        values = compute(gru, inputs, gradient, call, dtype)
        assert values.keys() == exact.keys()
        return max(relative(exact[each], values[each]) for each in exact)

    return {
        **({"float32": largest(compute_gru, None)} if device == "cpu" else {}),  # on a GPU it is not used
        "bfloat16": largest(compute_gru, torch.bfloat16),
        "layers in bfloat16": largest(BidirectionalGRU.forward, torch.bfloat16),
    }


if __name__ == "__main__":
    json.dump(compare(sys.argv[1]), sys.stdout)
