"""Download of a data set: several archives at a time, each transferred, checked, unpacked and removed."""

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dcase_sweep.data.download import JOBS
from dcase_sweep.data.download.archive_work import ArchiveWork, Progress
from dcase_sweep.data.download.catalogue import DataSet, find_data_set
from dcase_sweep.data.download.disk_space import check_disk_space
from dcase_sweep.data.download.missing import ListedClips, list_missing
from dcase_sweep.data.download.parallel import run_all
from dcase_sweep.data.download.records import complete
from dcase_sweep.data.download.state import State, lock
from dcase_sweep.data.download.transfer import RetryPolicy, Transfer
from dcase_sweep.utils.errors import UserError


@dataclass(frozen=True, slots=True)
class DownloadResult:
    """A data set of which all archives are unpacked.

    Attributes:
        data_set: the data set, with the sizes and digests of its archives.
        root: folder of the data set.
        clips: for DESED, the clips of each table, and how many of them no archive contains.
        command: an experiment on the data set.
    """

    data_set: DataSet
    root: Path
    clips: tuple[ListedClips, ...]
    command: str


class DownloadFailed(UserError):
    """Some archives could not be downloaded; a line for each."""

    def __init__(self, problems: list[str], done: int, total: int) -> None:
        self.problems = problems
        words = f"{len(problems)} of {total} archives failed, {done} are done; the same command tries again:"
        super().__init__("\n  ".join([words, *problems]))


def download(
    data_set: str | DataSet,
    root: str | Path,
    *,
    jobs: int = JOBS,
    keep_archives: bool = False,
    mirror: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    retry_policy: RetryPolicy | None = None,
) -> DownloadResult:
    """Download a public data set into a folder, or continue a download that was interrupted.

    Args:
        data_set: ``tau2020``, ``desed`` or ``esc50``.
        root: folder for the data set; created if it does not exist.
        jobs: number of simultaneous downloads.
        keep_archives: keep the archives after they are unpacked.
        mirror: address or folder with all archives, instead of the authors' servers.
        on_progress: called with the progress of an archive, from several threads.
        retry_policy: number of attempts, and waiting times.

    Raises:
        UserError: if the disk is too small, the server cannot be reached, or another process downloads into the folder.
        DownloadFailed: a UserError; if some archives could not be had. The others are there.
    """
    if jobs < 1:
        raise UserError(f"jobs={jobs}: expected at least 1 archive at a time")
    chosen = find_data_set(data_set) if isinstance(data_set, str) else data_set
    state = State(Path(os.path.abspath(Path(root).expanduser())))
    transfer = Transfer(retry_policy=retry_policy or RetryPolicy())
    with lock(state):
        described = describe(chosen, transfer, mirror)
        local = local_folder(mirror)
        check_disk_space(described, state, jobs=jobs, keep_archives=keep_archives, is_local=local is not None)
        work = ArchiveWork(state, transfer, local, keep_archives, on_progress or (lambda progress: None))
        problems = run_all(work, described.archives, jobs)
        if problems:
            raise DownloadFailed(problems, len(described.archives) - len(problems), len(described.archives))
        clips = list_missing(state.root) if chosen.name == "desed" else ()
    return DownloadResult(described, state.root, clips, _command(chosen, state.root))


def describe(data_set: DataSet, transfer: Transfer, mirror: str | None = None) -> DataSet:
    """Return a data set of the catalogue with the sizes, digests and addresses of its archives.

    Raises:
        UserError: if they cannot be had.
    """
    local = local_folder(mirror)
    if mirror is not None and local is None and urlsplit(mirror).scheme not in ("http", "https"):
        raise UserError(f"{mirror}: no such folder; expected a folder, or an address that begins with https://")
    moved = data_set if mirror is None or local is not None else data_set.moved_to(mirror)
    return complete(moved, transfer, local if local is not None else mirror)


def local_folder(mirror: str | None) -> Path | None:
    """Return the folder that a mirror is, as a path or a ``file://`` address; None if it is none."""
    if mirror is None:
        return None
    path = unquote(urlsplit(mirror).path) if mirror.startswith("file://") else mirror
    folder = Path(path).expanduser()
    return folder if folder.is_dir() else None


def _command(data_set: DataSet, root: Path) -> str:
    return f"python -m dcase_sweep {data_set.command.format(root=shlex.quote(f'data.root={root}'))}"
