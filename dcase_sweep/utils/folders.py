"""The files under a folder."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

#: Folders that the archiver of macOS adds to archives.
_OF_ARCHIVES = ("__MACOSX",)


def list_files(root: Path, suffixes: Sequence[str], *, on_error: Callable[[OSError], None] | None = None) -> list[str]:
    """Return the files under a folder with one of these suffixes, relative to it and in alphabetical order.

    Links are followed, but each folder is visited only once. Names that start with a dot are ignored.

    Args:
        root: the folder.
        suffixes: suffixes in lower case, with the dot.
        on_error: called for each folder that cannot be read; None = such folders are ignored.
    """
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(root, onerror=on_error, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _OF_ARCHIVES]
        within = Path(parent).relative_to(root)
        for name in names:
            if not name.startswith(".") and name.lower().endswith(tuple(suffixes)):
                found.append((within / name).as_posix())
    return sorted(found)
