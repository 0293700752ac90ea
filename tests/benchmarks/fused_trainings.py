"""Trainings of several seeds: one after another, together, and in processes of their own."""

import multiprocessing
import os
import queue
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks import gpu_data

#: Scenes that are trained on and validated, with --small and on a CPU.
SCENES = {"small": (64, 16), "cpu": (160, 32), "cuda": gpu_data.SCENES}
#: Likewise of task 4: batches of an epoch, and clips that are validated.
EVENTS = {
    "small": (1, (4, 4)),
    "cpu": (4, (16, 8)),
    "cuda": (gpu_data.EVENT_BATCHES, gpu_data.EVENT_VALIDATION),
}
#: How long a process waits for the others' first epoch, and the longest training, in seconds.
_PATIENCE, _LONGEST = 600.0, 3000.0


@dataclass(frozen=True)
class Trainings:
    """Trainings that differ in their seeds.

    Attributes:
        task: `1a` or `4`.
        size: `small`, `cpu` or `cuda`, by which the numbers of clips are chosen.
        device: PyTorch's name of the device.
        features: a file of the features of all clips.
        overrides: of the experiment.
    """

    task: str
    size: str
    device: str
    features: Path
    overrides: tuple[str, ...]

    @property
    def clips(self) -> int:
        """Clips of an epoch of one training."""
        return SCENES[self.size][0] if self.task == "1a" else EVENTS[self.size][0] * sum(gpu_data.EVENT_BATCH)

    def draw(self) -> None:
        """Write random features to the file."""
        if self.task == "1a":
            features = gpu_data.random_features((sum(SCENES[self.size]), 40, 500), self.device)
        else:
            clips = gpu_data.event_sizes(*EVENTS[self.size])
            features = abs(gpu_data.random_features((clips, 128, 626), self.device))
        np.save(self.features, features)

    def make(self, seed: int, more: Sequence[str] = ()) -> Any:
        """Make the learner of a seed; learners share the file as those of the feature store do."""
        stored: NDArray[np.float32] = np.load(self.features, mmap_mode="r")
        hardware = "hardware=gpu" if self.device == "cuda" else "hardware=cpu"
        words = (hardware, *self.overrides, *more, f"seed={seed}")
        if self.task == "1a":
            return gpu_data.scene_learner(stored, SCENES[self.size], *words)
        return gpu_data.event_learner(stored, *EVENTS[self.size], *words)


def store(features: NDArray[np.float32], folder: Path) -> NDArray[np.float32]:
    """Features in a file, which trainings share as those of the feature store."""
    np.save(folder / "features.npy", features)
    stored: NDArray[np.float32] = np.load(folder / "features.npy", mmap_mode="r")
    return stored


def run_alone(functions: Sequence[Callable[[], Any]]) -> None:
    for function in functions:
        function()


def run_together(functions: Sequence[Callable[[], Any]], stacked: bool | None = None) -> None:
    """Run trainings as the jobs of `hydra/launcher=fused`."""
    from dcase_sweep.training.fused.coordinator import Coordinator
    from dcase_sweep.training.fused.random_state import RANDOM
    from dcase_sweep.utils.turns import STATES, Turn

    turns = [Turn(each, (*STATES, RANDOM), name=str(number)) for number, each in enumerate(functions)]
    Coordinator(turns, None, stacked).run()


def time_epochs(
    folders: Sequence[Path], make: Callable[[int], Any], run: Callable[[Sequence[Callable[[], Any]]], None]
) -> float:
    """Seconds of an epoch of all trainings together, validation included."""
    ends: list[list[float]] = [[] for _ in folders]

    def train(seed: int) -> None:
        learner = make(seed)
        learner.fit(folders[seed], extra={}, on_epoch=lambda epoch, metrics: ends[seed].append(time.perf_counter()))

    run([lambda seed=seed: train(seed) for seed in range(len(folders))])  # type: ignore[misc]
    counted = len(ends[0]) - 1
    return (max(each[-1] for each in ends) - max(each[0] for each in ends)) / counted


def time_processes(trainings: Trainings, count: int, folder: Path) -> tuple[float, str]:
    """Seconds of an epoch of all trainings, each in a process of its own, and in words how they share the device.

    The processes share a GPU as the workers of a search do. Their second epochs begin at the same time.
    """
    from dcase_sweep.sweep.mps import running_mps

    context = multiprocessing.get_context("spawn")
    barrier, ends = context.Barrier(count), context.Queue()
    cores = max(1, len(os.sched_getaffinity(0)) // count)
    plain = nullcontext(f"{cores} of the cores each")
    with running_mps(count) if trainings.device == "cuda" else plain as how:
        processes = [
            context.Process(target=_train, args=(trainings, seed, count, cores, folder / f"{seed}", barrier, ends))
            for seed in range(count)
        ]
        try:
            for process in processes:
                process.start()
            found = [_receive(ends, processes) for _ in processes]
            for process in processes:
                process.join(_PATIENCE)
        finally:
            for process in processes:
                if process.pid is not None:
                    process.kill()
    began = max(times[0] for times in found)  # when the last one has passed the barrier
    return (max(times[-1] for times in found) - began) / (len(found[0]) - 1), how


def _receive(ends: Any, processes: Sequence[Any]) -> list[float]:
    """Wait for the times of one process, and fail if one has failed."""
    last = time.monotonic() + _LONGEST
    while time.monotonic() < last:
        try:
            times: list[float] = ends.get(timeout=1.0)
            return times
        except queue.Empty:
            failed = [process.exitcode for process in processes if process.exitcode]
            if failed:
                raise SystemExit(f"a training in a process of its own failed with exit code {failed[0]}") from None
    raise SystemExit(f"trainings in processes of their own have not ended after {_LONGEST:.0f} s")


def _train(
    trainings: Trainings, seed: int, count: int, cores: int, folder: Path, barrier: Any, ends: Any
) -> None:  # pragma: no cover - in another process
    """Train one seed, and send when its counted epochs began and when each has ended, by a clock of the machine."""
    from dcase_sweep.utils.gpus import assign_gpu

    times: list[float] = []

    def end(epoch: int, metrics: dict[str, float]) -> None:
        if epoch == 0:
            barrier.wait(_PATIENCE)
        times.append(time.monotonic())

    more = ()
    if trainings.device == "cuda":
        os.environ.update(assign_gpu(seed, count))
    else:
        more = (f"hardware.threads={cores}",)
    trainings.make(seed, more).fit(folder, extra={}, on_epoch=end)
    ends.put(times)
