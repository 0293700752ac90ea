"""Errors of the kernels of gated blocks, on a GPU, or without one by Triton's interpreter (``TRITON_INTERPRET=1``)."""

import json
import sys
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from dcase_sweep.models.gated_block import GatedBlock
from tests.benchmarks.kernels.gated_block import Tiling, compute_block

#: Channels before and after each block, its pool ``(mel, frame)``, and the shape ``(clip, frame, mel)`` of its maps.
BLOCKS = {
    "spectrogram": (1, 16, (2, 2), (2, 21, 10)),
    "remainder": (16, 32, (2, 3), (2, 10, 7)),
    "64 channels": (16, 64, (2, 1), (3, 9, 6)),
    "128 channels": (32, 128, (2, 1), (2, 6, 8)),
}


def make_block(inputs: int, outputs: int, pool: tuple[int, int], dropout: float) -> GatedBlock:
    block = GatedBlock(
        inputs,
        outputs,
        kernel=(3, 3),
        pool=pool,
        dropout=dropout,
        norm_epsilon=1e-3,
        norm_momentum=0.99,
        fast_cpu=False,
    )
    with torch.no_grad():
        block.norm.weight.uniform_(0.5, 1.5)
        block.norm.bias.uniform_(-0.5, 0.5)
    return block


def relative(expected: Tensor, found: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def compute(block: Any, maps: Tensor, gradient: Tensor, call: Any, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """The output of a block, its gradients and its running statistics."""
    block = deepcopy(block)
    maps = maps.clone().requires_grad_(maps.shape[3] > 1)
    with torch.autocast(maps.device.type, dtype, enabled=dtype is not None):
        output = call(block, maps)
    (output * gradient).sum().backward()
    named = {name: each.grad for name, each in block.named_parameters() if name != "convolution.bias"}
    buffers = {"mean": block.norm.running_mean, "variance": block.norm.running_var}
    return {"output": output.detach(), **({"maps": maps.grad} if maps.requires_grad else {}), **named, **buffers}


def compare(name: str, device: str) -> dict[str, float]:
    """Largest relative error of the kernels in float32, and in bfloat16 that of the kernels and of the layers."""
    inputs, outputs, pool, size = BLOCKS[name]
    torch.manual_seed(0)
    block = make_block(inputs, outputs, pool, 0.0).to(device)
    maps = torch.randn(*size, inputs, device=device) + 0.3
    gradient = torch.randn_like(block(maps))
    exact = compute(block.double(), maps.double(), gradient.double(), GatedBlock.forward, None)
    block, found = block.float(), {}
    tiling = Tiling(values=512, programs=3)

    def largest(call: Any, dtype: torch.dtype | None) -> float:
        values = compute(block, maps, gradient, call, dtype)
        return max(relative(exact[each], values[each]) for each in exact)

    if device == "cpu":  # in float32 the largest blocks do not fit a program on a GPU
        found["float32"] = largest(lambda *given: compute_block(*given, tiling), None)
        found["evaluation"] = evaluate(deepcopy(block), maps, tiling)
    found["bfloat16"] = largest(lambda *given: compute_block(*given, tiling), torch.bfloat16)
    found["layers in bfloat16"] = largest(GatedBlock.forward, torch.bfloat16)
    return found


@torch.no_grad()
def evaluate(block: GatedBlock, maps: Tensor, tiling: Tiling) -> float:
    """Relative error with running statistics, in float32."""
    block.norm.running_mean.normal_()
    block.norm.running_var.uniform_(0.5, 2)
    block.eval()
    return relative(GatedBlock.forward(block, maps), compute_block(block, maps, tiling))


def differentiate(name: str, dropout: float, device: str) -> dict[str, float]:
    """Kept share of values, and the error of the gradient along a direction, with the same dropped values."""
    inputs, outputs, pool, size = BLOCKS[name]
    torch.manual_seed(0)
    block = make_block(inputs, outputs, pool, dropout).to(device)
    maps = torch.randn(*size, inputs, device=device, requires_grad=inputs > 1)
    tensors = [*([maps] if inputs > 1 else []), *(each for each in block.parameters() if each.numel() != outputs)]
    weight = torch.randn_like(block(maps))
    along = [torch.randn_like(each) for each in tensors]

    def value(step: float) -> Tensor:
        for each, direction in zip(tensors, along, strict=True):
            each.data.add_(direction, alpha=step)
        torch.manual_seed(1)
        result = (compute_block(block, maps, Tiling(values=512, programs=3)) * weight).double().sum()
        for each, direction in zip(tensors, along, strict=True):
            each.data.add_(direction, alpha=-step)
        return result

    gradients = torch.autograd.grad(value(0.0), tensors)
    found = sum(float((each * direction).sum()) for each, direction in zip(gradients, along, strict=True))
    step = 2e-4
    expected = float((value(step) - value(-step)).detach()) / (2 * step)
    return {"error": abs(found - expected) / abs(expected), **_look(block, maps)}


@torch.no_grad()
def _look(block: GatedBlock, maps: Tensor) -> dict[str, float]:
    """The share of values that dropout keeps, and their factor: with a gate of 1 + 0 y, no value after it is 0."""
    block = deepcopy(block)
    block.pool = (1, 1)
    block.gate.weight.zero_()
    block.gate.bias.fill_(1.0)
    dropped = compute_block(block, maps, Tiling(values=512))
    block.dropout = 0.0
    ratio = dropped / compute_block(block, maps, Tiling(values=512))
    return {"kept": float((ratio != 0).double().mean()), "factor": float(ratio.sum() / (ratio != 0).sum())}


def main(device: str) -> dict[str, Any]:
    """Every check of every block."""
    found: dict[str, Any] = {name: compare(name, device) for name in BLOCKS}
    for dropout in (0.5, 0.3):
        found[f"dropout {dropout}"] = {name: differentiate(name, dropout, device) for name in BLOCKS}
    return found


if __name__ == "__main__":
    json.dump(main(sys.argv[1]), sys.stdout)
