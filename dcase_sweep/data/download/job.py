"""Download of a data set: several archives at a time, each transferred, checked, unpacked and removed."""

import os
import shlex
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from dcase_sweep.data.download import JOBS
from dcase_sweep.data.download.catalogue import Archive, DataSet, find_data_set
from dcase_sweep.data.download.disk_space import check_disk_space
from dcase_sweep.data.download.members import BadArchive
from dcase_sweep.data.download.missing import ListedClips, list_missing
from dcase_sweep.data.download.partial_files import held_bytes, remove_part
from dcase_sweep.data.download.records import complete
from dcase_sweep.data.download.state import State, lock
from dcase_sweep.data.download.transfer import (
    HostUnreachable,
    RetryPolicy,
    Stopped,
    Transfer,
    TransferError,
    WrongBytes,
)
from dcase_sweep.data.download.unpacking import move_into, unpack
from dcase_sweep.data.download.verification import compute_digest, compute_recordings_digest
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.signals import check_interrupted

Stage = Literal["download", "wait", "check", "unpack", "done", "failed"]

#: Seconds for threads to end after an interruption. A thread that waits for a server ends with the process.
_GRACE = 3.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of one archive.

    Attributes:
        archive: the archive.
        stage: the current stage.
        done: processed bytes of this stage.
        total: all bytes of this stage; 0 if unknown.
    """

    archive: Archive
    stage: Stage
    done: int
    total: int


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
        work = _Work(state, transfer, local, keep_archives, on_progress or (lambda progress: None))
        problems = _run(work, described.archives, jobs)
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


@dataclass(frozen=True, slots=True)
class _Work:
    """Downloads, checks and unpacks each archive."""

    state: State
    transfer: Transfer
    local: Path | None
    keep_archives: bool
    report: Callable[[Progress], None]

    def run(self, archive: Archive) -> None:
        """Download and unpack one archive; skip what an earlier command has done.

        Raises:
            TransferError, BadArchive, UserError: if that cannot be done.
            Stopped: if the transfer was stopped.
        """
        if not self.state.is_unpacked(archive):
            try:
                self._install(archive)
            except WrongBytes:
                if self.local is not None:
                    raise
                self._remove(archive)  # it may have been damaged on its way
                try:
                    self._install(archive)
                except WrongBytes as error:
                    self._remove(archive)
                    raise TransferError(f"{error}; downloaded twice") from None
        if not self.keep_archives:
            self._remove(archive)
        self._report(archive, "done", archive.size or 0, archive.size or 0)

    def _install(self, archive: Archive) -> None:
        path = self._obtain(archive)
        is_known = self._check(archive, path)
        temporary = self.state.temporary(archive)
        try:
            files = unpack(
                path,
                temporary,
                folder=archive.folder,
                stop=self.transfer.stop,
                on_bytes=lambda done, total: self._report(archive, "unpack", done, total),
            )
            if not is_known:
                _check_recordings(archive, temporary)
            move_into(self.state.root, temporary, list(files))
        except BadArchive as error:
            if is_known:  # its authors published it so
                raise
            raise WrongBytes(str(error)) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self.state.note_unpacked(archive, files)

    def _obtain(self, archive: Archive) -> Path:
        """Return the path of the whole archive, after its transfer."""
        if self.local is not None:
            if not (self.local / archive.name).is_file():
                raise TransferError(f"not in {self.local}")
            return self.local / archive.name
        path, part = self.state.archive(archive), self.state.part(archive)
        if not path.exists():
            self.transfer.fetch(
                archive.url,
                part,
                size=None if archive.is_repacked else archive.size,
                on_bytes=lambda done: self._report(archive, "download", done, archive.size or 0),
                on_wait=lambda: self._report(archive, "wait", held_bytes(part), archive.size or 0),
            )
            os.replace(part, path)
            remove_part(part)
        return path

    def _check(self, archive: Archive, path: Path) -> bool:
        """Compare the digest of an archive; False if it differs where its recordings may be the same."""
        assert archive.digest is not None  # of the catalogue or the record
        size = held_bytes(path)
        found = compute_digest(
            path,
            archive.digest,
            stop=self.transfer.stop,
            on_bytes=lambda done: self._report(archive, "check", done, size),
        )
        if found != archive.digest and not archive.is_repacked:
            raise WrongBytes(f"{found}, {size:,} bytes; expected {archive.digest}, {archive.size:,} bytes")
        return found == archive.digest

    def _remove(self, archive: Archive) -> None:
        self.state.archive(archive).unlink(missing_ok=True)
        remove_part(self.state.part(archive))

    def _report(self, archive: Archive, stage: Stage, done: int, total: int) -> None:
        self.report(Progress(archive, stage, done, total))


def _check_recordings(archive: Archive, folder: Path) -> None:
    try:
        found = compute_recordings_digest(folder)
    except ValueError as error:
        raise WrongBytes(str(error)) from None
    if found != archive.recordings:
        raise WrongBytes(f"its recordings have {found}; expected {archive.recordings}")


def _run(work: _Work, archives: tuple[Archive, ...], jobs: int) -> list[str]:
    """Work on several archives at a time; return a line for each that failed, in their order."""
    pending = deque(archives)
    problems: dict[str, str] = {}
    fatal: list[BaseException] = []
    stop = work.transfer.stop

    def loop() -> None:
        while not stop.is_set():
            try:
                archive = pending.popleft()
            except IndexError:
                return
            try:
                work.run(archive)
            except Stopped:
                return
            except HostUnreachable as error:
                fatal.append(UserError(f"{error}; connect to the network, or name a mirror"))
                stop.set()
            except (TransferError, BadArchive, UserError) as error:
                problems[archive.name] = f"{archive.name}: {error}"
                work.report(Progress(archive, "failed", 0, 0))
            except OSError as error:  # that of a write has no name
                named = error if error.filename else OSError(error.errno, error.strerror, str(work.state.root))
                fatal.append(named)
                stop.set()
            except BaseException as error:
                fatal.append(error)
                stop.set()

    # Daemons: a thread that waits for a server must not keep an interrupted process.
    threads = [threading.Thread(target=loop, daemon=True) for _ in range(min(jobs, len(archives)))]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            check_interrupted()
            for thread in threads:
                thread.join(0.05)
    except BaseException:
        stop.set()
        deadline = time.monotonic() + _GRACE
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        raise
    if fatal:
        raise fatal[0]
    return [problems[archive.name] for archive in archives if archive.name in problems]


def _command(data_set: DataSet, root: Path) -> str:
    return f"python -m dcase_sweep {data_set.command.format(root=shlex.quote(f'data.root={root}'))}"
