"""``resume=FOLDER`` alone: the overrides that the run or sweep of a folder was started with, as a file may say them.

Hydra keeps those of a run in ``.hydra/overrides.yaml``, and the sweepers keep theirs in ``multirun.yaml``.
"""

import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from dcase_sweep.config.command_line import split_options
from dcase_sweep.config.files import check_config
from dcase_sweep.config.path_words import typed_word
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.config.stored import is_printable
from dcase_sweep.config.stored_words import StoredWords, sort_words
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.overrides import quote
from dcase_sweep.utils.secrets import is_masked
from dcase_sweep.utils.text import printable

_OVERRIDES = Path(".hydra") / "overrides.yaml"
#: The configuration of a sweep, in its folder.
SWEEP = "multirun.yaml"
#: A run's folder, seen from what ``resume`` may name: itself, its folder of checkpoints, or a file in that.
_ABOVE = 3
_MOST, _LONGEST = 1_000, 10_000
#: Keys of Hydra that the continuation of a sweep sets itself.
_FOLDERS = ("hydra.sweep.dir", "hydra.sweep.subdir")


def find_sweep(arguments: Sequence[str]) -> Path | None:
    """The folder of the sweep that a command line continues; None if it names none."""
    named = _named(arguments)
    folder = None if named is None else Path(named).expanduser()
    return folder if folder is not None and is_sweep_folder(folder) else None


def is_sweep_folder(folder: Path) -> bool:
    """Whether a sweep has written its configuration to a folder."""
    try:
        return (folder / SWEEP).is_file()
    except (OSError, ValueError):
        return False


def with_words_of_folder(arguments: Sequence[str], path: SearchPath | None = None) -> list[str]:
    """A command line with the overrides of the run or sweep that ``resume`` names; its own come last.

    Args:
        arguments: the arguments of the command line.
        path: the search path, if it is not that of the arguments.

    Raises:
        UserError: in one line, if the folder's file is none, or if only the command line may say some of it; then with
            the words to add.
    """
    named = _named(arguments)
    if named is None:
        return list(arguments)
    folder = Path(named).expanduser()
    is_sweep = is_sweep_folder(folder)
    words = _words_of_folder(folder, arguments, path or SearchPath.of_arguments(arguments))
    if words is None:
        return list(arguments)
    if words.needed:
        raise UserError(
            f"resume={named}: a file is not trusted to say which code or recordings are used; add "
            f"{' '.join(words.needed)}"
        )
    if not is_sweep:
        return insert_overrides(words.obeyed, arguments)
    given = [key for key in _keys(arguments) if key in _FOLDERS]
    if given:
        raise UserError(f"{given[0]}: a sweep is continued in its own folder; leave it out")
    return ["-m", *insert_overrides([*words.obeyed, f"hydra.sweep.dir={quote(str(folder))}"], arguments)]


def insert_overrides(overrides: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Put overrides before the first one of a command line, after the options, which must not be between overrides."""
    options, own = split_options(arguments)
    return [*options, *overrides, *own]


def continuation_words(folder: Path, path: SearchPath) -> list[str]:
    """The words of a shell's command line that continue the sweep of a folder.

    Args:
        folder: folder of the sweep.
        path: the user's folders of configuration files.
    """
    words = _words_of_folder(folder, (), path)
    return [*map(shlex.quote, path.words), typed_word("resume", folder), *([] if words is None else words.needed)]


def _words_of_folder(folder: Path, arguments: Sequence[str], path: SearchPath) -> StoredWords | None:
    """The overrides of a folder; None if it has none.

    Raises:
        UserError: for a file that holds something else.
    """
    given = _keys(arguments)
    if is_sweep_folder(folder):
        settings = _read_settings(folder / SWEEP)
        words = [*_overrides(folder / SWEEP, settings, "hydra"), *_overrides(folder / SWEEP, settings, "task")]
        sweeper = settings.get("sweeper")
        name = sweeper.get("study_name") if isinstance(sweeper, dict) else None
        if isinstance(name, str) and is_printable(name, 200) and "${" not in name:
            words = [*words, f"hydra.sweeper.study_name={quote(name)}"]
        found = sort_words(words, given, is_sweep=True)
    else:
        overrides = find_overrides(folder)
        if overrides is None:
            return None
        found = sort_words(_read_list(overrides), given, is_sweep=False)
        of_hydra = overrides.with_name("hydra.yaml")
        settings = _read_settings(of_hydra) if of_hydra.is_file() else {}
    return StoredWords(found.obeyed, [*_missing_places(settings, path), *found.needed])


def words_of_study(study: str, settings: Any, given: Collection[str], path: SearchPath) -> StoredWords:
    """The overrides of a search, as its study records them.

    Args:
        study: the name of the study, for messages.
        settings: Hydra's settings in it, which are not trusted.
        given: keys on the command line, whose overrides replace those of the study.
        path: the user's folders of configuration files.

    Raises:
        UserError: for a record that is none.
    """
    where = f"study {printable(study)}"
    if not isinstance(settings, dict):
        raise UserError(f"{where}: no command recorded; expected one of a search of this version")
    words = [*_overrides(where, settings, "hydra"), *_overrides(where, settings, "task")]
    found = sort_words(words, given, is_sweep=True)
    masked = [word for word in found.obeyed if is_masked(word)]
    obeyed = [word for word in found.obeyed if word not in masked]
    return StoredWords(obeyed, [*_missing_places(settings, path), *found.needed, *map(shlex.quote, masked)])


def _named(arguments: Sequence[str]) -> str | None:
    """The value of ``resume``; the last one counts."""
    words = [word for word in arguments if word.lstrip("+").startswith("resume=")]
    if not words:
        return None
    try:
        value = OverridesParser.create().parse_override(words[-1]).value()
    except (HydraException, RecursionError):
        value = words[-1].partition("=")[2].strip("'\"")
    return value if isinstance(value, str) and value.strip() and "\0" not in value else None


def _keys(arguments: Sequence[str]) -> set[str]:
    return {word.partition("=")[0].lstrip("+~") for word in arguments}


def find_overrides(path: Path) -> Path | None:
    """The file with the overrides of the run that a checkpoint or a folder belongs to, where there is one."""
    folders = [path, *path.absolute().parents][:_ABOVE]
    return next((each / _OVERRIDES for each in folders if (each / _OVERRIDES).is_file()), None)


def _read(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        UserError: for a file that is none.
    """
    check_config(path)
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # as an alias that is not defined
        problem = getattr(error, "problem", None) or type(error).__name__
        raise UserError(f"{path}: {printable(problem)}; expected the overrides of a run or a sweep") from None


def _read_list(path: Path) -> list[str]:
    return _check_words(path, _read(path))


def _check_words(path: Path | str, words: Any) -> list[str]:
    """The overrides in a file; that they are texts is all that is known of them.

    Raises:
        UserError: for something else.
    """
    if not isinstance(words, list) or len(words) > _MOST:
        raise UserError(f"{path}: expected a list of at most {_MOST:,} overrides, as Hydra writes it")
    for word in words:
        if not isinstance(word, str) or len(word) > _LONGEST or not word.isprintable():
            raise UserError(f"{path}: an entry that is no override; expected KEY=VALUE, as Hydra writes it")
    return words


def _read_settings(path: Path) -> Any:
    """Hydra's settings in a file, of which nothing is resolved.

    Raises:
        UserError: for a file without them.
    """
    found = _read(path)
    settings = found.get("hydra") if isinstance(found, dict) else None
    if not isinstance(settings, dict):
        raise UserError(f"{path}: no settings of Hydra; expected the configuration of a run or a sweep")
    return settings


def _overrides(path: Path | str, settings: Any, kind: str) -> list[str]:
    overrides = settings.get("overrides")
    return _check_words(path, overrides.get(kind) if isinstance(overrides, dict) else None)


def _missing_places(settings: Any, path: SearchPath) -> list[str]:
    """The words for the user's folders of configuration files, if the command line names none."""
    runtime = settings.get("runtime") if isinstance(settings, dict) else None
    sources = runtime.get("config_sources") if isinstance(runtime, dict) else None
    if path.own or not isinstance(sources, list):
        return []
    names = ("provider", "schema", "path")
    plain = [
        {name: each[name] for name in names}
        for each in sources
        if isinstance(each, dict) and all(is_printable(each.get(name)) and "${" not in each[name] for name in names)
    ]
    return [*map(shlex.quote, SearchPath.of_settings(OmegaConf.create({"runtime": {"config_sources": plain}})).words)]
