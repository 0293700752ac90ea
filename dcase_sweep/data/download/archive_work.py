"""The work on one archive of a data set: transfer, check, unpacking and removal."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dcase_sweep.data.download.catalogue import Archive
from dcase_sweep.data.download.members import BadArchive
from dcase_sweep.data.download.partial_files import held_bytes, remove_part
from dcase_sweep.data.download.state import State
from dcase_sweep.data.download.transfer import Transfer, TransferError, WrongBytes
from dcase_sweep.data.download.unpacking import move_into, unpack
from dcase_sweep.data.download.verification import compute_digest, compute_recordings_digest

Stage = Literal["download", "wait", "check", "unpack", "done", "failed"]


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
class ArchiveWork:
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
