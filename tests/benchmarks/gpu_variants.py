"""The step of the mean teacher, computed in ways that a GPU may prefer, in turn with the present one."""

import argparse
from collections.abc import Callable
from typing import Any

from tests.benchmarks import gpu_data
from tests.benchmarks.figures import Figure, record
from tests.benchmarks.gpu_step import time_step

#: Words of a command for each variant. Those on a stream of the teacher's own need a GPU.
VARIANTS = {
    "present": (),
    "any algorithm": ("hardware.deterministic=false",),
    "teacher beside student": (),
    "both": ("hardware.deterministic=false",),
}
_BESIDE = ("teacher beside student", "both")


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
        found[name] = 1000 * time_step(learner, device)
        record(Figure(f"mean teacher's step, {name}", found[name], "ms", "smaller"))
        print(f"{name}: {found[name]:.2f} ms", flush=True)
    return found


def compute_beside(module: Any) -> None:
    """Compute the teacher on a stream of its own, while the student is computed.

    The student's recurrent layers leave most of the GPU idle. Dropout draws the same numbers, as they are drawn in the
    order of the calls.
    """
    import torch

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
