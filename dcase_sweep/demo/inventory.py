"""Listing of the generated recordings in a cache."""

import re
from pathlib import Path

from dcase_sweep.data.store.inventory import CacheEntry, folder_size, recognise
from dcase_sweep.data.store.use import last_used
from dcase_sweep.demo.generation import read_marker

_PART = re.compile(r"\.(generator|README|meta)\.\d+\.\w+")
_GENERATED_NAMES = {"README.txt", "generator.json", "meta.csv"}
_GENERATED_FOLDERS = {"audio", "metadata", "evaluation_setup"}
_GENERATED_SUFFIXES = {".wav", ".part", ".csv", ".tsv"}


def list_demo(demo_root: Path) -> tuple[list[CacheEntry], list[Path]]:
    """List the folders of generated recordings, and the folders that are not recognised."""
    return recognise(demo_root, _generated)


def _generated(path: Path) -> CacheEntry | None:
    def is_known(file: Path) -> bool:
        if len(file.parts) == 1:
            return file.name in _GENERATED_NAMES or _PART.fullmatch(file.name) is not None
        return file.parts[0] in _GENERATED_FOLDERS and file.suffix in _GENERATED_SUFFIXES

    marker = read_marker(path)
    if marker is None or not re.fullmatch(r"(scenes|soundscapes)[-\d]+", path.name):
        return None
    size = folder_size(path, is_known)
    if size is None:
        return None
    counts = [value for key, value in marker["parameters"].items() if key.endswith("_clips") and type(value) is int]
    used = last_used(path, "generator.json")
    return CacheEntry("demo", path, size, used, sum(counts), ("demo",), is_complete=marker.get("complete") is True)
