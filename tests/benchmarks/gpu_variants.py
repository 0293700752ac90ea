"""The step of the mean teacher, computed in ways that a GPU may prefer, in turn with the present one."""

import argparse
import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dcase_sweep.models.gated_block import GatedBlock
from tests.benchmarks import gpu_data
from tests.benchmarks.figures import Figure, record
from tests.benchmarks.gpu_device import Device
from tests.benchmarks.gpu_step import print_kernels, time_step

#: Words of a command for each variant, and the `CHANGES` to its networks.
VARIANTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "present": ((), ()),
    "any algorithm": (("hardware.deterministic=false",), ()),
    "teacher beside student": ((), ("beside",)),
    "fewer passes": ((), ("fewer",)),
    "blocks by kernels": ((), ("blocks",)),
    "blocks and GRUs by kernels": ((), ("blocks", "GRUs")),
    "kernels, teacher beside student": ((), ("blocks", "GRUs", "beside")),
    "kernels, any algorithm": (("hardware.deterministic=false",), ("blocks", "GRUs")),
    "all": (("hardware.deterministic=false",), ("blocks", "GRUs", "beside")),
}


def compare_variants(options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of a step of each variant."""
    device = options.device
    features = abs(gpu_data.random_features((gpu_data.event_sizes(2, (8, 8)), 128, 626), device.name))
    obstacles = find_obstacles(device, must_be_equal=not options.small)
    found: dict[str, float] = {}
    for name, (overrides, changes) in VARIANTS.items():
        if any(change in obstacles for change in changes):
            print(f"{name}: {next(obstacles[change] for change in changes if change in obstacles)}", flush=True)
            continue
        learner = gpu_data.event_learner(features, 2, (8, 8), device.hardware, "training.epochs=1", *overrides)
        if not device.is_gpu:
            learner.experiment.hardware.graphs = True  # a step is taken as one that is recorded, but is not
        for change in changes:
            CHANGES[change](learner.module)
        seconds, moved, kernels = time_step(learner, device)
        found[name] = 1000 * seconds
        record(Figure(f"mean teacher's step, {name}", found[name], "ms", "smaller"))
        clips = 8 if options.small else 256
        validation = 1000 * time_validation(learner, device, clips)
        record(Figure(f"mean teacher's validation of {clips} clips, {name}", validation, "ms", "smaller"))
        times = f"{name}: {found[name]:.2f} ms, validation of {clips} clips {validation:.2f} ms"
        print(f"{times}, {moved / 1e9:.2f} GB of tensors of PyTorch's operators", flush=True)
        print_kernels(kernels)
    return found


def time_validation(learner: Any, device: Device, clips: int) -> float:
    """Seconds of the student's predictions for random clips of ten seconds, as a validation computes them."""
    student = learner.module.student.to(device.name).eval()
    features = torch.randn(clips, 128, 626, device=device.name)
    with torch.no_grad(), torch.autocast(device.name, torch.bfloat16, enabled=device.is_gpu):
        return device.seconds_of(lambda: student(features), repeat=10)


def find_obstacles(device: Device, *, must_be_equal: bool = True) -> dict[str, str]:
    """Return the changes that cannot be made here, and why: no GPU, or results that are not those of the layers."""
    if not device.is_gpu:
        return dict.fromkeys(("beside", "blocks", "GRUs"), "only on a GPU")
    if importlib.util.find_spec("triton") is None:
        return dict.fromkeys(("blocks", "GRUs"), "Triton is not installed")
    from tests.benchmarks.kernels import check_gated_block, check_gru

    obstacles = {}
    blocks = [check_gated_block.compare(name, device.name) for name in check_gated_block.BLOCKS]
    for change, errors in (("blocks", blocks), ("GRUs", [check_gru.compare(device.name)])):
        for each in errors:
            print(f"errors of {change}: kernels {each['bfloat16']:.2g}, layers {each['layers in bfloat16']:.2g}")
        if must_be_equal and not all(each["bfloat16"] < 2 * each["layers in bfloat16"] for each in errors):
            obstacles[change] = "the kernels' results are not those of the layers"
    return obstacles


def compute_by_kernels(module: str, network: torch.nn.Module) -> None:
    """Compute layers of networks by the kernels of a module, which imports Triton."""
    importlib.import_module(f"tests.benchmarks.kernels.{module}").compute_by_kernels(network)


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


#: How the networks of a module are changed.
CHANGES: dict[str, Callable[[Any], None]] = {
    "beside": compute_beside,
    "fewer": compute_in_fewer_passes,
    "blocks": partial(compute_by_kernels, "gated_block"),
    "GRUs": partial(compute_by_kernels, "gru"),
}
