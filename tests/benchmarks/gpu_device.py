"""The device of `tests.benchmarks.gpu`: a GPU, or a CPU, on which the same parts run to see that they do."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Device:
    """What a benchmark asks of a device.

    Attributes:
        name: `cuda` or `cpu`.
    """

    name: str

    @classmethod
    def find(cls) -> "Device":
        import torch

        return cls("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def is_gpu(self) -> bool:
        return self.name == "cuda"

    @property
    def hardware(self) -> str:
        """The choice of the group `hardware`."""
        return "hardware=gpu" if self.is_gpu else "hardware=cpu"

    def describe(self) -> str:
        import torch

        from tests.benchmarks.measure import describe_machine

        return torch.cuda.get_device_name() if self.is_gpu else describe_machine()

    def synchronize(self) -> None:
        """Wait until everything that was started has ended."""
        import torch

        if self.is_gpu:
            torch.cuda.synchronize()

    def forget_peak(self) -> None:
        """Begin to measure the largest memory."""
        import torch

        if self.is_gpu:
            torch.cuda.reset_peak_memory_stats()

    def read_peak(self) -> int:
        """Bytes of a GPU's memory that PyTorch has reserved at most; what it does not use is returned. 0 on a CPU."""
        import torch

        if not self.is_gpu:
            return 0
        peak = torch.cuda.max_memory_reserved()
        torch.cuda.empty_cache()
        return peak

    def seconds_of(self, run: Callable[[], Any], repeat: int = 20) -> float:
        """Median seconds of something, by the clock of the device."""
        import torch

        if not self.is_gpu:
            return statistics.median(_time(run) for _ in range(3))
        for _ in range(3):
            run()
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeat + 1)]
        marks[0].record()
        for mark in marks[1:]:
            run()
            mark.record()
        torch.cuda.synchronize()
        return statistics.median(marks[i].elapsed_time(marks[i + 1]) for i in range(repeat)) / 1000


def _time(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
