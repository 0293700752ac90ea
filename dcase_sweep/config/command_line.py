"""What people type and Hydra would not read as it is meant: each word is rewritten here, and nowhere else.

Hydra has no way to say any of it: that a group's choice may look like a number, that a path may hold any character
(`path_words`), that ``-m`` may stand between two overrides, that a search is a sweep and its limits are part of the
sweeper (Hydra 1.4 refuses a ``hydra.mode`` that a group's file sets), and that a task chooses a model where a model
chooses its task too (defaults lists override one way only).
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
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import mask_word

_FLAGS = ("-m", "--multirun")
_SWEEPS = ("search=", "experiment=", "hydra.mode=")
#: Options that show something instead of running it.
_SHOWS = ("-c", "--cfg", "-i", "--info", "-h", "--help", "--hydra-help", "-sc", "--shell-completion")
_NUMBER = re.compile(r"\d[\d_]*(\.\d*)?(e\d+)?")


def put_flags_first(arguments: Sequence[str]) -> list[str]:
    """Let ``-m`` stand anywhere: Hydra takes it before all overrides or after them, not between two."""
    return [word for word in arguments if word in _FLAGS] + [word for word in arguments if word not in _FLAGS]


def may_be_sweep(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for a sweep, or names a file that may ask for one: a search or an experiment."""
    return any(word in _FLAGS or word.lstrip("+").startswith(_SWEEPS) for word in arguments)


def make_search_a_sweep(arguments: Sequence[str]) -> list[str]:
    """Let ``search=NAME`` alone mean a sweep: there is no other use of it."""
    is_search = any(word.lstrip("+").startswith("search=") for word in arguments)
    is_shown = any(word.partition("=")[0] in _SHOWS for word in arguments)
    flag = ["--multirun"] if is_search and not is_shown and not set(_FLAGS) & set(arguments) else []
    return [*flag, *arguments]


def place_limits(arguments: Sequence[str]) -> list[str]:
    """Let people type ``search.limits.size_kib=64``, as messages name it: a search is part of Hydra's sweeper."""
    limit = re.compile(r"\+{0,2}(?:hydra\.sweeper\.)?search\.limits\.(?:complexity/)?(\w+=)")
    return [limit.sub(r"++hydra.sweeper.search.limits.\1", word) if limit.match(word) else word for word in arguments]


def quote_choices(arguments: Sequence[str], path: SearchPath) -> list[str]:
    """Let people type ``task=4``: Hydra reads it as a number, and a group's choice must be text."""
    quoted = []
    for argument in arguments:
        found = re.fullmatch(r"(\+?([\w/]+)=)([0-9A-Za-z_,.]+)", argument)
        if found and path.has_group(found[2]):
            names = (f"'{name}'" if _NUMBER.fullmatch(name) else name for name in found[3].split(","))
            argument = found[1] + ",".join(names)
        quoted.append(argument)
    return quoted


def with_model_of_task(overrides: Sequence[str], path: SearchPath) -> list[str]:
    """Add the model that a task's file names, where a task is chosen and no model.

    A model chooses its task by itself; so ``task=4`` alone must choose a model, or no job of ``-m task=1a,4`` but
    those of one task could run.

    Args:
        overrides: of one job.
        path: where the task's file may be.
    """
    keys = [override.partition("=")[0].lstrip("+") for override in overrides]
    if "task" not in keys or "model" in keys or "experiment" in keys:
        return list(overrides)
    place = keys.index("task")
    model = _model_of_task(overrides[place].partition("=")[2].strip("'\""), path)
    # None: several tasks, none that Hydra will find, or one that leaves the model to config.yaml.
    added = [] if model is None else [f"model={model}"]
    return [*overrides[: place + 1], *added, *overrides[place + 1 :]]


def _model_of_task(name: str, path: SearchPath, deep: int = 5) -> str | None:
    """What ``task.model`` is in a task's file, or in the files of the group that its defaults begin with."""
    found = path.find("task", name)
    if found is None or deep == 0:
        return None
    try:
        content: Any = OmegaConf.create(read_config(found))
        model = OmegaConf.select(content, "task.model")
        if isinstance(model, str):
            return model
        defaults = OmegaConf.select(content, "defaults") or []
    except (UserError, OmegaConfBaseException):  # the composition says what is wrong with it
        return None
    inherited = (_model_of_task(each, path, deep - 1) for each in defaults if isinstance(each, str))
    return next((model for model in inherited if model is not None), None)


def repeat_command(settings: Any, words: Sequence[str], *, is_sweep: bool = False, more: Path | None = None) -> str:
    """The command line that does the same again, from the working folder; secrets are masked.

    Args:
        settings: Hydra's, of the composed configuration: ``cfg.hydra``.
        words: the overrides.
        is_sweep: whether it is one of several jobs; the settings of Hydra and its sweeper are part of it then.
        more: a folder of configuration files besides those that were used.
    """
    path = SearchPath.of_settings(settings)
    path = path if more is None else path.followed_by(more)
    used = OmegaConf.select(settings, "overrides.hydra") if is_sweep else None
    hydra: Any = [] if used is None else OmegaConf.to_container(used, resolve=False)
    own = [str(word) for word in hydra if not str(word).lstrip("+").startswith(("hydra.mode=", "hydra.searchpath="))]
    flag = ["-m"] if is_sweep else []
    return shlex.join(["python", "-m", "dcase_sweep", *flag, *path.words, *map(mask_word, [*own, *words])])
