"""What features cost a training that computes them in each step: `python -m tests.benchmarks.waveforms`.

A batch of task 4 (48 clips of 10 s) and one of task 1A (16 clips): seconds of the front end, of each augmentation of
waveforms, and of the whole input with all of them, beside the step of the network on features that are there already.
Sides take turns, so that other work on the machine slows all of them; medians are printed. On a GPU
`python -m tests.benchmarks.gpu waveforms` measures whole epochs.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from dcase_sweep.audio.packed import pack, unpack
from dcase_sweep.training.augmentation.base import EventTargets
from dcase_sweep.utils.malloc import keep_large_allocations
from tests.benchmarks.figures import Figure, record
from tests.benchmarks.gpu_data import compose
from tests.benchmarks.measure import print_table

AUGMENTATIONS = ("speed", "device_response", "gain")
#: Clips of a batch.
EVENTS, SCENES = 48, 16


def main() -> None:
    """Measure both tasks and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of each side (default: 5)")
    parser.add_argument("--threads", type=int, default=2, help="cores (default: 2)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_large_allocations()
    rows: list[tuple[str, ...]] = [("", "task 4, ms", "% of the step", "task 1A, ms", "% of the step")]
    columns = [_measure(make(), options.rounds) for make in (_event_sides, _scene_sides)]
    for name in columns[0]:
        cells = [(f"{1000 * each[name]:.0f}", f"{100 * each[name] / each['whole step']:.1f}") for each in columns]
        rows.append((name, *(text for pair in cells for text in pair)))
    print_table(rows)
    for task, found in zip(("task 4", "task 1A"), columns, strict=True):
        share = 100 * found["whole input"] / found["whole step"]
        record(Figure(f"{task}: share of features and augmentations in a step", share, "%", "smaller"))


def _measure(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each side, after one round to warm up; the step with its input is their sum."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds + 1):
        for name, run in sides.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    found = {name: statistics.median(each[1:]) for name, each in seconds.items()}
    return found | {"whole step": found["whole input"] + found["step on features"]}


def _event_sides() -> dict[str, Callable[[], Any]]:
    from tests.benchmarks.crnn import _Batch, our_step

    batch = _Batch.of(EVENTS)
    step = our_step(batch.features, EventTargets(batch.strong, batch.weak), mixed=_has_bfloat16())
    targets = EventTargets(batch.strong, batch.weak)
    return _input_sides(("model=crnn_meanteacher", "data=desed"), EVENTS, targets) | {
        "step on features": _counted(step)
    }


def _scene_sides() -> dict[str, Callable[[], Any]]:
    from dcase_sweep.config import build_model

    experiment = compose("data=tau2020", "model=baseline_cnn")
    network = build_model(experiment, classes=10)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    features, classes = torch.randn(SCENES, 40, 500), torch.arange(SCENES) % 10

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=_has_bfloat16()):
            logits = network(features)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits.float(), classes).backward()
        optimizer.step()

    targets = torch.nn.functional.one_hot(classes, 10).float()
    return _input_sides(("data=tau2020", "model=baseline_cnn"), SCENES, targets) | {"step on features": step}


def _input_sides(overrides: tuple[str, ...], clips: int, targets: Any) -> dict[str, Callable[[], Any]]:
    """The parts of the input of a batch, and the whole."""
    from dcase_sweep.training.waveforms import WaveformInput, make_waveform_input

    experiment = compose(*overrides, "front_end.store=false", f"augmentation=[{','.join(AUGMENTATIONS)}]")
    whole = make_waveform_input(experiment)
    samples = round(10 * experiment.task.sample_rate)
    packed = pack(0.1 * torch.randn(clips, samples, generator=torch.Generator().manual_seed(0)))
    rng = np.random.default_rng(0)
    sides: dict[str, Callable[[], Any]] = {"front end": lambda: WaveformInput(whole.front_end)(packed, targets, rng)}
    waveforms = unpack(packed)
    for name, augmentation in zip(AUGMENTATIONS, whole.augmentations, strict=True):
        sides[name] = lambda augmentation=augmentation: augmentation(waveforms, targets, rng)  # type: ignore[misc]
    return sides | {"whole input": lambda: whole(packed, targets, rng)}


def _counted(step: Callable[[int], float]) -> Callable[[], float]:
    count = iter(range(1, 10_000))
    return lambda: step(next(count))


def _has_bfloat16() -> bool:
    from dcase_sweep.config import Hardware
    from dcase_sweep.training.device import resolve_precision

    return resolve_precision(Hardware(accelerator="cpu", precision="auto")) == "bf16-mixed"


if __name__ == "__main__":
    main()
