"""Reading of untrusted text files: with a limit on size, without blocking, and with a message for other file types."""

import os
import stat
from pathlib import Path

from dcase_sweep.utils.errors import UserError

#: Larger files are refused before they are read; the detections of a whole DESED set take a megabyte.
MAX_BYTES = 256 * 2**20

#: Without O_NONBLOCK, opening a pipe waits for a writer; without O_BINARY, Windows changes line ends.
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))

#: First bytes of the file types that are most often mistaken for tables.
_OTHER_FILES = (
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "unpack it or export it as text first"),
    (b"BZh", "a bzip2 archive", "unpack it first"),
    (b"\xfd7zXZ", "an xz archive", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", "unpack it first"),
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
    (b"RIFF", "a recording", "name the table"),
    (b"PAR1", "a Parquet file", "export it as text first"),
    (b"\x93NUMPY", "a NumPy array", "save it with numpy.savetxt"),
    (b"\x89HDF", "an HDF5 file", "export it as text first"),
)


def read_text(path: Path | str, *, expected: str = "a text file") -> str:
    """Read the text of a regular file, without a byte order mark.

    Raises:
        UserError: if it is not a regular file (a folder, a pipe, a device), has more than `MAX_BYTES`, or is not UTF-8
            text.
    """
    return decode(Path(path), read_bytes(Path(path), expected), expected)


def read_bytes(path: Path, expected: str) -> bytes:
    """Read the contents of a regular file of at most `MAX_BYTES`.

    Raises:
        UserError: if the file does not exist, is larger, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected {expected}") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise UserError(f"{path}: cannot be read ({reason}); expected {expected}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path}: is {_kind(status.st_mode)}, not a file; expected {expected}")
        if status.st_size > MAX_BYTES:
            size = f"{status.st_size / 2**20:,.0f} MiB"
            raise UserError(f"{path}: has {size}; expected {expected} of at most {MAX_BYTES // 2**20} MiB")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); expected {expected}") from None
    finally:
        os.close(descriptor)


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for is_kind, name in kinds if is_kind(mode)), "a device")


def decode(path: Path, data: bytes, expected: str) -> str:
    """Decode the contents of a file as UTF-8 text, without a byte order mark.

    Raises:
        UserError: if it is not UTF-8 text, or contains a NUL character.
    """
    for begins, kind, remedy in _OTHER_FILES:
        if data.startswith(begins):
            raise UserError(f"{path}: is not UTF-8 text but {kind}; {remedy}; expected {expected}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}: is not UTF-8 text (byte {error.start}, row {row}); save it as UTF-8; expected {expected}"
        ) from None
    place = text.find("\0")
    if place >= 0:
        row = text.count("\n", 0, place) + 1
        raise UserError(f"{path}: is not text, row {row} contains a NUL character; expected {expected}")
    return text
