"""The recordings and tables under a folder, and the recording to which a name in a table refers."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from dcase_sweep.utils.folders import list_files
from dcase_sweep.utils.lookalikes import shorten
from dcase_sweep.utils.text import describe_unprintable

TABLE_SUFFIXES = (".csv", ".tsv")


def find_files(
    root: Path,
    suffixes: Sequence[str],
    problems: list[str],
    *,
    on_error: Callable[[OSError], None] | None = None,
) -> list[str]:
    """Return the files under a folder with one of these suffixes, as `list_files` does.

    Args:
        root: the folder.
        suffixes: suffixes in lower case, with the dot.
        problems: list that receives a line for each name that no table could contain.
        on_error: called for each folder that cannot be read.
    """
    found = list_files(root, suffixes, on_error=on_error)
    kept = [name for name in found if name.isprintable()]
    problems += [describe_unprintable(root / name) for name in found if not name.isprintable()]
    return kept


class AudioFiles:
    """The recordings under a folder, found by the names that tables use.

    Args:
        names: paths of all recordings on disk, relative to the folder.
        unreadable: paths of those whose format libsndfile cannot read.
    """

    def __init__(self, names: Iterable[str], unreadable: Iterable[str] = ()) -> None:
        self.names = list(names)
        self.unreadable = list(unreadable)
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

    def describe_absence(self, name: str) -> str:
        """Describe why no recording has this name: what is on disk in its place, and what to do."""
        if any(_ends_with(_composed(each), name) for each in self.unreadable):
            return "has a format that libsndfile cannot read; convert it to WAV or FLAC"
        other = self._similar.get(_stem(name).casefold())
        if other is not None:
            return f"is not on disk, but {shorten(other, 80)} is; correct the name"
        return "is not on disk; restore the file or remove its row"

    @cached_property
    def _similar(self) -> dict[str, str]:
        """Name without folders, suffix and case → a recording of this name."""
        return {_stem(composed).casefold(): name for composed, name in reversed(self._known.items())}

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


def _stem(path: str) -> str:
    return PurePosixPath(path).stem


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
