"""Jobs that a command has left running: those of a batch system go on when the command has ended."""

import getpass
import logging
import shutil
import subprocess
import time
from pathlib import Path

from dcase_sweep.training.checkpoints import FOLDER, LAST, RESULT
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.leases import claim_folder
from dcase_sweep.utils.signals import interruptible

log = logging.getLogger(__name__)

#: Seconds between looks at running jobs: at their folders, and at the queue of Slurm.
_BEAT, _QUEUE = 0.5, 15.0
#: What Hydra writes into the folder of a job before it begins.
_HYDRA = ".hydra"
#: Where Hydra's launcher for submitit stores the jobs of a sweep, in a folder named by the ID of each job.
_SUBMITTED = ".submitit"


def find_last_epoch(folder: Path) -> int | None:
    """Return when the last epoch of the run in a folder was stored, in nanoseconds since 1970; None if none was."""
    try:
        return (folder / FOLDER / LAST).stat().st_mtime_ns
    except OSError:
        return None


def has_result(folder: Path) -> bool:
    """Whether the run in a folder has finished."""
    return (folder / FOLDER / RESULT).is_file()


def wait_for_jobs(folder: Path) -> bool:
    """Wait for the end of the jobs that an earlier command has left running in the folder of its sweep.

    Those of this machine are seen by the locks of their folders, others in the queue of Slurm.

    Args:
        folder: folder of the sweep.

    Returns:
        Whether there were any.
    """
    with interruptible():
        count = _count_running(folder) or _count_queued(folder)
        if not count:
            return False
        log.info(f"waiting   for {pluralize(count, 'job')} that an earlier command has left running in {folder}")
        while count:
            while _count_running(folder):
                time.sleep(_BEAT)
            count = _count_queued(folder)
            time.sleep(_QUEUE if count else 0)
    return True


def _count_running(folder: Path) -> int:
    """Count the jobs of a sweep that run on this machine, or on one whose locks can be seen here."""
    places = {path.parent for path in folder.rglob(_HYDRA)} | {path.parent for path in folder.rglob(FOLDER)}
    return sum(map(_is_running, places - {folder}))


def _is_running(folder: Path) -> bool:
    with claim_folder(folder) as is_free:
        return not is_free


def _count_queued(folder: Path) -> int:
    """Count the jobs of a sweep that wait or run in the queue of Slurm."""
    submitted = {path.name for path in (folder / _SUBMITTED).glob("*") if path.is_dir()}
    if not submitted or shutil.which("squeue") is None:
        return 0
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--user={getpass.getuser()}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return 0
    return len(submitted & set(done.stdout.split()))
