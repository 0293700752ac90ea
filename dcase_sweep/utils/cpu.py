"""The cores of this process: how many it may use, and how it leaves them to others."""

import os


def usable_cores(at_most: int | None = None) -> int:
    """Those that the process is confined to, where the system tells: in a container fewer than the machine's."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, at_most) if at_most else cores


def set_openmp_wait_policy() -> None:
    """Let threads that wait for each other sleep soon; heeded if PyTorch is imported afterwards.

    Those of GNU's OpenMP turn for milliseconds on a core that another process needs, perhaps the one with the thread
    they wait for: beside one busy process on two cores, training the baseline CNN took 16.5 s instead of 10.6. Alone
    it takes as long as before. Whoever has chosen a policy in the environment keeps it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
