"""Unpacking of an archive into the root of a data set."""

import errno
import filecmp
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from dcase_sweep.data.download.members import BadArchive, Member, open_archive
from dcase_sweep.data.download.transfer import Stopped
from dcase_sweep.utils.errors import UserError, free_bytes
from dcase_sweep.utils.files import whole_file
from dcase_sweep.utils.machine import format_bytes
from dcase_sweep.utils.text import printable

_CHUNK = 2**20
#: Files that several archives may have with different contents. The first one is kept.
_DOCUMENTS = ("readme", "license", "licence", "changelog")


def unpack(
    archive: Path,
    temporary: Path,
    *,
    folder: str,
    stop: threading.Event,
    on_bytes: Callable[[int, int], None],
) -> dict[str, int]:
    """Unpack an archive into a temporary folder; return the sizes of its files by their names.

    Args:
        archive: path of the archive.
        temporary: a folder, which is emptied first.
        folder: the folder in the archive whose contents are moved to the root.
        stop: set to stop.
        on_bytes: called with the number of unpacked bytes, and of all bytes.

    Raises:
        BadArchive: if the archive is damaged or refused.
        UserError: if the disk has no room for its files.
        Stopped: if ``stop`` was set.
    """
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    with open_archive(archive, folder) as members:
        total = sum(member.size for member in members)
        if (free := free_bytes(temporary)) < total:
            raise UserError(
                f"{archive.name}: {format_bytes(total)} to unpack, {format_bytes(free)} free in {temporary.parent}; "
                "free some and run the command again"
            )
        done = 0
        for member in members:
            _write(member, temporary / member.name, stop)
            done += member.size
            on_bytes(done, total)
        return {member.name: member.size for member in members}


def _write(member: Member, path: Path, stop: threading.Event) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with member.open() as source, path.open("xb") as target:
        while chunk := source.read(_CHUNK):
            if stop.is_set():
                raise Stopped
            written += len(chunk)
            if written > member.size:
                break
            target.write(chunk)
    if written != member.size:
        raise BadArchive(f"{printable(member.name)}: not {member.size:,} bytes, as the archive says")


def move_into(root: Path, temporary: Path, names: list[str]) -> None:
    """Move unpacked files to the root. An existing file with the same contents is left unchanged.

    Raises:
        UserError: if a file is there with other contents; then nothing was moved.
    """
    moved = []
    for name in names:
        target = root / name
        if not os.path.lexists(target):
            moved.append(name)
        elif target.name.lower().startswith(_DOCUMENTS):
            continue
        elif not target.is_file() or not filecmp.cmp(temporary / name, target, shallow=False):
            raise UserError(
                f"{target}: is there with other contents than the download has; move it away, or choose another folder"
            )
    for name in moved:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(temporary / name, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with whole_file(target) as copy:  # a folder of the root is a link to another disk
                shutil.copyfile(temporary / name, copy)
