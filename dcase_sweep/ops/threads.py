"""Work shared among threads that run PyTorch's operators on one core each.

Splitting every operator among the cores makes them all wait for each other after each one, a hundred thousand times a
training step where operators are small, and a core that is busy elsewhere holds up the rest. Whole tasks do not wait.
"""

import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")

_pools: dict[int, ThreadPoolExecutor] = {}
_creation = threading.Lock()
os.register_at_fork(after_in_child=_pools.clear)


def _stay_on_one_core() -> None:
    # PyTorch gives a thread its number when it is first asked for, over what has been set before.
    torch.get_num_threads()
    torch.set_num_threads(1)


def _pool(threads: int) -> ThreadPoolExecutor:
    """So many threads, started once, whose operators stay on one core."""
    with _creation:
        if threads not in _pools:
            together = threading.Barrier(threads)
            pool = ThreadPoolExecutor(threads, "dcase_sweep", initializer=_stay_on_one_core)
            for started in [pool.submit(together.wait) for _ in range(threads)]:
                started.result()
            # The number is each thread's own, but the last one set is what further threads start with.
            torch.set_num_threads(threads)
            _pools[threads] = pool
        return _pools[threads]


def run_together(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """The results of all tasks, in their order. Tasks run without gradients, on as many threads as PyTorch may use."""
    threads = torch.get_num_threads()
    if threads == 1 or len(tasks) == 1:
        with torch.no_grad():
            return [task() for task in tasks]
    is_inference = torch.is_inference_mode_enabled()

    def run(task: Callable[[], Result]) -> Result:
        with torch.inference_mode(is_inference), torch.no_grad():
            return task()

    return list(_pool(threads).map(run, tasks))


class _Memory(threading.local):
    """Each thread's working memory, kept from call to call, because fresh memory costs more than what is done in it."""

    def __init__(self) -> None:
        self.values = torch.empty(0, dtype=torch.uint8)

    def reserve(self, size: int) -> Tensor:
        if len(self.values) < size:
            with torch.inference_mode(False):
                self.values = torch.empty(size, dtype=torch.uint8)
        return self.values


_memory = _Memory()
_ALIGNMENT = 64


def working_memory(shapes: Sequence[tuple[Sequence[int], torch.dtype]]) -> list[Tensor]:
    """Uninitialised tensors of these shapes and types, valid until the same thread asks again."""
    sizes = [-(-math.prod(shape) * dtype.itemsize // _ALIGNMENT) * _ALIGNMENT for shape, dtype in shapes]
    tensors, first = [], 0
    memory = _memory.reserve(sum(sizes))
    for (shape, dtype), size in zip(shapes, sizes, strict=True):
        length = math.prod(shape) * dtype.itemsize
        tensors.append(memory[first : first + length].view(dtype).view(*shape))
        first += size
    return tensors
