"""The step of the mean teacher, computed in ways that a GPU may prefer, in turn with the present one."""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dcase_sweep.models.gated_block import GatedBlock
from tests.benchmarks import gpu_data
from tests.benchmarks.figures import Figure, record
from tests.benchmarks.gpu_step import time_step

#: Words of a command for each variant. Those on a stream of the teacher's own need a GPU.
VARIANTS = {
    "present": (),
    "any algorithm": ("hardware.deterministic=false",),
    "teacher beside student": (),
    "fewer passes": (),
    "all": ("hardware.deterministic=false",),
}
_BESIDE = ("teacher beside student", "all")
_FEWER = ("fewer passes", "all")


def compare_variants(options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of a step of each variant."""
    device = options.device
    features = abs(gpu_data.random_features((gpu_data.event_sizes(2, (8, 8)), 128, 626), device.name))
    found: dict[str, float] = {}
    for name, overrides in VARIANTS.items():
        if name in _BESIDE and not device.is_gpu:
            continue
        learner = gpu_data.event_learner(features, 2, (8, 8), device.hardware, "training.epochs=1", *overrides)
        if not device.is_gpu:
            learner.experiment.hardware.graphs = True  # a step is taken as one that is recorded, but is not
        if name in _BESIDE:
            compute_beside(learner.module)
        if name in _FEWER:
            compute_in_fewer_passes(learner.module)
        seconds, moved = time_step(learner, device)
        found[name] = 1000 * seconds
        record(Figure(f"mean teacher's step, {name}", found[name], "ms", "smaller"))
        print(f"{name}: {found[name]:.2f} ms, {moved / 1e9:.2f} GB of tensors", flush=True)
    return found


def compute_beside(module: Any) -> None:
    """Compute the teacher on a stream of its own, while the student is computed.

    The student's recurrent layers leave most of the GPU idle. Dropout draws the same numbers, as they are drawn in the
    order of the calls.
    """
    stream = torch.cuda.Stream()
    student: Callable[[Any], Any] = module.call_student
    teacher: Callable[[Any], Any] = module.call_teacher

    def call_student(features: Any) -> Any:
        stream.wait_stream(torch.cuda.current_stream())
        return student(features)

    def call_teacher(features: Any) -> Any:
        here = torch.cuda.current_stream()
        with torch.cuda.stream(stream):
            predictions = teacher(features)
        here.wait_stream(stream)
        return predictions

    module.call_student, module.call_teacher = call_student, call_teacher


def compute_in_fewer_passes(network: torch.nn.Module) -> None:
    """Compute the gated blocks of networks with fewer passes over their maps.

    The bias of a convolution, which the normalisation subtracts again, is not added. The gate is one operation of
    PyTorch (`glu`), whose two halves are written by one matrix product. The gradient of the pool is that of a sum, and
    is not written before that of dropout reads it.
    """
    for module in network.modules():
        if isinstance(module, GatedBlock):
            module.forward = partial(_forward, module)  # type: ignore[method-assign]


def _forward(block: GatedBlock, maps: Tensor) -> Tensor:
    convolution, norm, gate = block.convolution, block.norm, block.gate
    rows = maps.permute(0, 3, 1, 2)
    if block.training:
        raw = functional.conv2d(rows, convolution.weight, None, padding="same")
        mean = norm.running_mean.clone()  # autograd saves it, so that it must not change afterwards
        settings = {"training": True, "momentum": norm.momentum, "eps": norm.eps}
        normalised = functional.batch_norm(raw, mean, norm.running_var, norm.weight, norm.bias, **settings)
        with torch.no_grad():
            norm.running_mean.copy_(mean + norm.momentum * convolution.bias)
            norm.num_batches_tracked.add_(1)
    else:
        normalised = norm(convolution(rows))
    values = normalised.permute(0, 2, 3, 1)
    itself = torch.eye(gate.in_features, device=maps.device, dtype=gate.weight.dtype)
    weight, bias = torch.cat([gate.weight, itself]), torch.cat([gate.bias, torch.zeros_like(gate.bias)])
    gated = functional.glu(functional.linear(values, weight, bias), -1)
    over_frames, over_mels = block.pool
    frames, mels = gated.shape[1] // over_frames, gated.shape[2] // over_mels
    cut = gated[:, : frames * over_frames, : mels * over_mels]
    windows = cut.reshape(len(maps), frames, over_frames, mels, over_mels, -1)
    dropped = functional.dropout(windows, block.dropout, block.training)
    # Without a type, autocast would compute the sum in float32.
    return dropped.sum(dim=(2, 4), dtype=dropped.dtype) / (over_frames * over_mels)
