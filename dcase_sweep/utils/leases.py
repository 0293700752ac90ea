"""File locks: shared ones while a file is used, exclusive ones to remove it.

The locks are those of ``flock``. They end with the process, even if it is killed, and need no write access. On a file
system without such locks, every lock is granted. So it is on Windows, where a file that is open cannot be removed.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)

#: File descriptors that are kept open until the process ends, by the absolute path they were opened under.
_held: dict[str, int] = {}


def hold(path: Path) -> bool:
    """Take a shared lock on a file until the process ends; return False if the file is missing or being removed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except OSError:
        return False
    if not _lock(descriptor, exclusive=False) or not _is_at(descriptor, path):
        os.close(descriptor)
        return False
    release(path)
    _held[os.path.abspath(path)] = descriptor
    return True


def release(path: Path) -> None:
    """Release the lock that :func:`hold` took."""
    descriptor = _held.pop(os.path.abspath(path), None)
    if descriptor is not None:
        os.close(descriptor)


@contextmanager
def claim(path: Path) -> Iterator[bool]:
    """Try to take an exclusive lock for the block; yield False if any process, also this one, uses the file."""
    if fcntl is None:  # an open file would keep its folder from being renamed
        yield True
        return
    try:
        descriptor = os.open(path, os.O_RDWR | _FLAGS)
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


@contextmanager
def claim_folder(path: Path) -> Iterator[bool]:
    """Try to take an exclusive lock on a folder for the block; yield False if another process has it.

    Nothing is written to the folder. Where folders cannot be locked, as on NFS, the lock is granted.
    """
    if fcntl is None:
        yield True
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except OSError:
        yield True
        return
    try:
        yield _lock(descriptor, exclusive=True)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, exclusive: bool) -> bool:
    if sys.platform == "win32" or fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without such locks
        return True
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the path still names the opened file, which may have been removed before it was locked."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False
