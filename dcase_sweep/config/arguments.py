"""The words of a command line, before Hydra reads them, and in one line what Hydra cannot make of them."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from dcase_sweep.config.checks import GROUPS, refuse_several
from dcase_sweep.config.places import check_written
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

#: Characters of an argument: a list of a thousand blocks has fewer, and Hydra's parser takes seconds for more.
_LONGEST = 20_000
#: Brackets within each other; Hydra's parser calls itself for each.
_DEEPEST = 20
#: Where Hydra makes its folders.
_FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")
#: What Hydra reads as another type than text; a group's choice must be text.
_NO_TEXT = re.compile(r"null|true|false|[-+]?(\d[\d_]*)?\.?\d[\d_]*([eE][-+]?\d+)?|[-+]?(inf|nan)", re.IGNORECASE)


#: Texts of Hydra's own that name a place or a study.
_HYDRA_TEXTS = (
    "hydra.run.dir",
    "hydra.sweep.dir",
    "hydra.sweep.subdir",
    "hydra.sweeper.study_name",
    "hydra.sweeper.storage",
)
#: Settings that a single run has no use for.
_OF_SWEEPS = ("hydra/sweeper", "hydra.sweeper.", "hydra/launcher", "hydra.launcher.", "hydra.sweep.")


def refuse_arguments(arguments: Sequence[str]) -> None:
    """Refuse what Hydra would take without a word, or by running what a file holds.

    Raises:
        UserError: in one line, for a list where a group has one choice, an empty choice or folder, settings of a sweep
            without a sweep, and for ``--experimental-rerun``, which unpickles a file.
    """
    # A search or an experiment may be a sweep by itself: its file says so.
    is_single = not any(
        argument.lstrip("+").startswith(("-", "search=", "experiment=", "hydra.mode=")) for argument in arguments
    )
    for argument in arguments:
        flag = argument.partition("=")[0]
        if len(flag) > 2 and "--experimental-rerun".startswith(flag):
            raise UserError(f"{flag}: would run code that a file holds; expected the line that the run's log shows")
        key, equals, value = argument.partition("=")
        key = key.lstrip("+")
        if not equals or not (key in GROUPS or key.startswith("hydra/") or key in _HYDRA_TEXTS):
            continue
        if not value.strip("'\" "):
            raise UserError(f"{argument}: empty; expected a name or a path, or leave it out")
        if key in ("hydra.run.dir", "hydra.sweep.dir"):  # which Hydra makes before it calls anything of ours
            check_written(key, value.strip("'\""))
        elif key not in _HYDRA_TEXTS:
            refuse_several(argument)
    idle = [each for each in arguments if each.lstrip("+").startswith(_OF_SWEEPS)] if is_single else []
    if idle:
        raise UserError(f"{idle[0]}: does nothing in a single run; add -m for a sweep, or leave it out")


def check_arguments(arguments: Sequence[str], path: SearchPath) -> None:
    """Refuse options of Hydra's that there are not, folders that are not there, then what `check_overrides` does.

    Raises:
        UserError: for the first, with what was found and what is expected.
    """
    _check_options(arguments)
    path.check()
    check_overrides([word for word in arguments if not word.startswith("-")], path)


def check_overrides(words: Sequence[str], path: SearchPath) -> None:
    """Refuse words that Hydra cannot read in bounded time, or of which it would make an error of its own.

    Raises:
        UserError: for the first, with what was found and what is expected.
    """
    for word in words:
        _check_length(word)
        key, equals, value = word.partition("=")
        if equals and not key.strip("+~ "):
            raise UserError(f"{printable(word)}: no key before the equals sign; expected KEY=VALUE")
        if equals:
            _check_choice(key.lstrip("+"), value, path)
        if key.lstrip("+") in _FOLDERS:
            _check_folder(key.lstrip("+"), value.strip("'\""))


def _check_options(arguments: Sequence[str]) -> None:
    # Hydra has no public name for it; its own errors are usage and exit code 2, after it has read the configuration.
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{printable(message)}; see python -m dcase_sweep --hydra-help")

    parser.error = refuse  # type: ignore[method-assign]
    options = parser.parse_args(list(arguments))
    chosen = [name for name in ("run", "multirun", "cfg", "info", "shell_completion") if getattr(options, name)]
    if len(chosen) > 1:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in chosen)
        raise UserError(f"{names}: expected one of them alone")


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
        raise UserError(
            f"{printable(word, 80)}: {deepest:,} brackets within each other; expected at most {_DEEPEST} of them"
        )


def _check_choice(key: str, value: str, path: SearchPath) -> None:
    group = key.partition("@")[0]
    is_group = bool(re.fullmatch(r"[\w/]+", group)) and path.has_group(group)
    if is_group and _NO_TEXT.fullmatch(value.strip()):
        offered = path.choices(group)
        expected = f"expected one of {', '.join(offered)}" if offered else "expected no choice of it"
        raise UserError(f"{group}={printable(value)}: no such choice; {expected}")


def _check_folder(key: str, value: str) -> None:
    """Whether Hydra could make a folder of its own there; one that depends on the job is not known yet."""
    if "$" in value:
        return
    if not value.strip() or value == "null":
        raise UserError(f"{key}={value}: no folder; expected one for what a run writes, or . for the working folder")
    path = Path(value).absolute()
    existing = next((each for each in (path, *path.parents) if os.path.lexists(each)), None)
    if existing is None or not existing.is_dir():
        raise UserError(f"{key}={printable(value)}: {existing} is no folder; expected one for what a run writes")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{key}={printable(value)}: {existing} cannot be written to; choose another folder")


#: What Hydra, OmegaConf and `logging` raise for a configuration that they cannot use.
_OF_A_CONFIGURATION = (ValueError, TypeError, AssertionError, AttributeError, ImportError, RuntimeError)


def explain_setup(error: Exception) -> str | None:
    """One line for an exception of Python's that Hydra lets through while it composes or sets up its logging.

    Returns:
        None for an exception that is not about the configuration, or was raised once a sweep had begun.
    """
    if not isinstance(error, _OF_A_CONFIGURATION):
        return None
    modules = _modules_of(error)
    if "dcase_sweep.sweep" in modules:  # a sweeper's method of this name
        return None
    causes = [error, *([error.__cause__] if error.__cause__ is not None else [])]
    if not any(part.startswith(("hydra", "omegaconf")) for part in modules):
        return None
    words = ": ".join(printable(str(each).splitlines()[0]) for each in causes if str(each))
    if modules & {"hydra.configure_log", "hydra._setup_logging"}:
        words = words or "expected true, false, or a list of loggers' names"
        return f"hydra.job_logging, hydra.hydra_logging or hydra.verbose: {words}"
    return words or f"{type(error).__name__} while the configuration was composed"


def _modules_of(error: BaseException) -> set[str]:
    """The functions that an exception has passed through, each after the name of its package."""
    found, trace = set(), error.__traceback__
    while trace is not None:
        package = str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0]
        found.add(f"{package}.{trace.tb_frame.f_code.co_name}")
        trace = trace.tb_next
    return found
