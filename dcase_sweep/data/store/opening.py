"""Opening of a feature store, which is built if necessary."""

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

from dcase_sweep.data.compute import ClipFrontEnd, stored_dtype, stored_shape
from dcase_sweep.data.files import KnownFile
from dcase_sweep.data.store.build import Build, FeatureStore, known_states
from dcase_sweep.data.store.contents import FileContents
from dcase_sweep.data.store.folder import INDEX, Folder, front_end_folder, locate_store
from dcase_sweep.data.store.use import note_use
from dcase_sweep.utils.errors import UserError

#: Seconds that a process waits for another before it prints a line.
_NOTICE_SECONDS = 3.0

#: Stores that this process has verified, so that the jobs of a sweep do not read gigabytes again.
_verified: dict[Path, FeatureStore] = {}
#: The root and the names for which each of them was returned last.
_opened: dict[Path, tuple[Path, list[str]]] = {}
#: Hashes of files by their folder and the root of the stores.
_contents: dict[tuple[str, str], FileContents] = {}


def get_contents(root: Path, store_root: Path) -> FileContents:
    """Return the hashes of the files under a folder; the table is read once in a process."""
    key = os.path.realpath(root), os.path.realpath(store_root)
    if key not in _contents:
        _contents[key] = FileContents(root, store_root)
    return _contents[key]


class KnownFiles:
    """The states of recordings in all stores of one front end, by the contents of the recordings."""

    def __init__(self, root: Path, *, store_root: Path, configuration: dict[str, Any]) -> None:
        self.contents = get_contents(root, store_root)
        self._store_root = store_root
        self._configuration = configuration
        self._lock = Lock()
        self._by_digest: dict[bytes, str | None] | None = None

    def problems(self, names: Sequence[str]) -> list[str] | None:
        """Return the problems of these files, if a finished store of them is found without reading any file."""
        digests = [self.contents.recall(name) for name in names]
        if None in digests:
            return None
        folder = Folder(locate_store(digests, self._store_root, self._configuration), ())
        states = folder.index(len(names)) if folder.holds_contents(digests) else None
        if states is None:
            return None
        pairs = zip(names, states, strict=True)
        return [f"{self.contents.root / name}: {state.problem}" for name, state in pairs if state.problem is not None]

    def __call__(self, name: str) -> KnownFile | None:
        """Return the state of one file, which is read if its hash is not known."""
        digest = self.contents.digest(name)
        if digest is None:
            return None
        with self._lock:
            if self._by_digest is None:
                self._by_digest = self._read_all()
        return KnownFile(self._by_digest[digest]) if digest in self._by_digest else None

    def _read_all(self) -> dict[bytes, str | None]:
        """Read the problem, or None, of every recording in the stores of the front end."""
        found: dict[bytes, str | None] = {}
        parent = front_end_folder(self._store_root, self._configuration)
        for path in parent.iterdir() if parent.is_dir() else ():
            folder = Folder(path, ())
            contents = folder.contents() if path.is_dir() else None
            if contents is not None:
                states = known_states(folder, len(contents))
                found |= {contents[row]: state.problem for row, state in states.items() if any(contents[row])}
        return found


def open_store(
    root: Path,
    files: Sequence[str],
    front_end: ClipFrontEnd,
    *,
    store_root: Path,
    configuration: dict[str, Any],
    device: str = "cpu",
    workers: int = 1,
    name: str = "",
    on_progress: Callable[[int, int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> FeatureStore:
    """Return the features of files, and compute those that are not stored.

    If several processes need the same store, one builds it under a lock and the others wait. A complete store is read
    without a lock, also from a read-only disk. A store is identified by the configuration of the front end and the
    contents of the files.

    Args:
        root: folder of the recordings.
        files: names under it.
        front_end: computes the features.
        store_root: folder of all stores.
        configuration: everything that the features depend on except the recordings: the front end, its settings, the
            sample rate and the length of a clip (`dcase_sweep.config.stored_configuration`).
        device: device on which the front end computes.
        workers: number of threads.
        name: name of the data set, for the list that ``cache`` prints.
        on_progress: called with the number of computed clips and the total.
        on_note: called with a line for the user.

    Raises:
        UserError: if the disk is full or cannot be written to, or a file changes while it is read.
    """
    contents = get_contents(root, store_root)
    digests = contents.digests(files, workers)
    path = locate_store(digests, store_root, configuration)
    known = _verified.get(path)
    if known is not None and (path / INDEX).is_file() and None not in digests:
        if _opened.get(path) != (root, list(files)):
            _verified[path] = known = replace(known, files=tuple(root / file for file in files))
            _opened[path] = root, list(files)
        return known
    note = on_note or (lambda text: None)
    folder = Folder(path, (len(files), *stored_shape(front_end)), stored_dtype(front_end))
    build = Build(folder, contents, list(files), digests, front_end, device, workers, on_progress, note)
    store = build.read()
    if store is None:
        try:
            store = _build_locked(build, configuration, store_root)
        except OSError as error:
            raise UserError(_describe_error(path, error)) from error
    contents.save()
    note_use(path, name, root)
    _verified[path] = replace(store, computed=0)
    _opened.pop(path, None)
    return store


def _build_locked(build: Build, configuration: dict[str, Any], store_root: Path) -> FeatureStore:
    """Build under a lock, or return the store that another process has built in the meantime."""
    from filelock import FileLock, Timeout

    path = build.folder.path
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=_NOTICE_SECONDS)
    except Timeout:
        build.note(f"waiting for another process that computes the features in {path}")
        lock.acquire()
    try:
        return build.read() or build.run(configuration, store_root)
    finally:
        lock.release()


def _describe_error(path: Path, error: OSError) -> str:
    """Describe why a store cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = "no space left on the disk" if error.errno == errno.ENOSPC else "the disk quota is used up"
        return f"{path}: {what} for features; free some, or set store.root to another disk; computed features are kept"
    return (
        f"{path}: {error.strerror or error}; features are missing there and the feature store cannot be written; "
        "set store.root to a writable folder"
    )
