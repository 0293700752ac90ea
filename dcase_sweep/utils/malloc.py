"""Settings of the memory allocator for large arrays."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_large_allocations() -> None:
    """Let the allocator keep freed memory for the next array instead of returning it to the system.

    The kernel clears every new page, which takes longer than the computation on an array of a few megabytes: five times
    as long as decoding a clip, and a tenth of a training step with maps of a hundred megabytes. This has an effect with
    glibc only.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is not None and hasattr(library, "mallopt"):
        # A network's maps exceed the largest threshold that glibc accepts, so mmap is switched off for all sizes.
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, 2**30)
