"""The state of a download between two commands, in a hidden folder of the root.

For each archive that is a partial file, then the whole one, then a list of the files that were unpacked from it. A file
is renamed, or a list written, when a step is done; a process that ends in between leaves the step before.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dcase_sweep.data.download.catalogue import Archive
from dcase_sweep.data.download.partial_files import held_bytes
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.tables import path_problem
from dcase_sweep.utils.text_files import read_text

FOLDER = ".dcase_sweep_download"


@dataclass(frozen=True, slots=True)
class State:
    """The state of the archives of one root.

    Args:
        root: folder of the data set.
    """

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / FOLDER

    def archive(self, archive: Archive) -> Path:
        """Path of the whole archive."""
        return self.folder / archive.name

    def part(self, archive: Archive) -> Path:
        """Path of the partial archive."""
        return self.folder / f"{archive.name}.part"

    def temporary(self, archive: Archive) -> Path:
        """Path of the folder that the archive is unpacked into."""
        return self.folder / f"{archive.name}.unpacking"

    def held(self, archive: Archive) -> int:
        """Number of downloaded bytes of the archive."""
        return held_bytes(self.archive(archive)) or held_bytes(self.part(archive))

    def note_unpacked(self, archive: Archive, files: Mapping[str, int]) -> None:
        """Note that an archive is unpacked into the root."""
        content = {"digest": archive.digest, "files": dict(files)}
        write_text(self._list(archive), json.dumps(content, ensure_ascii=False, indent=0) + "\n")

    def is_unpacked(self, archive: Archive) -> bool:
        """Whether the archive was unpacked and all its files are in the root, each with its size."""
        try:
            found = json.loads(read_text(self._list(archive)))
            files = found["files"]
            if archive.digest is not None and found["digest"] != archive.digest:
                return False
            return all(self._is_there(name, size) for name, size in files.items())
        except (UserError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return False  # no list, or not written by this program

    def _is_there(self, name: str, size: int) -> bool:
        try:
            return path_problem(name) is None and (self.root / name).stat().st_size == size
        except OSError:
            return False

    def _list(self, archive: Archive) -> Path:
        return self.folder / f"{archive.name}.json"


@contextmanager
def lock(state: State) -> Iterator[None]:
    """Lock a root against other downloads into it; the lock ends with the process.

    Raises:
        UserError: if another process downloads into it, or the folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    try:
        state.folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(str(state.folder / "lock"))
        held.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"{state.root}: another process downloads into it; wait for it, or choose another folder"
        ) from None
    except OSError as error:
        raise UserError(f"{state.root}: {error.strerror or error}; expected a folder that can be written to") from error
    try:
        yield
    finally:
        held.release()
