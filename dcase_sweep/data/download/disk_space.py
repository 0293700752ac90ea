"""Disk space that a download needs, checked before anything is downloaded."""

from dcase_sweep.data.download.catalogue import DataSet
from dcase_sweep.data.download.state import State
from dcase_sweep.utils.errors import UserError, free_bytes
from dcase_sweep.utils.machine import format_bytes


def needed_bytes(data_set: DataSet, state: State, *, jobs: int, keep_archives: bool, is_local: bool) -> int:
    """Estimate the largest number of bytes that the rest of a download takes on the disk at a time.

    Args:
        data_set: the data set, with the sizes of its archives.
        state: the state of the root.
        jobs: number of simultaneous downloads. Each archive is removed before the next download starts, unless archives
            are kept.
        keep_archives: whether archives are kept.
        is_local: whether the archives are read from a folder without copying them.
    """
    pending = [archive for archive in data_set.archives if not state.is_unpacked(archive)]
    total = sum(archive.size or 0 for archive in data_set.archives)
    fraction = sum(archive.size or 0 for archive in pending) / total if total else 0.0
    left = sorted(max(0, (archive.size or 0) - state.held(archive)) for archive in pending)
    if is_local:
        left = []
    elif not keep_archives:
        left = left[-jobs:]
    return sum(left) + round(max(data_set.unpacked, total) * fraction)


def check_disk_space(data_set: DataSet, state: State, *, jobs: int, keep_archives: bool, is_local: bool) -> None:
    """Check that the disk has room for the rest of a download.

    Raises:
        UserError: if it does not.
    """
    needed = needed_bytes(data_set, state, jobs=jobs, keep_archives=keep_archives, is_local=is_local)
    free = free_bytes(state.root)
    if needed > free:
        hint = "remove archives after unpacking, " if keep_archives else "take one archive at a time (--jobs 1), "
        hint = "" if is_local or (jobs == 1 and not keep_archives) else hint
        raise UserError(
            f"{state.root}: {format_bytes(free)} free; {data_set.name} needs {format_bytes(needed)}; {hint}free some, "
            "or choose a folder on another disk"
        )
