"""The rules for the files in an archive that others have made. They are checked before anything is unpacked."""

import gzip
import stat
import struct
import tarfile
import zipfile
import zlib

from dcase_sweep.utils.tables import path_problem

#: What a damaged archive raises.
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, struct.error),
    *(EOFError, NotImplementedError, ValueError),
)
#: Files that the archiver and the Finder of macOS add.
_OF_MACOS = ("__MACOSX", ".DS_Store")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: Bytes of a name of a file or folder at most, on any system.
_LONGEST_NAME = 250
#: Bits of an encrypted file: by a password, or strongly.
_ENCRYPTED = 0x41

#: Problems that both kinds of archives have.
NOT_A_FILE = "a link or a device; expected files only"
TWICE = "there twice; expected each file once"


def is_of_macos(name: str) -> bool:
    """Whether a file is one that macOS adds to archives. Such files are ignored."""
    return any(part in _OF_MACOS or part.startswith("._") for part in name.split("/"))


def name_problem(name: str) -> str | None:
    """Describe why a name could be a path outside of a folder, or no name at all, on some system; None if not."""
    if problem := path_problem(name):
        return problem.removeprefix(f"'{name}' ")  # the caller names the file
    parts = [part for part in name.split("/") if part != "."]
    if not name.isprintable() or not parts or any(not 0 < len(part.encode()) <= _LONGEST_NAME for part in parts):
        return "not a name that every system can use; expected the name of a file"
    return None


def zip_problem(entry: zipfile.ZipInfo) -> str | None:
    """Describe why a file of a zip archive is not unpacked; None if it is."""
    if "\0" in entry.orig_filename:  # zipfile cuts the name there
        return "not a name that every system can use; expected the name of a file"
    if problem := name_problem(entry.filename):
        return problem
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        return NOT_A_FILE
    if entry.flag_bits & _ENCRYPTED:
        return "encrypted; expected no password"
    if entry.compress_type not in _METHODS:
        return f"compressed by method {entry.compress_type}; expected deflate or none"
    return None
