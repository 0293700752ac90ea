"""Memory that is available to this process."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

#: cgroup v1 reports a limit above this (the largest number of pages) if there is none.
_NO_LIMIT = 2**60


def memory_bytes() -> int | None:
    """Return the largest amount of memory that this process can have; None if the system does not report it.

    This is the machine's memory and swap, or the limit of a control group (a container, a batch job) or of the address
    space if that is lower. The memory that other processes use at the moment is not subtracted.
    """
    found = [*_physical(), *_control_groups(), *_address_space()]
    return min(found) if found else None


def format_bytes(count: float) -> str:
    """Format a number of bytes with three digits: ``23.5 GiB``, ``1.2 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:,.3g} PiB" if count < 1e6 else f"{count:.1e} PiB"


def _physical() -> Iterator[int]:
    if sys.platform == "win32":
        import psutil

        yield int(psutil.virtual_memory().total)
        return
    with suppress(AttributeError, OSError, ValueError):
        yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") + (_read_meminfo("SwapTotal") or 0)


def _read_meminfo(name: str) -> int | None:
    """Return a number of bytes that Linux reports; None on other systems."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None


def _control_groups() -> Iterator[int]:
    """Yield the limits of this process's control groups and their parents, for cgroup v1 and v2."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if not controllers:
            root, file = Path("/sys/fs/cgroup"), "memory.max"
        elif "memory" in controllers.split(","):
            root, file = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
        else:
            continue
        group = root / name.strip("/")
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError):  # "max" means no limit
                limit = int((folder / file).read_text(encoding="utf-8"))
                if limit < _NO_LIMIT:
                    yield limit
            if folder == root:
                break


def _address_space() -> Iterator[int]:
    if sys.platform == "win32":
        return
    with suppress(ImportError, OSError, ValueError):
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            yield soft


def available_bytes() -> int | None:
    """Return the memory that this process can still take without swapping; None if the system does not report it."""
    most, free = memory_bytes(), _read_meminfo("MemAvailable")
    if free is None:
        return None if most is None else most // 2
    return free if most is None else min(free, most)
