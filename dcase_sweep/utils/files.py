"""Atomic file writing: a file is written under a temporary name, then renamed."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename it to ``path`` afterwards; after an error ``path`` is unchanged.

    The temporary file is hidden, in the same folder, and has the same suffix, from which libraries guess a format. If
    the process is killed, it is left behind. A path that is not a regular file, such as ``/dev/stdout``, is written
    directly.

    Raises:
        OSError: if writing fails, with ``path`` as the file name.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        yield path
        return
    target = path.resolve()  # a symbolic link is kept and its target replaced
    # The name is cut because it may already have the longest length that the file system allows.
    temporary = target.with_name(f".{target.stem[:40]}-{uuid.uuid4().hex[:12]}{target.suffix[:10]}")
    try:
        yield temporary
        _copy_permissions(target, temporary)
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
    """Write a text in UTF-8 atomically."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write bytes atomically."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, which stays when the first is written again; a copy where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _copy_permissions(target: Path, temporary: Path) -> None:
    with suppress(OSError):
        os.chmod(temporary, target.stat().st_mode & 0o7777)


def _remove(temporary: Path) -> None:
    with suppress(OSError):
        temporary.unlink()
