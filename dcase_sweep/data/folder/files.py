"""The recordings and tables under a folder, and the recording to which a name in a table refers."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from dcase_sweep.utils.text import printable

TABLE_SUFFIXES = (".csv", ".tsv")
#: Folders that the archiver of macOS adds to archives.
_OF_ARCHIVES = ("__MACOSX",)


def find_files(root: Path, suffixes: Sequence[str], problems: list[str]) -> list[str]:
    """Return the files under a folder with one of these suffixes, relative to it and in alphabetical order.

    Links are followed, but each folder is visited only once. Names that start with a dot are ignored.

    Args:
        root: the folder.
        suffixes: suffixes in lower case, with the dot.
        problems: list that receives a line for each name that no table could contain.
    """
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(root, followlinks=True):
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
    kept = sorted(name for name in found if name.isprintable())
    problems += [
        f"{printable(root / name)}: the name has a control character or is not UTF-8; rename it"
        for name in sorted(set(found) - set(kept))
    ]
    return kept


class AudioFiles:
    """The recordings under a folder, found by the names that tables use.

    Args:
        names: paths of all recordings on disk, relative to the folder.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self._known = {_composed(name): name for name in self.names}
        self._folders = {_parent(composed) for composed in self._known}
        self._allowed: dict[str, set[str] | None] = {}
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for composed in self._known:
            path = PurePosixPath(composed)
            for name in {path.name, path.stem}:
                self._by_name[name].append(composed)

    def find(self, name: str, table: str = "") -> list[str]:
        """Return the recordings to which a name may refer.

        That is the file with this path or, if there is none, every file whose path ends with it, with or without the
        suffix. If folders of recordings have the name of the table, as in ``audio/train/weak/`` and
        ``metadata/train/weak.tsv``, only the folders whose paths are most similar to that of the table are searched.

        Args:
            name: name in the table.
            table: path of the table, relative to the folder of the recordings.
        """
        if name in self._known:
            return [self._known[name]]
        allowed = self._allow(table)
        candidates = [each for each in self._by_name.get(PurePosixPath(name).name, ()) if _ends_with(each, name)]
        return [self._known[each] for each in candidates if allowed is None or _parent(each) in allowed]

    def _allow(self, table: str) -> set[str] | None:
        """Return the folders with the name of a table; None if there are none."""
        if table not in self._allowed:
            wanted = PurePosixPath(table).with_suffix("").parts if table else ()
            shared = {name: _count_shared(PurePosixPath(name).parts, wanted) for name in self._folders}
            best = max(shared.values(), default=0)
            self._allowed[table] = {name for name, count in shared.items() if count == best} if best else None
        return self._allowed[table]


def _composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _ends_with(path: str, name: str) -> bool:
    stem = str(PurePosixPath(path).with_suffix(""))
    return any(f"/{each}".endswith(f"/{name}") for each in (path, stem))


def _count_shared(folders: Sequence[str], wanted: Sequence[str]) -> int:
    """Count the equal names at the end of two paths."""
    count = 0
    for one, other in zip(reversed(folders), reversed(wanted), strict=False):
        if one != other:
            break
        count += 1
    return count
