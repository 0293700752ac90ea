"""Hashes of the source code of components from outside this package, on which results depend."""

import ast
import hashlib
import importlib.util
import os
import sys
import sysconfig
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from pathlib import Path
from typing import Any

_OURS = __name__.partition(".")[0]
#: Libraries that this package uses for computation itself. Results depend on their versions in any case, and a new
#: version should not make all finished runs and studies different.
_REQUIRED = (
    *("hydra", "keras", "librosa", "lightning", "numpy", "optuna", "pytorch_lightning", "scipy", "tensorflow", "torch"),
    *("torchaudio", "torchmetrics"),
)
_SUFFIXES = tuple(SOURCE_SUFFIXES + EXTENSION_SUFFIXES)
#: Folders of installed packages, which are identified by their version and record.
_INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib"))
#: Replaces a source that cannot be read, such as that of a class defined in a notebook. It is different in every
#: process.
_UNREADABLE = uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class _Place:
    """The location of a module or a package: its file, and the folders of its modules."""

    origin: Path | None
    folders: tuple[Path, ...]

    @property
    def is_installed(self) -> bool:
        places = [self.origin] if self.origin else self.folders
        return any(place.resolve().is_relative_to(folder) for place in places for folder in _INSTALLED)


@dataclass(frozen=True, slots=True)
class _Code:
    """A module or a package that is not installed, and its files."""

    name: str
    folder: Path
    files: tuple[Path, ...]


def hash_sources(configuration: Mapping[str, Any]) -> dict[str, str]:
    """Hash the source of every component outside this package.

    A package counts as a whole, a module by its file. Local modules that these import count as well. Of an installed
    library the version and the recorded hashes of its files are used. PyTorch and other libraries that this package
    uses itself are excluded. Nothing is imported.

    Args:
        configuration: flattened: dotted keys and values.

    Returns:
        The hash of each module, package or library, sorted by name; empty if all components belong to this package.
    """
    return _hash_all(frozenset(_find_targets(configuration)), True)


def hash_module(target: str) -> dict[str, str]:
    """Hash the source of one component. Of its package, only modules that it imports count.

    Args:
        target: the full name of a class or function.
    """
    return _hash_all(frozenset([target]), False)


def list_sources(configuration: Mapping[str, Any]) -> dict[str, Path]:
    """The files of every component outside this package that is not installed, with the local modules they import.

    Args:
        configuration: flattened.

    Returns:
        Path on the import path, as ``my_project/model.py``, and the file; sorted.
    """
    found: dict[str, Path] = {}
    pending, seen = list(_find_targets(configuration)), set[str]()
    while pending:
        for code in _find_code(pending.pop(), True):
            if code.name in seen:
                continue
            seen.add(code.name)
            pending += _read(code)[1]
            name = code.name.replace(".", "/")
            for path in code.files:
                is_module = code.files == (path,) and path.stem != "__init__"
                found[f"{name}{path.suffix}" if is_module else f"{name}/{path.relative_to(code.folder).as_posix()}"] = (
                    path
                )
    return dict(sorted(found.items()))


def list_installed(configuration: Mapping[str, Any]) -> dict[str, str]:
    """The installed libraries that components outside this package are from, and their versions."""
    found: dict[str, str] = {}
    for target in _find_targets(configuration):
        place = _find_top(target.partition(".")[0])
        if place is not None and place.is_installed:
            names = metadata.packages_distributions().get(target.partition(".")[0], [])
            found |= {name: metadata.version(name) for name in names[:1]}
    return dict(sorted(found.items()))


def _find_targets(configuration: Mapping[str, Any]) -> Iterator[str]:
    for key, value in configuration.items():
        above, _, name = key.rpartition(".")
        is_getter = name == "path" and str(configuration.get(f"{above}._target_")).startswith("hydra.utils.get_")
        if isinstance(value, str) and (
            name == "_target_" or is_getter or key == "task.learner" or key.startswith("framework.")
        ):
            yield value


@lru_cache(maxsize=256)
def _hash_all(targets: frozenset[str], is_whole: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    pending = []
    for target in targets:
        top = target.partition(".")[0]
        place = _find_top(top)
        if place is not None and place.is_installed:
            found |= _hash_library(top)
        elif place is None and top in sys.modules and not _is_known(top):  # it has no file
            found[top] = _UNREADABLE
        else:
            pending.append(target)
    while pending:
        for code in _find_code(pending.pop(), is_whole):
            if code.name not in found:
                digest, imported = _read(code)
                found[code.name] = digest
                pending += imported
    return dict(sorted(found.items()))


def _find_code(dotted: str, is_whole: bool) -> Iterator[_Code]:
    """Find the modules that an import of this name runs; with ``is_whole``, a package with all its files."""
    name, *rest = dotted.split(".")
    place = _find_top(name)
    while place is not None and not place.is_installed:
        if place.origin is not None:  # a namespace package has none
            folder = place.origin.parent
            is_package = is_whole and bool(place.folders)
            yield _Code(name, folder, tuple(_list_files(folder)) if is_package else (place.origin,))
            if is_package:
                return
        if not rest:
            return
        place, name = _find_inside(place, rest[0]), f"{name}.{rest.pop(0)}"


@lru_cache(maxsize=512)
def _find_top(top: str) -> _Place | None:
    """Find a top-level module or package; None for excluded or missing ones."""
    if _is_known(top) or not top.isidentifier():
        return None
    try:
        spec = importlib.util.find_spec(top)
    except (ValueError, ImportError):  # it has no spec, such as the main program
        path = getattr(sys.modules.get(top), "__file__", None)
        spec = importlib.util.spec_from_file_location(top, path) if path else None
    if spec is None:
        return None
    # For a module in an archive, the file is the archive.
    path = Path(spec.origin) if spec.has_location and spec.origin else Path()
    origin = next((each for each in (path, *path.parents) if each.is_file()), None)
    return _Place(origin, tuple(map(Path, spec.submodule_search_locations or ())))


def _find_inside(place: _Place, name: str) -> _Place | None:
    """Find a module or package within a package, without the import system, which would import the package."""
    for folder in place.folders:
        for suffix in _SUFFIXES:
            if (package := folder / name / f"__init__{suffix}").is_file():
                return _Place(package, (package.parent,))
        for suffix in _SUFFIXES:
            if (module := folder / f"{name}{suffix}").is_file():
                return _Place(module, ())
    inner = tuple(folder / name for folder in place.folders if (folder / name).is_dir())
    return _Place(None, inner) if inner else None


def _is_known(top: str) -> bool:
    return top == _OURS or top in _REQUIRED or (top in sys.stdlib_module_names and top != "__main__")


def _list_files(folder: Path) -> Iterator[Path]:
    """List the files of a package that Python can import."""
    for where, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if name.isidentifier() and name != "__pycache__")
        for name in sorted(names):
            path = Path(where, name)
            if name.endswith(_SUFFIXES) and name.partition(".")[0].isidentifier() and path.is_file():
                yield path


def _read(code: _Code) -> tuple[str, list[str]]:
    """Hash some code, and list the full names of its imports."""
    digest = hashlib.sha256()
    imported: dict[str, None] = {}
    for path in code.files:
        content = path.read_bytes()
        relative = path.relative_to(code.folder)
        digest.update(relative.as_posix().encode() + content)
        if path.suffix in SOURCE_SUFFIXES:
            inside = [part for part in relative.with_suffix("").parts if part != "__init__"]
            is_package = path.stem == "__init__"
            is_single = code.files == (path,) and not is_package
            module = code.name if is_single else ".".join([code.name, *inside])
            package = module if is_package else module.rpartition(".")[0]
            imported |= dict.fromkeys(_find_imports(content, package))
    return digest.hexdigest()[:16], list(imported)


def _find_imports(content: bytes, package: str) -> Iterable[str]:
    """List the full names that a file imports, anywhere in it."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError):  # importing it will report the error
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")
            base = above[: len(above) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


@lru_cache(maxsize=64)
def _hash_library(top: str) -> dict[str, str]:
    """Return the version of an installed library and the hashes that its installer recorded."""
    try:
        distribution = metadata.distribution(top)
    except metadata.PackageNotFoundError:
        names = metadata.packages_distributions().get(top)
        if not names:
            return {top: _UNREADABLE}
        distribution = metadata.distribution(names[0])
    recorded = sorted(
        f"{path} {path.hash.value}" for path in distribution.files or () if path.hash and path.suffix in _SUFFIXES
    )
    text = "\n".join([distribution.version, *recorded])
    return {f"{top} {distribution.version}": hashlib.sha256(text.encode()).hexdigest()[:16]}
