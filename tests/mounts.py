"""Small and read-only disks for tests, if the machine allows mounts."""

import gc
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def tmpfs(folder: Path, *, kib: int) -> Iterator[Callable[[str], None]]:
    """A disk of some KiB; yields what mounts it again with other options: ``ro``, ``size=4m``.

    The test is skipped where mounts are not allowed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"no disk can be mounted here: {made.stderr.strip()}")

    def remount(options: str) -> None:
        gc.collect()  # mapped files that nothing refers to any more
        subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)

    try:
        yield remount
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
