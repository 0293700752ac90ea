"""Shared locks that say that a file is in use, and exclusive ones that say that nobody uses it.

The lock is the system's ``flock``: it ends with the process, however that ends, and needs no write access. Where a file
system knows no such locks a lease is granted without one.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # not POSIX
    fcntl = None  # type: ignore[assignment]

#: File descriptors that are kept open until the process ends, by the path they were opened under.
_held: dict[str, int] = {}


def hold(path: Path) -> bool:
    """Keep a shared lock on a file for as long as this process lives; False if the file is gone or being removed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    if not _lock(descriptor, exclusive=False) or not _is_at(descriptor, path):
        os.close(descriptor)
        return False
    release(path)
    _held[str(path)] = descriptor
    return True


def release(path: Path) -> None:
    """Give up what :func:`hold` took."""
    descriptor = _held.pop(str(path), None)
    if descriptor is not None:
        os.close(descriptor)


@contextmanager
def claim(path: Path) -> Iterator[bool]:
    """Whether nobody holds the file, this process included; while the block runs nobody can."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    except OSError:
        yield False
        return
    try:
        yield _lock(descriptor, exclusive=True)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, exclusive: bool) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without such locks
        return True
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the path still names the file that was opened: it may have been removed before the lock was had."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False
