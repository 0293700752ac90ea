"""How the process handles the memory that arrays and tensors free."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_large_allocations() -> None:
    """Let the allocator keep what is freed for the next array of that size, instead of handing it back to the system.

    Fresh pages are cleared by the kernel one by one, which takes longer than what is done with an array of some
    megabytes: five times as long when a clip is decoded, and a tenth of a training step whose maps have a hundred
    megabytes. Only glibc is told; elsewhere nothing happens.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is not None and hasattr(library, "mallopt"):
        # Maps of a network are larger than the largest threshold that glibc takes, so none gets pages of its own.
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, 2**30)
