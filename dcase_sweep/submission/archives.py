"""Zip archives of submissions. Equal files give equal archives; archives from others are not trusted."""

import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path

from dcase_sweep.submission.problems import Problems
from dcase_sweep.utils.archive_members import DAMAGE, TWICE, is_of_macos, zip_problem
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import whole_file
from dcase_sweep.utils.text import printable

#: Limits on an archive: the score files of four systems of task 4 are about 30,000 files and 600 MB.
_MOST_FILES, _MOST_BYTES, _MOST_OF_A_FILE = 100_000, 2 * 2**30, 256 * 2**20
_BLOCK = 2**20
_EXPECTED = "a submission's zip archive"


def write_archive(path: Path, root: Path, files: Iterable[Path]) -> None:
    """Write files into an archive, named relative to ``root``. An existing archive is replaced at the end."""
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(files):
            entry = zipfile.ZipInfo(
                file.relative_to(root).as_posix()
            )  # dated 1980, so that equal files give equal archives
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, (stat.S_IFREG | 0o644) << 16
            with file.open("rb") as source, archive.open(entry, "w") as target:
                while block := source.read(_BLOCK):
                    target.write(block)


def unpack(path: Path, folder: Path, problems: Problems) -> None:
    """Unpack the files of an archive into an empty folder; add a line for each that is refused or damaged.

    Raises:
        UserError: for a file that is no archive, or one that exceeds the limits.
    """
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected {_EXPECTED}") from None
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({printable(error, 100)}); expected {_EXPECTED}") from None
    with archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir() and not is_of_macos(entry.filename)]
        if len(entries) > _MOST_FILES:
            raise UserError(f"{path}: {len(entries):,} files; expected at most {_MOST_FILES:,}")
        left = _MOST_BYTES
        seen: set[str] = set()
        for entry in entries:
            name = printable(entry.filename, 120)
            problem = zip_problem(entry)
            if problem is None and entry.filename in seen:
                problem = TWICE
            seen.add(entry.filename)
            if problem is not None:
                problems.add(f"{path.name}: {name}: {problem}")
                continue
            left -= _unpack_file(archive, entry, folder / entry.filename, min(left, _MOST_OF_A_FILE), path, problems)


def _unpack_file(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, most: int, path: Path, problems: Problems
) -> int:
    """Unpack one file and return its size, which is counted: the size in the archive may be wrong."""
    size = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, target.open("xb") as written:
            while block := source.read(_BLOCK):
                size += len(block)
                if size > most:
                    raise UserError(
                        f"{path}: {printable(entry.filename, 120)}: more than {most / 2**20:,.0f} MiB; expected "
                        f"{_EXPECTED} of at most {_MOST_BYTES / 2**30:g} GiB, a file of {_MOST_OF_A_FILE / 2**20:g} MiB"
                    )
                written.write(block)
    except (*DAMAGE, FileExistsError, NotADirectoryError) as error:
        target.unlink(missing_ok=True)
        problems.add(
            f"{path.name}: {printable(entry.filename, 120)}: damaged ({printable(error, 100)}); expected a whole file"
        )
    return size
