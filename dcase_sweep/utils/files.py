"""Files that are there whole or not at all: written under another name, then renamed into place."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """A path to write to; afterwards the file stands under its own name, and after an error it is as it was.

    The temporary file lies in the same folder and has the same suffix, from which libraries guess a format. A kill
    leaves it behind, hidden, beside the unharmed file. What is no regular file, such as ``/dev/stdout``, is written
    directly.

    Raises:
        OSError: as writing does, with the name of the file that was meant.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        yield path
        return
    target = path.resolve()  # of a symbolic link, which stays one
    # A name may be as long as the file system allows; a temporary one would be longer.
    temporary = target.with_name(f".{target.stem[:40]}-{uuid.uuid4().hex[:12]}{target.suffix[:10]}")
    try:
        yield temporary
        _take_permissions(target, temporary)
        os.replace(temporary, target)
    except OSError as error:
        _remove(temporary)
        if error.errno is None or error.filename not in (None, str(temporary), temporary):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    except BaseException:
        _remove(temporary)
        raise


def write_text(path: Path | str, text: str) -> None:
    """Write a text in UTF-8, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write bytes, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def _take_permissions(target: Path, temporary: Path) -> None:
    with suppress(OSError):
        os.chmod(temporary, target.stat().st_mode & 0o7777)


def _remove(temporary: Path) -> None:
    with suppress(OSError):
        temporary.unlink()
