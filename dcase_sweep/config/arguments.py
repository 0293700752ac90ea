"""Checks of command-line arguments before Hydra parses them, and one-line messages for Hydra's errors."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hydra.plugins.sweeper import Sweeper

from dcase_sweep.config.checks import GROUPS, check_single_choice
from dcase_sweep.config.path_words import HYDRA_TEXTS
from dcase_sweep.config.places import check_written
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.sweep.plugins import explain_plugin
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

#: Longest argument, in characters. A list of a thousand blocks is shorter, and Hydra's parser takes seconds for more.
_LONGEST = 20_000
#: Deepest nesting of brackets. Hydra's parser is recursive.
_DEEPEST = 20
#: Keys of the folders that Hydra creates.
_FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")
#: Values that Hydra does not parse as text, although the choice of a group must be text.
_NO_TEXT = re.compile(r"null|true|false|[-+]?(\d[\d_]*)?\.?\d[\d_]*([eE][-+]?\d+)?|[-+]?(inf|nan)", re.IGNORECASE)
#: Settings without an effect on a single run.
_OF_SWEEPS = ("hydra/sweeper", "hydra.sweeper.", "hydra/launcher", "hydra.launcher.", "hydra.sweep.")


def check_supported(arguments: Sequence[str]) -> None:
    """Reject arguments that Hydra would accept silently, or for which it would run code from a file.

    Raises:
        UserError: in one line, for a list where a group has one choice, an empty choice or folder, settings of a sweep
            without a sweep, and for ``--experimental-rerun``, which unpickles a file.
    """
    # The file of a search or an experiment may turn the command into a sweep.
    is_single = not any(
        argument.lstrip("+").startswith(("-", "search=", "experiment=", "hydra.mode=")) for argument in arguments
    )
    for argument in arguments:
        flag = argument.partition("=")[0]
        if len(flag) > 2 and "--experimental-rerun".startswith(flag):
            raise UserError(f"{flag}: would run code from a file; expected the command line in the run's log")
        key, equals, value = argument.partition("=")
        key = key.lstrip("+")
        if not equals or not (key in GROUPS or key.startswith("hydra/") or key in HYDRA_TEXTS):
            continue
        if not value.strip("'\" "):
            raise UserError(f"{argument}: empty; expected a name or a path, or leave it out")
        if key in _FOLDERS:  # Hydra creates it before it calls our code
            check_written(key, value.strip("'\""))
        elif key not in HYDRA_TEXTS:
            check_single_choice(argument)
    idle = [each for each in arguments if each.lstrip("+").startswith(_OF_SWEEPS)] if is_single else []
    if idle:
        raise UserError(f"{idle[0]}: no effect on a single run; add -m for a sweep, or leave it out")


def check_arguments(arguments: Sequence[str], path: SearchPath) -> None:
    """Reject unknown options of Hydra and missing folders, then run `check_overrides`.

    Raises:
        UserError: for the first error, with what was found and what is expected.
    """
    _check_options(arguments)
    path.check()
    check_overrides([word for word in arguments if not word.startswith("-")], path)


def check_overrides(words: Sequence[str], path: SearchPath) -> None:
    """Reject words that Hydra cannot parse in bounded time, or for which its message would be unclear.

    Raises:
        UserError: for the first error, with what was found and what is expected.
    """
    for word in words:
        _check_length(word)
        key, equals, value = word.partition("=")
        if equals and not key.strip("+~ "):
            raise UserError(f"{printable(word)}: no key before the equals sign; expected KEY=VALUE")
        if equals:
            _check_choice(key.lstrip("+"), value, path)
        if key.lstrip("+") in _FOLDERS:
            check_folder(key.lstrip("+"), value.strip("'\""))


def _check_options(arguments: Sequence[str]) -> None:
    # Hydra has no public name for its parser. Its own errors print the usage and exit with code 2, after composing.
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()

    def raise_error(message: str) -> NoReturn:
        raise UserError(f"{printable(message)}; see python -m dcase_sweep --hydra-help")

    parser.error = raise_error  # type: ignore[method-assign]
    options = parser.parse_args(list(arguments))
    place = options.config_path
    if place is not None and "://" not in place and not os.path.isabs(place):  # Hydra takes it for a module
        found = os.path.abspath(place)
        hint = f"expected {found}" if os.path.isdir(found) else "expected an absolute path, or pkg://PACKAGE.FOLDER"
        raise UserError(f"--config-path {printable(place)}: relative to no folder; {hint}")
    chosen = [name for name in ("run", "multirun", "cfg", "info", "shell_completion") if getattr(options, name)]
    if len(chosen) > 1:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in chosen)
        raise UserError(f"{names}: expected only one of them")


def _check_length(word: str) -> None:
    if len(word) > _LONGEST:
        raise UserError(
            f"{printable(word, 80)}: {len(word):,} characters; expected at most {_LONGEST:,}; put long values into a "
            "file under --config-dir"
        )
    deep = deepest = 0
    for character in word:
        deep += (character in "([{") - (character in ")]}")
        deepest = max(deepest, deep)
    if deepest > _DEEPEST:
        raise UserError(f"{printable(word, 80)}: brackets nested {deepest:,} levels deep; expected at most {_DEEPEST}")


def _check_choice(key: str, value: str, path: SearchPath) -> None:
    group = key.partition("@")[0]
    is_group = bool(re.fullmatch(r"[\w/]+", group)) and path.has_group(group)
    if is_group and _NO_TEXT.fullmatch(value.strip()):
        offered = path.choices(group)
        expected = f"expected one of {', '.join(offered)}" if offered else "expected no choice of it"
        raise UserError(f"{group}={printable(value)}: no such choice; {expected}")


def check_folder(key: str, value: str) -> None:
    """Check that the folder of a run can be created. One that depends on the job is not known yet.

    Args:
        key: the key, for the message.
        value: the folder.

    Raises:
        UserError: in one line with the key.
    """
    if "$" in value:
        return
    if not value.strip() or value == "null":
        raise UserError(f"{key}={value}: not a folder; expected one for a run's files, or . for the working folder")
    path = Path(value).absolute()
    existing = next((each for each in (path, *path.parents) if os.path.lexists(each)), None)
    if existing is None or not existing.is_dir():
        raise UserError(f"{key}={printable(value)}: {existing} is not a folder; expected one for the files of a run")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{key}={printable(value)}: {existing} cannot be written to; choose another folder")


#: Errors that Hydra, OmegaConf and `logging` raise for an unusable configuration.
_OF_A_CONFIGURATION = (ValueError, TypeError, AssertionError, AttributeError, ImportError, RuntimeError)


def explain_setup(error: Exception) -> str | None:
    """Describe in one line an exception that Hydra does not handle during composition or the setup of logging.

    Returns:
        None for an exception that is not about the configuration, or was raised after a sweep had started.
    """
    if not isinstance(error, _OF_A_CONFIGURATION):
        return None
    modules = _modules_of(error)
    if "dcase_sweep.sweep" in modules:  # the method of a sweeper
        return None
    if "hydra.instantiate_sweeper" in modules:
        named = re.search(r"plugin (?:class : )?'([^']+)'", str(error))
        if named:
            return explain_plugin("hydra.sweeper._target_", named[1], Sweeper)
        if isinstance(error, AssertionError):
            return "hydra.sweeper._target_: not a sweeper; expected a class derived from hydra.plugins.sweeper.Sweeper"
    causes = [error, *([error.__cause__] if error.__cause__ is not None else [])]
    if not any(part.startswith(("hydra", "omegaconf")) for part in modules):
        return None
    words = ": ".join(printable(str(each).splitlines()[0]) for each in causes if str(each))
    if modules & {"hydra.configure_log", "hydra._setup_logging"}:
        words = words or "expected true, false, or a list of loggers' names"
        return f"hydra.job_logging, hydra.hydra_logging or hydra.verbose: {words}"
    return words or f"{type(error).__name__} while the configuration was composed"


def _modules_of(error: BaseException) -> set[str]:
    """Return the functions that an exception has passed through, each with the name of its package."""
    found, trace = set(), error.__traceback__
    while trace is not None:
        package = str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0]
        found.add(f"{package}.{trace.tb_frame.f_code.co_name}")
        trace = trace.tb_next
    return found
