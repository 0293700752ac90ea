"""How many cores this process may use, which in a container or a batch job is fewer than the machine has."""

import os


def usable_cores(at_most: int | None = None) -> int:
    """Those that the process is confined to, where the system tells."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, at_most) if at_most else cores
