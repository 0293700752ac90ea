"""One training step on a GPU beside the limits of the card: what it multiplies and moves, and how long it takes."""

import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.benchmarks.gpu_device import Device


class Traffic(TorchDispatchMode):
    """Counts the bytes that operators read and write: each input and each output of each once, views not at all.

    What a library does within one operator, as a recurrent layer's frames, is not seen: the least that is moved.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.operators = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        import torch

        results = func(*args, **(kwargs or {}))
        inputs = [each for each in tree_leaves((args, kwargs or {})) if isinstance(each, torch.Tensor)]
        outputs = [each for each in tree_leaves(results) if isinstance(each, torch.Tensor)]
        places = {each.untyped_storage().data_ptr() for each in inputs}
        is_view = bool(outputs) and all(each.untyped_storage().data_ptr() in places for each in outputs)
        if not (is_view and not func._schema.is_mutable):
            self.operators += 1
            self.bytes += sum(each.nbytes for each in (*inputs, *outputs))
        return results


def at_a_step(learner: Any, look: Callable[[Any, Any, Any], None]) -> None:
    """Train, and show the graph with the tensors and numbers of a step, once it is recorded."""
    module = learner.module
    step, taken = module.training_step, 0

    def watched(*arguments: Any) -> Any:
        nonlocal taken
        taken += 1
        graph = module.step_graph
        if taken == 2 and graph is not None:
            for _ in range(6):  # beyond the recording
                step(*arguments)
            look(graph, module.prepare(arguments[0]), module.step_numbers())
        return step(*arguments)

    module.training_step = watched
    with tempfile.TemporaryDirectory() as folder:
        learner.fit(Path(folder), extra={}, on_epoch=lambda epoch, metrics: None)


def list_kernels(run: Callable[[], Any], most: int = 12) -> list[tuple[str, int, float]]:
    """The kernels that take most of the time: name, launches and milliseconds of all of them; none on a CPU."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        run()
    kernels = [each for each in profiler.key_averages() if each.device_type == DeviceType.CUDA]
    kernels.sort(key=lambda each: -each.self_device_time_total)
    return [(each.key, each.count, each.self_device_time_total / 1000) for each in kernels[:most]]


def print_kernels(kernels: list[tuple[str, int, float]]) -> None:
    """Print what `list_kernels` returns."""
    for name, launches, milliseconds in kernels:
        print(f"    {milliseconds:6.2f} ms, {launches:4d} × {name[:90]}", flush=True)


def time_step(learner: Any, device: Device) -> tuple[float, int, list[tuple[str, int, float]]]:
    """Seconds of the graph of a learner's step, alone, bytes of its operators' tensors, and its longest kernels."""
    found: list[tuple[float, int, list[tuple[str, int, float]]]] = []

    def look(graph: Any, inputs: Any, numbers: Any) -> None:
        seconds = device.seconds_of(lambda: graph(inputs, numbers), repeat=50)
        with Traffic() as traffic:
            graph._step(inputs)
        kernels = list_kernels(lambda: graph._step(inputs)) if device.is_gpu else []
        found.append((seconds, traffic.bytes, kernels))

    at_a_step(learner, look)
    return found[0]


def describe_step(learner: Any, device: Device) -> dict[str, float]:
    """The step of a learner: its operators, bytes and products, and the milliseconds of its graph alone."""
    from tests.benchmarks.gpu import measure_limits

    found: dict[str, float] = {}
    kernels: list[tuple[str, int, float]] = []
    module = learner.module

    def look(graph: Any, inputs: Any, numbers: Any) -> None:
        found["seconds"] = device.seconds_of(lambda: graph(inputs, numbers), repeat=50)
        found["clips"] = len(inputs[0])
        with Traffic() as traffic:
            graph._step(inputs)
        found["bytes"], found["operators"] = traffic.bytes, traffic.operators
        kernels.extend(list_kernels(lambda: graph._step(inputs)) if device.is_gpu else [])

    at_a_step(learner, look)
    if not found:
        return found
    products = sum(layer.multiply_accumulates for layer in learner.layers())
    # Forward and backward are three times the forward pass; the teacher's forward pass comes on top.
    passes = 4 if hasattr(module, "teacher") else 3
    found["flops"] = 2 * passes * products * found["clips"]
    limits = measure_limits(Namespace(device=device))
    found["share_of_flops"] = found["flops"] / found["seconds"] / limits["flops"]
    found["share_of_bytes"] = found["bytes"] / found["seconds"] / limits["bytes"]
    print(
        f"a step as a graph, alone: {1000 * found['seconds']:.2f} ms, {found['clips'] / found['seconds']:.0f} clips/s, "
        f"{found['operators']:.0f} operators, {found['flops'] / 1e9:.0f} GFLOP ({found['share_of_flops']:.1%} of the "
        f"matrix rate), {found['bytes'] / 1e9:.2f} GB of tensors ({found['share_of_bytes']:.0%} of the bandwidth)",
        flush=True,
    )
    print_kernels(kernels)
    return found
