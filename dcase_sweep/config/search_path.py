"""The search path of configuration files: conf/ first, then --config-dir, then hydra.searchpath, as in Hydra."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from omegaconf import OmegaConf

from dcase_sweep.config.classes import PACKAGES
from dcase_sweep.config.files import read_config
from dcase_sweep.config.flat import flatten
from dcase_sweep.config.folders import conf_folder, experiment_folders
from dcase_sweep.sweep.plugins import list_plugin_places
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.overrides import quote
from dcase_sweep.utils.text import printable

_KEY = "hydra.searchpath"
#: Texts that need no quotes in Hydra's grammar.
_PLAIN = r"[\w./:-]+"


@dataclass(frozen=True, slots=True)
class SearchPath:
    """The user's folders of configuration files.

    Attributes:
        config_dir: the folder of ``--config-dir``.
        more: the entries of ``hydra.searchpath``: folders, or packages such as ``pkg://mine.conf``.
    """

    config_dir: str | None = None
    more: tuple[str, ...] = ()

    @staticmethod
    def of_arguments(arguments: Sequence[str]) -> "SearchPath":
        """Create the search path from command-line arguments. Invalid values are ignored."""
        config_dir: str | None = None
        more: tuple[str, ...] = ()
        for position, word in enumerate(arguments):
            flag, equals, value = word.partition("=")
            if _is_config_dir(flag):
                config_dir = value if equals else next(iter(arguments[position + 1 :]), None)
            elif flag.lstrip("+") == _KEY:
                more = _parse_list(word)
        return SearchPath(config_dir or None, more)

    @staticmethod
    def of_settings(settings: Any) -> "SearchPath":
        """Create the search path from Hydra's settings, ``cfg.hydra`` of a composed configuration."""
        config_dir: str | None = None
        more: list[str] = []
        for source in OmegaConf.select(settings, "runtime.config_sources") or ():
            place = source.path if source.schema == "file" else f"{source.schema}://{source.path}"
            if source.provider == "command-line":
                config_dir = place
            elif source.provider.startswith(_KEY):
                more.append(place)
        return SearchPath(config_dir, tuple(more))

    def check(self) -> None:
        """Check that all entries are folders. Hydra would ignore missing ones.

        Raises:
            UserError: if one is not, in one line.
        """
        for key, places in (("--config-dir", [self.config_dir] if self.config_dir else []), (_KEY, self.more)):
            for place in places:
                folder = _resolve(place)
                if folder is None or not folder.is_dir():
                    raise UserError(f"{key} {printable(place)}: no such folder; expected one with configuration files")

    @property
    def own(self) -> list[Path]:
        """Return the user's folders in the order of the search."""
        places = [*([self.config_dir] if self.config_dir else []), *self.more]
        return [folder for place in places if (folder := _resolve(place)) is not None]

    def find(self, group: str, choice: str) -> Path | None:
        """Find the file of a group's choice; None if there is none."""
        if not choice or choice != choice.strip() or ".." in choice or "\0" in choice:
            return None
        found = (folder / group / f"{choice}.yaml" for folder in self._folders)
        return next((path for path in found if path.is_file()), None)

    def has_group(self, name: str) -> bool:
        """Whether a group such as ``model`` or ``hydra/sweeper`` exists."""
        if name == "experiment" or any((folder / name).is_dir() for folder in self._folders):
            return True
        return ConfigStore.instance().get_type(name) == ObjectType.GROUP

    def choices(self, group: str) -> list[str]:
        """Return the choices of a group, sorted."""
        folders = [folder / group for folder in self._folders]
        folders += experiment_folders() if group == "experiment" else []
        store = ConfigStore.instance()
        stored = store.list(group) if store.get_type(group) == ObjectType.GROUP else []
        files = {path.stem for folder in folders for path in folder.glob("*.yaml")}
        return sorted({*files, *(name.removesuffix(".yaml") for name in stored if name.endswith(".yaml"))})

    @property
    def _folders(self) -> list[Path]:
        """The folders of this package, of the user, and of plugins."""
        added = (_resolve(place) for place in list_plugin_places())
        return [conf_folder(), *self.own, *(folder for folder in added if folder is not None)]

    def make_parser(self) -> OverridesParser:
        """Return a parser of overrides whose ``glob()`` chooses among the files of these folders."""
        return OverridesParser.create(config_loader=cast(ConfigLoader, _Choices(self)))

    def hidden(self) -> Iterator[Path]:
        """Return the user's files that are never read because this package has a file of the same name."""
        conf = conf_folder()
        for folder in self.own:
            for path in sorted(folder.rglob("*.yaml")):
                if (conf / path.relative_to(folder)).is_file():
                    yield path

    @property
    def overrides(self) -> list[str]:
        """Return all folders as an override of ``hydra.searchpath``, for compositions outside Hydra's command line."""
        places = [*([self.config_dir] if self.config_dir else []), *self.more]
        return [_override([_absolute(place) for place in places])] if places else []

    @property
    def words(self) -> list[str]:
        """Return the words of a command line that finds the same files from the working folder."""
        flags = ["--config-dir", _relative(self.config_dir)] if self.config_dir else []
        return [*flags, *([_override([_relative(place) for place in self.more])] if self.more else [])]

    def followed_by(self, folder: str | Path) -> "SearchPath":
        """Append another folder: as ``--config-dir`` if there is none yet."""
        if self.config_dir is None and not self.more:
            return SearchPath(str(folder))
        return SearchPath(self.config_dir, (*self.more, str(folder)))


class _Choices:
    """The part of Hydra's ``ConfigLoader`` that a parser of overrides uses."""

    def __init__(self, path: SearchPath) -> None:
        self._path = path

    def get_group_options(self, group_name: str, results_filter: object = None) -> list[str]:
        """Return the choices of a group, sorted."""
        return self._path.choices(group_name)


def named_in_folder(config_dir: str) -> dict[str, str | frozenset[str]]:
    """Return the classes that the user's files name, by key: ``model._target_``, or ``model.activation._target_`` for
    an object within a component. Other files may name these too.

    Raises:
        UserError: for a missing folder, or a file that is not a configuration.
    """
    SearchPath(config_dir).check()
    contents = list(_read_folder(Path(config_dir)))
    named: dict[str, str | frozenset[str]] = {}
    for group in PACKAGES:
        found: dict[str, set[str]] = {f"{group}._target_": set()}
        # Files of other groups, such as a task or an experiment, may set the keys of this one.
        nodes = [
            node for chosen, content in contents for node in (content if chosen == group else None, content.get(group))
        ]
        for node in nodes:
            for key, target in flatten(node, group).items() if isinstance(node, dict) else ():
                if key.endswith("._target_") and isinstance(target, str):
                    found.setdefault(key, set()).add(target)
        named |= {key: frozenset(targets) for key, targets in found.items()}
    return named


def _read_folder(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the group and the content of each file in a folder of configuration files.

    Raises:
        UserError: for a file of a group with classes that is not a configuration. Other files are skipped then.
    """
    for path in sorted(folder.rglob("*.yaml")):
        group = path.relative_to(folder).parts[0]
        try:
            yield group, read_config(path)
        except UserError:
            if group in PACKAGES:
                raise


def _is_config_dir(flag: str) -> bool:
    """Whether a word is Hydra's flag, which may be abbreviated."""
    return flag == "-cd" or (len(flag) > len("--config-") and "--config-dir".startswith(flag))


def _parse_list(word: str) -> tuple[str, ...]:
    try:
        value = OverridesParser.create().parse_override(word).value()
    except OverrideParseException:
        return ()
    return tuple(str(getattr(item, "text", item)) for item in value) if isinstance(value, list) else ()


def _resolve(place: str) -> Path | None:
    """Return the folder of an entry; None if it is not in a folder, such as a package in an archive."""
    scheme, mark, rest = place.partition("://")
    if not mark:
        return Path(place)
    if scheme == "file":
        return Path(rest)
    if scheme == "pkg":
        package, _, inner = rest.replace("/", ".").partition(".")
        try:
            found = files(package).joinpath(*filter(None, inner.split(".")))
        except (ImportError, TypeError, ValueError, OSError):  # OSError: of a finder in place of a folder
            return None
        return found if isinstance(found, Path) else None
    return None


def _absolute(place: str) -> str:
    return place if place.startswith("pkg://") else os.path.abspath(place.removeprefix("file://"))


def _relative(place: str) -> str:
    """Return a path relative to the working folder if it is within it."""
    if place.startswith("pkg://"):
        return place
    near = os.path.relpath(place.removeprefix("file://"))
    return _absolute(place) if near.startswith("..") else near


def _override(places: Sequence[str]) -> str:
    return f"{_KEY}=[{','.join(place if re.fullmatch(_PLAIN, place) else quote(place) for place in places)}]"
