"""The memory of a GPU: what is free, and what a worker takes that shares the GPU with others."""

import gc
import logging

import torch

from dcase_sweep.utils.gpus import find_share
from dcase_sweep.utils.machine import format_bytes

log = logging.getLogger(__name__)

#: What a process takes beside the memory of PyTorch's allocator: CUDA's context, kernels and libraries.
_CONTEXT = 600 * 2**20


def release_memory() -> None:
    """Give memory that no tensor uses back to the GPU.

    Not while an error is handled: its traceback keeps tensors.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def get_limit(total: int) -> int | None:
    """Return how many bytes of a GPU this process may allocate; None = all.

    A GPU that workers share is divided equally, so that the last one to start has as much as the first.

    Args:
        total: the memory of the GPU, bytes.
    """
    share = find_share()
    if share is None:
        return None
    part = total // share.workers
    return max(part - _CONTEXT, part // 2)


def limit_memory() -> None:
    """Limit what PyTorch allocates on this process's GPU, if it shares the GPU with other workers."""
    if find_share() is None:
        return
    total = torch.cuda.get_device_properties(0).total_memory
    limit = get_limit(total)
    assert limit is not None
    torch.cuda.set_per_process_memory_fraction(limit / total)


def describe_share(device: str) -> str | None:
    """Describe in words which GPU this process shares, and its part of the memory; None if it shares none."""
    share = find_share()
    if share is None or torch.device(device).type != "cuda":
        return None
    limit = get_limit(torch.cuda.get_device_properties(0).total_memory)
    assert limit is not None
    return f"{share.describe()}; {format_bytes(limit)} of its memory for each"


def get_free_memory(device: str) -> int:
    """Return how many bytes of a GPU this process can still use.

    That includes what PyTorch keeps for its next tensors, for example from an earlier trial of this process.
    """
    free, total = torch.cuda.mem_get_info(device)
    used = torch.cuda.memory_allocated(device)
    available = free + torch.cuda.memory_reserved(device) - used
    limit = get_limit(total)
    return available if limit is None else max(0, min(available, limit - used))


def has_room(device: str, size: int) -> bool:
    """Whether a device can store ``size`` bytes and leave as much for training. Always true for main memory."""
    if torch.device(device).type != "cuda":
        return True
    return size <= 0.5 * get_free_memory(device)


def fits(device: str, size: int, what: str) -> bool:
    """Whether a device has room for some data, as `has_room`; a line says so if not.

    Args:
        device: PyTorch's name of the device.
        size: size of the data, bytes.
        what: the data, for the line.
    """
    if has_room(device, size):
        return True
    log.warning(f"{what:<9} {size / 2**30:.1f} GiB are too large for the device and stay in memory")
    return False


def validation_batch(device: str, bytes_per_clip: int, *, least: int, most: int = 1024) -> int:
    """Return the batch size of validation.

    It is ``least`` on a CPU, where larger batches are not faster. On a GPU, where a small batch takes as long as a
    large one, it is the number of clips that fit in a quarter of the free memory, at most ``most``.

    Args:
        device: PyTorch's name of the device.
        bytes_per_clip: size of the largest maps that are in memory at the same time.
        least: smallest batch size.
        most: largest batch size.
    """
    if torch.device(device).type != "cuda":
        return least
    return max(least, min(most, get_free_memory(device) // 4 // max(bytes_per_clip, 1)))
