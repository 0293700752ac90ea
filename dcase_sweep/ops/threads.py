"""Run whole tasks in parallel threads, each of which runs PyTorch's operators on one core.

If every operator is split among the cores, all cores wait for each other after each operator. With small operators that
happens a hundred thousand times in a training step, and a core that is busy with something else delays all others.
Whole tasks do not have to wait.
"""

import math
import os
import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")

_pools: dict[int, ThreadPoolExecutor] = {}
_creation = threading.Lock()
if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_pools.clear)


def _stay_on_one_core() -> None:
    # The first call of get_num_threads in a thread sets the number, and would overwrite one that was set before.
    torch.get_num_threads()
    torch.set_num_threads(1)


def _pool(threads: int) -> ThreadPoolExecutor:
    """Return a pool of this many threads whose operators use one core; it is started once."""
    with _creation:
        if threads not in _pools:
            together = threading.Barrier(threads)
            pool = ThreadPoolExecutor(threads, "dcase_sweep", initializer=_stay_on_one_core)
            for started in [pool.submit(together.wait) for _ in range(threads)]:
                started.result()
            # Each thread has its own number, but new threads start with the one that was set last.
            torch.set_num_threads(threads)
            _pools[threads] = pool
        return _pools[threads]


class _Tasks(Generic[Result]):
    """Tasks that threads take in their order, one at a time, and what they return."""

    def __init__(self, tasks: Iterable[Callable[[], Result]]) -> None:
        self._tasks, self._taking = enumerate(tasks), threading.Lock()
        self.results: dict[int, Result] = {}

    def _take(self) -> tuple[int, Callable[[], Result]] | None:
        with self._taking:
            return next(self._tasks, None)

    def run(self) -> None:
        """Take and run tasks until none is left or one has failed."""
        # Each thread takes the next task by itself, which costs much less than a future for each task.
        try:
            for place, task in iter(self._take, None):
                self.results[place] = task()
        except BaseException:
            self._tasks = enumerate(())
            raise


def run_together(tasks: Iterable[Callable[[], Result]], count: int | None = None) -> list[Result]:
    """Run all tasks without gradients, on as many threads as PyTorch may use, and return the results in order.

    Instead of a list, ``tasks`` may be an iterator of ``count`` tasks, which makes each task when a thread takes it, in
    their order, while the other threads work.
    """
    if count is None:
        tasks = list(tasks)
        count = len(tasks)
    threads = torch.get_num_threads()
    if threads == 1 or count == 1:
        with torch.no_grad():
            return [task() for task in tasks]
    is_inference = torch.is_inference_mode_enabled()
    shared = _Tasks(tasks)

    def work() -> None:
        with torch.inference_mode(is_inference), torch.no_grad():
            shared.run()

    workers = [_pool(threads).submit(work) for _ in range(min(threads, count))]
    wait(workers)
    for worker in workers:
        worker.result()
    return [shared.results[place] for place in range(count)]


class _Memory(threading.local):
    """The working memory of each thread, reused because allocating it takes longer than the computations in it."""

    def __init__(self) -> None:
        self.values = torch.empty(0, dtype=torch.uint8)
        self.workspaces: dict[Hashable, Any] = {}

    def reserve(self, size: int) -> Tensor:
        if len(self.values) < size:
            self.workspaces.clear()
            with torch.inference_mode(False):
                self.values = torch.empty(size, dtype=torch.uint8)
        return self.values


_memory = _Memory()
_ALIGNMENT = 64
_MOST_WORKSPACES = 256


def working_memory(shapes: Sequence[tuple[Sequence[int], torch.dtype]]) -> list[Tensor]:
    """Return uninitialised tensors of these shapes and types, valid until the next call in the same thread."""
    sizes = [-(-math.prod(shape) * dtype.itemsize // _ALIGNMENT) * _ALIGNMENT for shape, dtype in shapes]
    tensors, first = [], 0
    memory = _memory.reserve(sum(sizes))
    for (shape, dtype), size in zip(shapes, sizes, strict=True):
        length = math.prod(shape) * dtype.itemsize
        tensors.append(memory[first : first + length].view(dtype).view(*shape))
        first += size
    return tensors


def workspace(make: Callable[..., Result], *arguments: Hashable) -> Result:
    """Return ``make(*arguments)``, an object with views of :func:`working_memory`, which ``make`` calls once.

    The object is kept for the next call in the same thread; the values of its tensors are not. Each view that a task
    creates costs Python's lock, for which the other threads wait.
    """
    key = make, arguments
    kept: Result | None = _memory.workspaces.get(key)
    if kept is None:
        if len(_memory.workspaces) >= _MOST_WORKSPACES:
            _memory.workspaces.clear()
        with torch.inference_mode(False), torch.no_grad():
            kept = make(*arguments)
        _memory.workspaces[key] = kept
    return kept
