"""Opening a store: from memory, from disk, or by building it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dcase_sweep.data.compute import FrontEnd, stored_shape
from dcase_sweep.data.store.build import Build, FeatureStore
from dcase_sweep.data.store.folder import Folder, folder_of, stamp_files
from dcase_sweep.errors import UserError


def known_problems(
    root: Path, files: Sequence[str], *, store_root: Path, configuration: dict[str, Any]
) -> list[str] | None:
    """What a finished store noted of these files, which then need no second look; None if there is no such store."""
    path = folder_of(stamp_files(root, files), store_root, configuration)
    index = Folder(path, ()).index()
    return None if index is None else [state["problem"] for state in index["states"] if state["problem"]]


#: Stores that this process has verified: reading a gigabyte again for each job of a sweep tells nothing new.
_verified: dict[tuple[str, int], FeatureStore] = {}


def open_store(
    root: Path,
    files: Sequence[str],
    front_end: FrontEnd,
    *,
    store_root: Path,
    configuration: dict[str, Any],
    device: str = "cpu",
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> FeatureStore:
    """Features of ``files`` (relative to ``root``), computed where they are not on disk yet.

    Several processes may ask at once: one builds, under a lock, the others wait for it. ``configuration`` is what the
    front end was made from; it and the files' names, sizes and times are the store's key.

    Raises:
        UserError: if the disk has no room.
    """
    from filelock import FileLock

    stamps = stamp_files(root, files)
    folder = folder_of(stamps, store_root, configuration)
    shape = (len(files), *stored_shape(front_end))
    key = (str(folder), len(files))
    if key in _verified and (folder / "store.json").is_file():
        return _verified[key]
    note = on_note or (lambda text: None)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(folder) + ".lock"):
            build = Build(Folder(folder, shape), root, stamps, front_end, device, workers, on_progress, note)
            store = build.run(configuration)
    except OSError as error:
        raise UserError(
            f"{error.filename or folder}: {error.strerror or error}; "
            "the feature store cannot be written; set store.root to a folder with room"
        ) from error
    _verified[key] = replace(store, computed=0)
    return store
