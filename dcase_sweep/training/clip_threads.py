"""Work on the clips of a batch on a CPU, one clip to a thread.

A clip that one core works on stays in its cache. Operators that are split among cores wait for all of them several
times for each clip, and for other work on the machine.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

import torch

from dcase_sweep.data.compute import torch_threads

T = TypeVar("T")


def map_clips(work: Callable[[int], T], clips: Iterable[int]) -> list[T]:
    """Return the results of a function for some clips, in order; each call has one thread of PyTorch and of NumPy.

    Args:
        work: computes one clip, by its position in the batch. It must not need gradients.
        clips: positions.
    """
    threads = torch.get_num_threads()
    # Also with one thread of PyTorch: NumPy has its own, and its products depend on how many share them.
    with torch_threads(1), _blas().limit(limits=1, user_api="blas"):
        if threads == 1:
            return [_run(work, clip) for clip in clips]
        return list(_pool(threads).map(lambda clip: _run(work, clip), clips))


def _run(work: Callable[[int], T], clip: int) -> T:
    with torch.no_grad():  # which other threads do not know of
        return work(clip)


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="clips", initializer=lambda: torch.set_num_threads(1))


@lru_cache(maxsize=1)
def _blas() -> Any:
    """Find the libraries of matrix products once; that takes longer than a product."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
