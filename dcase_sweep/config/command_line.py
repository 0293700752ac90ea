"""Rewriting of command-line arguments that Hydra would not parse as intended.

Hydra has no option for any of these: a group's choice may look like a number, a path may contain any character
(`path_words`), an option may come between overrides, a search implies a sweep and its limits are part of the sweeper
(Hydra 1.4 rejects a ``hydra.mode`` in a group's file), and a task selects a model where a model also selects its task
(defaults lists override in one direction only).
"""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dcase_sweep.config.files import read_config
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.sweep.command import MULTIRUN, PLACES, is_multirun
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.overrides import combinations
from dcase_sweep.utils.secrets import mask_word

_SWEEPS = ("search=", "experiment=", "hydra.mode=")
#: Options that print information instead of running.
_SHOWS = ("-c", "--cfg", "-i", "--info", "-h", "--help", "--hydra-help", "-sc", "--shell-completion")
#: Options that are followed by a value, and those that may be.
_WITH_VALUE = (*PLACES, "-c", "--cfg", "-p", "--package")
_MAY_HAVE_VALUE = ("-i", "--info")
_INFORMATION = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
#: One limit of a search or all of them; the slash in a name makes Hydra read it as a group.
_LIMITS = re.compile(r"^\+{0,2}(?:hydra\.sweeper\.)?search\.limits(?:\.(?:complexity/)?(\w+))?=(.*)$", re.DOTALL)
_NUMBER = re.compile(r"\d[\d_]*(\.\d*)?(e\d+)?")


def put_options_last(arguments: Sequence[str]) -> list[str]:
    """Allow options anywhere. Hydra accepts them before or after all overrides, but not between them."""
    options, overrides = split_options(arguments)
    return [*overrides, *options]


def split_options(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divide a command line into Hydra's options with their values, and overrides."""
    options: list[str] = []
    overrides: list[str] = []
    is_value = False
    for position, word in enumerate(arguments):
        is_option = word.startswith("-") or is_value
        (options if is_option else overrides).append(word)
        following = arguments[position + 1] if position + 1 < len(arguments) else ""
        is_value = not is_value and (word in _WITH_VALUE or (word in _MAY_HAVE_VALUE and following in _INFORMATION))
    return options, overrides


def may_be_sweep(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for a sweep, or names a file that may ask for one: a search or an experiment."""
    return is_multirun(arguments) or any(word.lstrip("+").startswith(_SWEEPS) for word in arguments)


def make_search_a_sweep(arguments: Sequence[str]) -> list[str]:
    """Add the multirun mode to a command with ``search=NAME``, which is only useful for a sweep."""
    is_search = any(word.lstrip("+").startswith("search=") for word in arguments)
    is_shown = any(word.partition("=")[0] in _SHOWS for word in arguments)
    flag = ["--multirun"] if is_search and not is_shown and not is_multirun(arguments) else []
    return [*flag, *arguments]


def place_limits(arguments: Sequence[str]) -> list[str]:
    """Let people type ``search.limits.size_kib=64``, as messages name it: a search is part of Hydra's sweeper."""
    return [_LIMITS.sub(_place_limit, word) for word in arguments]


def _place_limit(found: re.Match[str]) -> str:
    """The word of Hydra's for one limit or a dictionary of them, whose names had a group's slash once."""
    name, value = found.groups()
    if name is None:
        return f"++hydra.sweeper.search.limits={value.replace('complexity/', '')}"
    return f"++hydra.sweeper.search.limits.{name}={value}"


def jobs_to_show(arguments: Sequence[str]) -> list[list[str]]:
    """A command line for each configuration that ``--cfg`` has to show: one, or those of a sweep's jobs.

    Hydra shows the configuration of a single run alone. Of a search, whose jobs are not known yet, that is what its
    trials share.

    Raises:
        UserError: for a sweep of too many jobs.
    """
    is_shown = any(word.partition("=")[0] in ("--cfg", "-c") for word in arguments)
    if not is_shown or not is_multirun(arguments):
        return [list(arguments)]
    options, overrides = split_options([word for word in arguments if word not in MULTIRUN])
    parser = SearchPath.of_arguments(arguments).make_parser()
    if any(word.lstrip("+").startswith(("hydra/sweeper=optuna", "search=")) for word in overrides):
        shared = [
            word
            for word, read in zip(overrides, parser.parse_overrides(overrides), strict=True)
            if not read.is_sweep_override()
        ]
        return [[*options, *shared]]
    return [[*options, *job] for job in combinations(parser, overrides)]


def quote_choices(arguments: Sequence[str], path: SearchPath) -> list[str]:
    """Quote choices such as ``task=4``. Hydra parses a number, but a group's choice must be text."""
    quoted = []
    for argument in arguments:
        found = re.fullmatch(r"(\+?([\w/]+)=)([0-9A-Za-z_,.]+)", argument)
        if found and path.has_group(found[2]):
            names = (f"'{name}'" if _NUMBER.fullmatch(name) else name for name in found[3].split(","))
            argument = found[1] + ",".join(names)
        quoted.append(argument)
    return quoted


def _unquote_choice(word: str, path: SearchPath) -> str:
    """Return a choice as it is typed, ``task=4``: the reverse of `quote_choices`."""
    found = re.fullmatch(r"(\+?([\w/]+)=)([0-9A-Za-z_,.']+)", word)
    return found[1] + found[3].replace("'", "") if found and path.has_group(found[2]) else word


def with_model_of_task(overrides: Sequence[str], path: SearchPath) -> list[str]:
    """Add the model that a task's file names, if a task is chosen but no model.

    A model selects its task. So ``task=4`` alone must select a model; otherwise only the jobs of one task of ``-m
    task=1a,4`` could run.

    Args:
        overrides: overrides of one job, and options of the command line, which come last then.
        path: the search path of the task's file.
    """
    options, own = split_options(overrides)  # the value of an option may be a key: -p model
    keys = [override.partition("=")[0].lstrip("+") for override in own]
    if "task" not in keys or "model" in keys or "experiment" in keys:
        return list(overrides)
    place = keys.index("task")
    model = _model_of_task(own[place].partition("=")[2].strip("'\""), path)
    if model is None:  # several tasks, an unknown task, or a task that leaves the model to config.yaml
        return list(overrides)
    return [*own[: place + 1], f"model={model}", *own[place + 1 :], *options]


def _model_of_task(name: str, path: SearchPath, deep: int = 5) -> str | None:
    """Return ``task.model`` from a task's file, or from the files of the group in its defaults list."""
    found = path.find("task", name)
    if found is None or deep == 0:
        return None
    try:
        content: Any = OmegaConf.create(read_config(found))
        model = OmegaConf.select(content, "task.model")
        if isinstance(model, str):
            return model
        defaults = OmegaConf.select(content, "defaults") or []
    except (UserError, OmegaConfBaseException):  # the composition reports the error
        return None
    inherited = (_model_of_task(each, path, deep - 1) for each in defaults if isinstance(each, str))
    return next((model for model in inherited if model is not None), None)


def repeat_command(settings: Any, words: Sequence[str], *, is_sweep: bool = False, more: Path | None = None) -> str:
    """Return the command line that repeats an experiment in the working folder, with secrets masked.

    Args:
        settings: Hydra's settings, ``cfg.hydra`` of the composed configuration.
        words: the overrides.
        is_sweep: whether it is one of several jobs. The settings of Hydra and its sweeper are then included.
        more: a further folder of configuration files.
    """
    path = SearchPath.of_settings(settings)
    path = path if more is None else path.followed_by(more)
    used = OmegaConf.select(settings, "overrides.hydra") if is_sweep else None
    hydra: Any = [] if used is None else OmegaConf.to_container(used, resolve=False)
    own = [str(word) for word in hydra if not str(word).lstrip("+").startswith(("hydra.mode=", "hydra.searchpath="))]
    flag = ["-m"] if is_sweep else []
    shown = [mask_word(_unquote_choice(word, path)) for word in [*own, *words]]
    return shlex.join(["python", "-m", "dcase_sweep", *flag, *path.words, *shown])
